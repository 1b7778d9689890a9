// What llhttp reads, in Node's own parser: read_llhttp.mjs FILE. The file is what `tests/written.rs` writes.
//
// Prints which llhttp it is and the methods that it knows, and then a line of JSON for each stream: the
// messages that were read from it, whole and octet by octet. What cannot be read is {"error": code}, and
// the last of them.

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

// Node offers its parser to nobody. http.request and http.Server would not do: they hide where a message
// ends, and what comes behind it.
const { HTTPParser, methods } = process.binding('http_parser');
const HEAD_OCTETS = 80 * 1024;
const STRICT = HTTPParser.kLenientNone;

const pairs = (flat) => {
  const lines = [];
  for (let at = 0; at < flat.length; at += 2) lines.push([flat[at], flat[at + 1]]);
  return lines;
};

class Reader {
  constructor(asked, cut) {
    this.messages = [];
    this.cut = cut;
    this.asked = asked === null ? null : [...asked];
    this.fed = 0;
    this.open = null;
    // Lines that come before the head is said to be whole, with the target; or behind the content.
    this.flat = [];
    this.target = '';
    this.parser = new HTTPParser();
    const kind = asked === null ? HTTPParser.REQUEST : HTTPParser.RESPONSE;
    this.parser.initialize(kind, {}, HEAD_OCTETS, STRICT);
    this.parser[HTTPParser.kOnHeaders | 0] = (flat, target) => {
      this.flat.push(...flat);
      this.target += target;
    };
    this.parser[HTTPParser.kOnHeadersComplete | 0] = (...told) => this.head(...told);
    this.parser[HTTPParser.kOnBody | 0] = (piece) => { this.open.content.push(Buffer.from(piece)); };
    this.parser[HTTPParser.kOnMessageComplete | 0] = () => this.end();
  }

  head(major, minor, flat, method, target, status, reason, upgrade) {
    const fields = pairs([...this.flat, ...(flat ?? [])]);
    this.flat = [];
    const start = this.asked === null
      ? [methods[method], target ?? this.target, minor] : [status, reason, minor];
    this.open = { start, fields, content: [], tunnel: Boolean(upgrade) };
    if (this.asked === null || status < 200) return 0;
    const asked = this.asked.shift();
    this.open.tunnel ||= asked === 'CONNECT' && status < 300;
    // Nobody else can tell it. 1: no content, whatever the head says; 2: and HTTP ends here.
    if (this.open.tunnel) return 2;
    return asked === 'HEAD' ? 1 : 0;
  }

  end() {
    const { start, fields, content, tunnel } = this.open;
    this.messages.push({
      start, fields, content: Buffer.concat(content).toString('base64'), trailers: pairs(this.flat),
      waits: null, // not for it to say
      persists: tunnel ? 'leaves' : true, // until something says otherwise
      end: this.cut ? this.fed : null,
    });
    this.open = null;
    this.flat = [];
    this.target = '';
  }

  // Reads on; false when nothing more can be read.
  feed(octets) {
    this.fed += octets.length;
    const done = this.parser.execute(octets);
    if (done instanceof Error) this.messages.push({ error: done.code });
    return !(done instanceof Error) && this.messages.at(-1)?.persists !== 'leaves';
  }

  // What the last message says of the connection. llhttp tells with the head, and then does not know of
  // a HEAD; so it is asked whether it would read on.
  last() {
    if (this.open !== null) {
      const done = this.parser.finish();
      if (done instanceof Error) this.messages.push({ error: done.code });
      else this.messages.at(-1).persists = false;
      return;
    }
    const last = this.messages.at(-1);
    if (last?.persists !== true) return;
    const done = this.parser.execute(Buffer.from(this.asked === null ? 'G' : 'H'));
    if (!(done instanceof Error)) return;
    if (done.code === 'HPE_CLOSED_CONNECTION') last.persists = false;
    else this.messages.push({ error: done.code });
  }
}

function read({ asked }, octets, step) {
  const reader = new Reader(asked, step === 1);
  for (let at = 0; at < octets.length; at += step) {
    if (!reader.feed(octets.subarray(at, at + step))) return reader.messages;
  }
  reader.last();
  return reader.messages;
}

console.log(JSON.stringify({ version: process.versions.llhttp, methods }));
for await (const line of createInterface({ input: createReadStream(process.argv[2]) })) {
  const stream = JSON.parse(line);
  const octets = Buffer.from(stream.octets, 'base64');
  const whole = read(stream, octets, Math.max(1, octets.length));
  console.log(JSON.stringify({ whole, cut: read(stream, octets, 1) }));
}
