// Node's http.Server: node server.mjs MAX_REQUESTS_PER_SOCKET KEEP_ALIVE_TIMEOUT_MS.
// Says where it listens, and then for each request: the client's port, status, method and target.

import http from 'node:http';

const [most, idle] = process.argv.slice(2).map(Number);
const page = 'the page that fetch must bring home\n';

const server = http.createServer(async (request, response) => {
  response.on('close', () => {
    const { statusCode } = response;
    console.log(`${port} ${statusCode} ${request.method} ${request.url}`);
  });
  const port = request.socket.remotePort;
  // With a length that it is told, node keeps the connections of 1.0, too.
  const whole = (content) => {
    response.setHeader('Content-Length', content.length);
    response.end(content);
  };
  if (request.method === 'POST') {
    const parts = [];
    for await (const part of request) parts.push(part);
    whole(Buffer.concat(parts));
  } else if (request.url === '/chunked') {
    response.write(page);
    setImmediate(() => response.end(page.repeat(3999)));
  } else {
    whole(request.url === '/long' ? page.repeat(4000) : page);
  }
});
server.maxRequestsPerSocket = most;
server.keepAliveTimeout = idle;
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
