// Runs the module: node run.mjs MODULE. Exit status 1 if an exchange went wrong.
import { readFile } from "node:fs/promises";

const bytes = await readFile(process.argv[2]);
// Nothing is handed in: what the module needed from outside would be an error here.
const { instance } = await WebAssembly.instantiate(bytes, {});
const { exchanges, octets, server_size, client_size } = instance.exports;
const n = exchanges();
const sizes = `server ${server_size()} B, client ${client_size()} B`;
console.log(`wasm: ${n} exchanges, ${octets()} bytes, ${sizes}, ${n > 0 ? "ok" : "FAILED"}`);
process.exit(n > 0 ? 0 : 1);
