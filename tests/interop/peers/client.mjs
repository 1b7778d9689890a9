// Node's clients: node client.mjs KIND URL MODE COUNT WIDTH PAUSE_MS [DIRECTORY OF node_modules].
// KIND is `agent` (http.Agent), `undici`, or `pipelined` (undici, ten requests ahead).
// The modes and what is printed are those of client.py.

import http from 'node:http';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const [kind, url, mode, ...rest] = process.argv.slice(2);
const [count, width, pause] = rest.slice(0, 3).map(Number);
const unit = Buffer.concat([
  Buffer.from([...Array(256).keys()]), Buffer.from('\r\n0\r\n\r\n'),
]);
const content = Buffer.concat(Array(400).fill(unit));
const method = { upload: 'POST', stream: 'POST', head: 'HEAD' }[mode] ?? 'GET';
const path = method === 'POST' ? '/echo' : '/bytes/1000';
const seen = { answered: 0, failures: [] };

const pieces = () => Readable.from((function* cut() {
  for (let at = 0; at < content.length; at += 10000) yield content.subarray(at, at + 10000);
}()));

function judge(status, length, received) {
  const right = {
    POST: () => received.equals(content),
    HEAD: () => received.length === 0 && length === '1000',
    GET: () => received.equals(Buffer.alloc(1000, 'k')),
  }[method]();
  if (status === 200 && right) seen.answered += 1;
  else seen.failures.push(`status ${status}, ${received.length} octets`);
}

const agent = new http.Agent({ keepAlive: true, maxSockets: width, timeout: 20000 });

const byAgent = () => new Promise((resolve, reject) => {
  const headers = {};
  if (mode === 'upload') {
    Object.assign(headers, { 'Content-Length': content.length, Expect: '100-continue' });
  }
  const request = http.request(url + path, { agent, method, headers }, (response) => {
    const parts = [];
    response.on('data', (part) => parts.push(part));
    response.on('error', reject);
    response.on('end', () => {
      judge(response.statusCode, response.headers['content-length'], Buffer.concat(parts));
      resolve();
    });
  });
  request.on('error', reject);
  if (mode === 'upload') request.on('continue', () => request.end(content));
  else if (mode === 'stream') pieces().pipe(request);
  else request.end();
});

let pool;
if (kind !== 'agent') {
  const { Pool } = createRequire(`${rest[3]}/`)('undici');
  const pipelining = kind === 'pipelined' ? 10 : 1;
  pool = new Pool(url, { connections: width, pipelining, keepAliveTimeout: 20000 });
}

async function byUndici() {
  const body = { upload: content, stream: pieces }[mode];
  const { statusCode, headers, body: received } = await pool.request({
    method, path, body: typeof body === 'function' ? body() : body,
  });
  judge(statusCode, headers['content-length'], Buffer.from(await received.arrayBuffer()));
}

async function one(number) {
  if (number > 0 && pause > 0) await sleep(pause);
  try {
    await (kind === 'agent' ? byAgent() : byUndici());
  } catch (error) {
    seen.failures.push(`${error.code}: ${error.message}`);
  }
}

if (mode === 'parallel') {
  await Promise.all([...Array(count).keys()].map(one));
} else {
  for (let number = 0; number < count; number += 1) await one(number);
}
agent.destroy();
await pool?.close();
console.log(JSON.stringify(seen));
