"""`serve` under curl, ab, wrk, Python's http.client, node's http.Agent, and a bare socket."""

import collections
import dataclasses
import http.client
import json
import os
import pathlib
import re
import time

from harness import at_least, at_most, between, check, not_equal, poll
from raw import Raw, request

# ---------------------------------------------------------------------------- the server's trace


def requests_by_connection(trace: str) -> list[int]:
    """How many requests each connection carried, in the order in which they were accepted.

    The trace of `serve --trace` is for people and free to change. This function alone knows it:
    a line starts with the number of its connection as `#N `, and the line of a request event has
    the word ` request ` in it.
    """
    counts: dict[int, int] = collections.Counter()
    for line in trace.splitlines():
        if (found := re.match(r"#(\d+) ", line)) and " request " in line:
            counts[int(found[1])] += 1
    return [counts[number] for number in sorted(counts)]


class Traced:
    """What the trace of a shared server gains from here on."""

    def __init__(self, server):
        self.server, self.before = server, len(self.counts_of(server))

    @staticmethod
    def counts_of(server) -> list[int]:
        return requests_by_connection(server.output())

    def counts(self, total: int) -> list[int]:
        def new():
            return self.counts_of(self.server)[self.before :]

        return poll(new, lambda counts: sum(counts) >= total)


# ---------------------------------------------------------------------------- curl


@dataclasses.dataclass(frozen=True)
class Curl:
    status: int
    codes: list[int]
    connects: list[int]  # new connections each transfer made: 0 is a re-use
    contents: list[bytes]
    heads: str  # all heads of all responses, interim ones and trailers too
    log: str

    def lengths(self) -> list[int]:
        return [len(content) for content in self.contents]

    def field(self, name: str) -> list[str]:
        return re.findall(rf"(?im)^{name}:[ \t]*(.*?)\r?$", self.heads)

    def reuses(self) -> int:
        """What `-v` says about it, in the words of several versions."""
        return len(re.findall(r"(?im)^\* Re-?using existing .*connection", self.log))


def curl(h, arguments: list[str], *urls: str, content: bytes | None = None) -> Curl:
    outputs = [next(h.fresh) for _ in urls]
    heads = next(h.fresh)
    # -q comes first and keeps the user's own configuration out.
    command = ["curl", "-q", "-v", "-sS", "--noproxy", "*", "--max-time", "15", "-D", str(heads)]
    command += ["-w", "%{http_code} %{num_connects}\n", *arguments]
    for output, url in zip(outputs, urls):
        command += ["-o", str(output), url]
    done = h.run(command, content=content)
    pairs = [line.split() for line in done.stdout.decode().splitlines()]
    return Curl(
        done.status,
        [int(code) for code, _ in pairs],
        [int(connects) for _, connects in pairs],
        [output.read_bytes() if output.exists() else b"" for output in outputs],
        heads.read_text(errors="replace") if heads.exists() else "",
        done.stderr,
    )


@check("curl", "three routes, one connection", "curl")
def _(h):
    s = h.serve()
    seen = curl(h, [], s.url("/"), s.url("/bytes/100000"), s.url("/chunked/100000"))
    yield "exit status", 0, seen.status
    yield "-v says it re-uses the connection", 2, seen.reuses()
    yield "new connections", [1, 0, 0], seen.connects
    yield "status", [200, 200, 200], seen.codes
    yield "octets of /", at_least(1), seen.lengths()[0]
    yield "octets of the others", [100000, 100000], seen.lengths()[1:]
    yield "Content-Length", [str(seen.lengths()[0]), "100000"], seen.field("Content-Length")
    yield "Transfer-Encoding", ["chunked"], seen.field("Transfer-Encoding")
    yield "Connection is not needed", [], seen.field("Connection")
    # The file of -D is heads, each closed by an empty line, and then what came as trailers.
    sections = re.split(r"(?:\r?\n){2}", seen.heads.strip())
    yield "a trailer", [False, True], [
        bool(re.match(r"HTTP/", sections[-1])), bool(re.match(r"[!-9;-~]+:", sections[-1]))
    ]


@check("curl", "1.0 without the option", "curl")
def _(h):
    s = h.serve()
    seen = curl(h, ["--http1.0"], s.url("/bytes/1000"), s.url("/bytes/1000"))
    yield "exit status", 0, seen.status
    yield "new connections", [1, 1], seen.connects
    yield "octets", [1000, 1000], seen.lengths()
    yield "Connection", ["close", "close"], seen.field("Connection")
    yield "Keep-Alive", [], seen.field("Keep-Alive")


@check("curl", "1.0 with the option", "curl")
def _(h):
    s = h.serve()
    option = ["--http1.0", "-H", "Connection: keep-alive"]
    seen = curl(h, option, s.url("/bytes/1000"), s.url("/bytes/1000"))
    yield "exit status", 0, seen.status
    yield "new connections", [1, 0], seen.connects
    yield "octets", [1000, 1000], seen.lengths()
    yield "Connection", ["keep-alive", "keep-alive"], seen.field("Connection")
    yield "Keep-Alive has a timeout", 2, sum("timeout=" in v for v in seen.field("Keep-Alive"))


@check("curl", "1.0 with the option, length unknown", "curl")
def _(h):
    s = h.serve()
    option = ["--http1.0", "-H", "Connection: keep-alive"]
    seen = curl(h, option, s.url("/chunked/1000"), s.url("/"))
    yield "exit status", 0, seen.status
    yield "new connections", [1, 1], seen.connects
    yield "octets", 1000, seen.lengths()[0]
    yield "Transfer-Encoding", [], seen.field("Transfer-Encoding")
    yield "Connection", ["close", "keep-alive"], seen.field("Connection")


@check("curl", "HEAD twice", "curl")
def _(h):
    s = h.serve()
    seen = curl(h, ["-I"], s.url("/bytes/100000"), s.url("/bytes/7"))
    yield "exit status", 0, seen.status
    yield "status", [200, 200], seen.codes
    yield "new connections", [1, 0], seen.connects
    yield "Content-Length", ["100000", "7"], seen.field("Content-Length")


# 100 KiB and more, with each octet in it, and with what would end a chunked content.
CONTENT = (bytes(range(256)) + b"\r\n0\r\n\r\n") * 400


@check("curl", "upload with Expect", "curl")
def _(h):
    s = h.serve()
    file = next(h.fresh)
    file.write_bytes(CONTENT)
    upload = ["-H", "Expect: 100-continue", "--data-binary", f"@{file}"]
    start = time.monotonic()
    seen = curl(h, upload, s.url("/echo"), s.url("/echo"))
    yield "exit status", 0, seen.status
    yield "status", [200, 200], seen.codes
    yield "100 Continue", 2, len(re.findall(r"(?m)^HTTP/1\.1 100\b", seen.heads))
    # Without a 100, curl sends after a second all the same: then the time tells.
    yield "seconds for both", at_most(0.9), round(time.monotonic() - start, 2)
    yield "content comes back", True, seen.contents == [CONTENT, CONTENT]
    yield "Content-Length", [str(len(CONTENT))] * 2, seen.field("Content-Length")
    yield "new connections", [1, 0], seen.connects


@check("curl", "chunked upload", "curl")
def _(h):
    s = h.serve()
    file = next(h.fresh)
    file.write_bytes(CONTENT)
    chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary", f"@{file}"]
    seen = curl(h, chunked, s.url("/echo"), s.url("/echo"))
    yield "exit status", 0, seen.status
    yield "status", [200, 200], seen.codes
    yield "content comes back", True, seen.contents == [CONTENT, CONTENT]
    yield "answered chunked", ["chunked", "chunked"], seen.field("Transfer-Encoding")
    yield "new connections", [1, 0], seen.connects


@check("curl", "chunked upload from stdin", "curl")
def _(h):
    s = h.serve()
    # `-T -` is what streaming programs do: PUT, chunked, and Expect by curl's own choice.
    seen = curl(h, ["-T", "-"], s.url("/echo"), content=CONTENT)
    yield "exit status", 0, seen.status
    yield "status", [200], seen.codes
    yield "content comes back", True, seen.contents == [CONTENT]


def refused(h, expect: str, mebibytes: int):
    s = h.serve()
    file = next(h.fresh)
    file.touch()
    os.truncate(file, mebibytes << 20)
    # Several times, since what would go wrong here is a race.
    codes, statuses, whole = set(), set(), set()
    for _ in range(3):
        seen = curl(h, ["-H", expect, "--data-binary", f"@{file}"], s.url("/refuse"))
        codes.update(seen.codes)
        statuses.add(seen.status)
        whole.add(seen.field("Content-Length") == [str(seen.lengths()[0])])
    yield "exit status", {0}, statuses
    yield "status", {413}, codes
    yield "content is whole", {True}, whole
    yield "Connection", ["close"], seen.field("Connection")
    yield "no 100", 0, len(re.findall(r"(?m)^HTTP/1\.1 100\b", seen.heads))


@check("curl", "1 MiB refused", "curl")
def _(h):
    yield from refused(h, "Expect:", 1)


@check("curl", "1 MiB refused, with Expect", "curl")
def _(h):
    yield from refused(h, "Expect: 100-continue", 1)


@check("curl", "64 MiB refused", "curl")
def _(h):
    yield from refused(h, "Expect:", 64)


@check("curl", "64 MiB refused, with Expect", "curl")
def _(h):
    yield from refused(h, "Expect: 100-continue", 64)


@check("curl", "statuses on one connection", "curl")
def _(h):
    s = h.serve()
    codes = [204, 304, 404, 200]
    seen = curl(h, [], *(s.url(f"/status/{code}") for code in codes))
    yield "exit status", 0, seen.status
    yield "status", codes, seen.codes
    yield "new connections", [1, 0, 0, 0], seen.connects
    yield "octets of 204 and 304", [0, 0], seen.lengths()[:2]
    yield "never chunked", [], seen.field("Transfer-Encoding")


@check("curl", "route /close", "curl")
def _(h):
    s = h.serve()
    seen = curl(h, [], s.url("/"), s.url("/close"), s.url("/"))
    yield "exit status", 0, seen.status
    yield "status", [200, 200, 200], seen.codes
    yield "new connections", [1, 0, 1], seen.connects
    yield "Connection", ["close"], seen.field("Connection")


# ---------------------------------------------------------------------------- ab and wrk


def ab(h, *arguments: str) -> dict[str, int]:
    done = h.run(["ab", "-q", "-s", "10", *arguments], 40.0)
    if done.status != 0:
        raise RuntimeError(f"ab ended with {done.status}: {done.stderr[-300:]!r}")
    lines = re.findall(r"(?m)^([A-Z][^:\n]*):\s+(\d+)\b", done.stdout.decode())
    return {name: int(value) for name, value in lines}


@check("ab", "-k -n 20000 -c 8", "ab")
def _(h):
    seen = ab(h, "-k", "-n", "20000", "-c", "8", h.serve().url("/"))
    yield "complete", 20000, seen.get("Complete requests")
    # Counts the responses that promised to persist, so one `close` anywhere would show.
    yield "keep-alive", 20000, seen.get("Keep-Alive requests")
    yield "failed", 0, seen.get("Failed requests")
    yield "non-2xx", 0, seen.get("Non-2xx responses", 0)


@check("ab", "-n 500 -c 8, without -k", "ab")
def _(h):
    s = h.serve("--max-requests", "100", "--trace")
    traced = Traced(s)
    seen = ab(h, "-n", "500", "-c", "8", s.url("/"))
    yield "complete", 500, seen.get("Complete requests")
    yield "keep-alive", 0, seen.get("Keep-Alive requests", 0)  # ab prints the line with -k only
    yield "failed", 0, seen.get("Failed requests")
    yield "connections of one request", {1: 500}, dict(collections.Counter(traced.counts(500)))


@check("ab", "-k -n 1000 -c 1, at most 100 each", "ab")
def _(h):
    s = h.serve("--max-requests", "100", "--trace")
    traced = Traced(s)
    seen = ab(h, "-k", "-n", "1000", "-c", "1", s.url("/"))
    yield "complete", 1000, seen.get("Complete requests")
    yield "failed", 0, seen.get("Failed requests")
    # The hundredth on each connection says close, and ab does not count it.
    yield "keep-alive", 990, seen.get("Keep-Alive requests")
    yield "requests by connection", [100] * 10, traced.counts(1000)


@check("wrk", "-c 32 -d 5 -t 2", "wrk")
def _(h):
    done = h.run(["wrk", "-c", "32", "-d", "5", "-t", "2", h.serve().url("/")], 25.0)
    output = done.stdout.decode()
    total = re.search(r"(\d+) requests in ", output)
    yield "exit status", 0, done.status
    yield "requests", at_least(1000), int(total[1]) if total else 0
    # wrk prints these two lines only if there is something to tell.
    yield "socket errors", [], re.findall(r"(?im)^\s*socket errors:.*$", output)
    yield "non-2xx", [], re.findall(r"(?im)^\s*non-2xx.*$", output)


# ---------------------------------------------------------------------------- Python and node


@check("http.client", "200 requests, one connection")
def _(h):
    s = h.serve()
    routes = [("/", 200, None), ("/bytes/1000", 200, 1000), ("/chunked/1000", 200, 1000)]
    routes += [("/status/204", 204, 0), ("/status/404", 404, None), ("/bytes/0", 200, 0)]
    connection = http.client.HTTPConnection(s.host, s.port, timeout=5)
    ports, wrong = [], []
    for number in range(200):
        path, status, length = routes[number % len(routes)]
        connection.request("GET", path)
        # It opens another connection by itself when told to close, so the port is what counts.
        ports.append(connection.sock.getsockname()[1])
        response = connection.getresponse()
        content = response.read()
        if response.status != status or length not in (None, len(content)):
            wrong.append((number, path, response.status, len(content)))
    connection.close()
    yield "answered", 200, len(ports)
    yield "local ports", 1, len(set(ports))
    yield "wrong answers", [], wrong


@check("http.client", "POST to /echo")
def _(h):
    s = h.serve()
    connection = http.client.HTTPConnection(s.host, s.port, timeout=5)
    ports, same = set(), []
    for content in (CONTENT, b"", b"x", iter([b"in ", b"three ", b"chunks"])):
        connection.request("POST", "/echo", content)
        ports.add(connection.sock.getsockname()[1])
        returned = connection.getresponse().read()
        same.append(returned == (content if isinstance(content, bytes) else b"in three chunks"))
    connection.close()
    yield "content comes back", [True] * 4, same
    yield "local ports", 1, len(ports)


def agent(h, *arguments: object) -> dict[str, object]:
    script = pathlib.Path(__file__).with_name("agent.mjs")
    done = h.run(["node", str(script), str(h.serve().port), *map(str, arguments)], 20.0)
    if done.status != 0:
        raise RuntimeError(f"node ended with {done.status}: {done.stderr[-300:]!r}")
    return json.loads(done.stdout)


@check("node http.Agent", "200 sequential, one socket", "node")
def _(h):
    seen = agent(h, "sequential", 200, 1)
    yield "answered whole", [200, 200], [seen["answered"], seen["whole"]]
    yield "reusedSocket", 199, seen["reused"]
    yield "sockets", 1, seen["sockets"]
    yield "errors", [], seen["errors"]


@check("node http.Agent", "400 parallel, eight sockets", "node")
def _(h):
    seen = agent(h, "parallel", 400, 8)
    yield "answered whole", [400, 400], [seen["answered"], seen["whole"]]
    yield "sockets", at_most(8), seen["sockets"]
    # No line about reusedSocket: node does not set it on requests that waited for a socket.
    yield "errors", [], seen["errors"]


# ---------------------------------------------------------------------------- a bare socket


@check("socket", "20 pipelined in one segment")
def _(h):
    with Raw(h.serve()) as raw:
        lengths = [1000 + 7 * number for number in range(20)]
        raw.send(b"".join(request(f"/bytes/{length}") for length in lengths))
        yield "answered in order", lengths, [len(raw.answer().content) for _ in lengths]
        yield "then nothing", None, raw.within(0.2)


@check("socket", "pipelined over all framings")
def _(h):
    with Raw(h.serve()) as raw:
        raw.send(
            request("/echo", method="POST", content=b"GET / HTTP/1.1\r\n\r\n")
            + request("/chunked/5000")
            + request("/bytes/3", method="HEAD")
            + request("/echo", "Transfer-Encoding: chunked", method="POST")
            + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
            + request("/status/204")
            + request("/bytes/4", "Connection: close")
        )
        echo, chunked, head = raw.answer(), raw.answer(), raw.answer("HEAD")
        streamed, empty, last = raw.answer(), raw.answer(), raw.answer()
        yield "content like a request", b"GET / HTTP/1.1\r\n\r\n", echo.content
        yield "chunked octets", 5000, len(chunked.content)
        yield "chunked trailers", at_least(1), len(chunked.trailers)
        yield "HEAD, length", "3", head.field("Content-Length")
        yield "chunked echo", b"abc", streamed.content
        yield "204", [204, None], [empty.status, empty.field("Content-Length")]
        yield "last", [4, "close"], [len(last.content), last.field("Connection")]
        yield "then the end", b"", raw.rest()


@check("socket", "pipelined behind a close")
def _(h):
    with Raw(h.serve()) as raw:
        raw.send(request("/bytes/5", "Connection: close") + request("/bytes/6"))
        first = raw.answer()
        yield "first", [200, 5, "close"], [
            first.status, len(first.content), first.field("Connection")
        ]
        yield "then the end", b"", raw.rest()


@check("socket", "1.0 without the option")
def _(h):
    with Raw(h.serve()) as raw:
        raw.send(request("/bytes/5", version="1.0"))
        first = raw.answer()
        yield "answer", [200, 5, "close"], [
            first.status, len(first.content), first.field("Connection")
        ]
        yield "then the end", b"", raw.rest()


@check("socket", "length and coding together")
def _(h):
    with Raw(h.serve()) as raw:
        # The smuggling shape: one answer, and the octets behind it are no request.
        raw.send(
            request("/echo", "Transfer-Encoding: chunked", "Content-Length: 5", method="POST")
            + b"0\r\n\r\n" + request("/")
        )
        first = raw.answer()
        yield "answer", [400, "close"], [first.status, first.field("Connection")]
        yield "then the end", b"", raw.rest()


@check("socket", "1 MiB refused, answer read late")
def _(h):
    with Raw(h.serve()) as raw:
        # Unlike curl, this client looks for an answer only when it has sent all. A server that
        # closes with input unread resets the connection, and then the sending fails.
        raw.send(request("/refuse", f"Content-Length: {1 << 20}", method="POST"))
        for _ in range(16):
            raw.send(bytes(1 << 16))
            time.sleep(0.01)
        refusal = raw.answer()
        yield "answer", [413, "close"], [refusal.status, refusal.field("Connection")]
        yield "then the end", b"", raw.rest()


@check("socket", "upgrade to echo")
def _(h):
    upgrade = request("/upgrade", "Connection: Upgrade", "Upgrade: echo")
    with Raw(h.serve()) as raw:
        raw.send(upgrade + b"early\r\n\r\n")
        switch = raw.answer()
        yield "status", 101, switch.status
        yield "Connection", "upgrade", (switch.field("Connection") or "").lower()
        yield "Upgrade", "echo", switch.field("Upgrade")
        yield "no framing", [None, None], [
            switch.field("Content-Length"), switch.field("Transfer-Encoding")
        ]
        yield "octets sent with the request", b"early\r\n\r\n", raw.exactly(9)
        later = b"GET / HTTP/1.1\r\n\r\n\0\xff" * 1000
        raw.send(later)
        yield "octets sent later", True, raw.exactly(len(later)) == later


@check("socket", "upgrade to something else")
def _(h):
    with Raw(h.serve()) as raw:
        raw.send(request("/upgrade", "Connection: Upgrade", "Upgrade: other") + request("/bytes/3"))
        yield "status", not_equal(101), raw.answer().status
        yield "what follows is HTTP", 3, len(raw.answer().content)


@check("socket", "idle for a second")
def _(h):
    with Raw(h.serve("--idle", "1")) as raw:
        raw.send(request("/bytes/5"))
        answer = raw.answer()
        start = time.monotonic()
        yield "answer", [200, None], [answer.status, answer.field("Connection")]
        yield "then the end, and no 408", b"", raw.rest()
        yield "after seconds", between(0.8, 2.5), round(time.monotonic() - start, 2)


@check("socket", "not idle while requests come")
def _(h):
    with Raw(h.serve("--idle", "1")) as raw:
        seen = []
        for _ in range(4):  # 1.8 s in all: the idle time starts anew at each response
            raw.send(request("/bytes/5"))
            seen.append(raw.answer().status)
            time.sleep(0.6 if len(seen) < 4 else 0)
        yield "answers", [200] * 4, seen


@check("socket", "half a head")
def _(h):
    whole = request("/bytes/5")
    with Raw(h.serve()) as raw:
        raw.send(whole[:20])
        yield "for a second, nothing", None, raw.within(1.0)
        raw.send(whole[20:])
        yield "then its answer", 5, len(raw.answer().content)
