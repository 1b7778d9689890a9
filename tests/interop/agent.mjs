// Node's http.Agent against a server. Prints one JSON object of what it says about its sockets.
//
//   node agent.mjs PORT sequential|parallel COUNT SOCKETS   one agent
//   node agent.mjs PORT pauses AGENTS ROUNDS MS...          agents of one socket, pausing in turn
//   node agent.mjs PORT load AGENTS                         until the server refuses to connect

import http from 'node:http';
import { setImmediate as poll, setTimeout as sleep } from 'node:timers/promises';

const [port, mode, ...numbers] = process.argv.slice(2);
const sockets = new Set();
const seen = {
  answered: 0, whole: 0, reused: 0, sockets: 0, pauses: 0, refused: 0, hints: [], errors: [],
};

const routes = [
  { path: '/', length: null },
  { path: '/bytes/1000', length: 1000 },
  { path: '/chunked/1000', length: 1000 },
  { path: '/status/204', length: 0 },
  { path: '/echo', length: 5, content: 'hello' },
];

// One request. Resolves to nothing, or to its error, which is noted with what was `before` it.
function exchange(agent, number, before = '') {
  const route = routes[number % routes.length];
  return new Promise((resolve) => {
    const request = http.request({
      agent, port, host: '127.0.0.1', path: route.path, method: route.content ? 'POST' : 'GET',
    });
    const failed = (error) => {
      if (mode === 'load' && error.code === 'ECONNREFUSED') seen.refused += 1;
      else seen.errors.push(`${route.path}${before}: ${error.message}`);
      resolve(error);
    };
    request.on('error', failed);
    request.on('socket', (socket) => sockets.add(socket));
    request.on('response', (response) => {
      let length = 0;
      const hint = response.headers['keep-alive'];
      if (hint && !seen.hints.includes(hint)) seen.hints.push(hint);
      response.on('data', (data) => { length += data.length; });
      response.on('error', failed);
      response.on('end', () => {
        const whole = response.complete && response.statusCode < 300
          && (route.length === null ? length > 0 : length === route.length);
        if (mode !== 'sequential' && mode !== 'parallel' && !whole) {
          seen.errors.push(`${route.path}${before}: ${response.statusCode}, ${length} octets`);
        }
        seen.answered += 1;
        seen.whole += Number(whole);
        seen.reused += Number(request.reusedSocket);
        resolve();
      });
    });
    request.end(route.content);
  });
}

// Hints are honoured by an agent that has a longer time-out of its own.
const single = () => new http.Agent({ keepAlive: true, maxSockets: 1, timeout: 20000 });
const each = (count, work) => Promise.all([...Array(count).keys()].map(work));

if (mode === 'pauses') {
  const [agents, rounds, ...pauses] = numbers.map(Number);
  await each(agents, async (number) => {
    const agent = single();
    await sleep(7 * number);
    await exchange(agent, number);
    for (let turn = 0; turn < rounds * pauses.length; turn += 1) {
      const pause = pauses[(number + turn) % pauses.length];
      const start = performance.now();
      await sleep(pause);
      // A late event loop runs its timers before it hears of closed sockets. Let it hear of them.
      await poll();
      seen.pauses += 1;
      const took = (performance.now() - start).toFixed(1);
      await exchange(agent, number + turn + 1, ` behind a pause of ${took} ms`);
    }
    agent.destroy();
  });
} else if (mode === 'load') {
  await each(Number(numbers[0]), async (number) => {
    const agent = single();
    for (let turn = 0; ; turn += 1) {
      const error = await exchange(agent, number + turn);
      if (error) break;
      await sleep((number + turn) % 7);
    }
    agent.destroy();
  });
} else {
  const [count, maxSockets] = numbers.map(Number);
  const agent = new http.Agent({ keepAlive: true, maxSockets });
  if (mode === 'sequential') {
    for (let number = 0; number < count; number += 1) await exchange(agent, number);
  } else {
    await each(count, (number) => exchange(agent, number));
  }
  agent.destroy();
}
seen.sockets = sockets.size;
console.log(JSON.stringify(seen));
