// Node's http.Agent against a server: `node agent.mjs PORT sequential|parallel COUNT SOCKETS`.
// Prints one JSON object of what the agent says about its sockets.

import http from 'node:http';

const [port, mode, count, maxSockets] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(maxSockets) });
const sockets = new Set();
const seen = { answered: 0, whole: 0, reused: 0, sockets: 0, errors: [] };

const routes = [
  { path: '/', length: null },
  { path: '/bytes/1000', length: 1000 },
  { path: '/chunked/1000', length: 1000 },
  { path: '/status/204', length: 0 },
  { path: '/echo', length: 5, content: 'hello' },
];

function exchange(number) {
  const route = routes[number % routes.length];
  return new Promise((resolve) => {
    const request = http.request({
      agent, port, host: '127.0.0.1', path: route.path, method: route.content ? 'POST' : 'GET',
    });
    const failed = (error) => { seen.errors.push(`${route.path}: ${error.message}`); resolve(); };
    request.on('error', failed);
    request.on('socket', (socket) => sockets.add(socket));
    request.on('response', (response) => {
      let length = 0;
      response.on('data', (data) => { length += data.length; });
      response.on('error', failed);
      response.on('end', () => {
        seen.answered += 1;
        seen.whole += Number(response.complete && response.statusCode < 300
          && (route.length === null ? length > 0 : length === route.length));
        seen.reused += Number(request.reusedSocket);
        resolve();
      });
    });
    request.end(route.content);
  });
}

const numbers = Array.from({ length: Number(count) }, (_, number) => number);
if (mode === 'sequential') {
  for (const number of numbers) await exchange(number);
} else {
  await Promise.all(numbers.map(exchange));
}
seen.sockets = sockets.size;
agent.destroy();
console.log(JSON.stringify(seen));
