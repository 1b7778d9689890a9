"""The server's deadlines with a real clock: `serve --idle 2 --head 3` (S3, S3.1)."""

import select
import time

from harness import between, check, not_equal
from raw import Raw, request

HEAD = 3.0
WHOLE = request("/bytes/5")


def server(h):
    return h.serve("--idle", "2", "--head", "3")


def ends_silently(raw: Raw, start: float, after: float):
    yield "no octet, then the end", b"", raw.rest()
    yield "after seconds", between(after - 0.1, after + 0.8), round(time.monotonic() - start, 2)


def ends_with_408(raw: Raw, start: float, after: float = HEAD):
    answer = raw.answer()
    taken = round(time.monotonic() - start, 2)
    yield "answer", [408, "close"], [answer.status, answer.field("Connection")]
    yield "after seconds", between(after - 0.1, after + 0.8), taken
    yield "then the end", b"", raw.rest()


@check("socket", "an octet of a head each second", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        start, sent = time.monotonic(), 0
        while not select.select([raw.socket], [], [], 1.0 if sent else 0.0)[0] and sent < 10:
            raw.send(WHOLE[sent : sent + 1])
            sent += 1
        yield "octets before the answer", between(3, 4), sent
        yield from ends_with_408(raw, start)


@check("socket", "half a head, then nothing", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        start = time.monotonic()
        raw.send(WHOLE[:20])
        yield from ends_with_408(raw, start)


@check("socket", "half a head behind a request", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        raw.send(WHOLE)
        yield "answer to the request", 200, raw.answer().status
        time.sleep(1)
        start = time.monotonic()
        raw.send(WHOLE[:20])
        yield from ends_with_408(raw, start)


@check("socket", "half a pipelined head", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        start = time.monotonic()
        raw.send(WHOLE + WHOLE[:20])
        yield "answer to the request", 200, raw.answer().status
        yield from ends_with_408(raw, start)


@check("socket", "connected and never used", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        yield from ends_silently(raw, time.monotonic(), HEAD)


@check("socket", "idle", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        raw.send(WHOLE)
        yield "answer", 200, raw.answer().status
        yield from ends_silently(raw, time.monotonic(), 2.0)


@check("socket", "idle, an empty line after a second", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        raw.send(WHOLE)
        yield "answer", 200, raw.answer().status
        start = time.monotonic()
        time.sleep(1)
        raw.send(b"\r\n")
        yield from ends_silently(raw, start, 2.0)


@check("socket", "slow, but in time", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        for at in range(0, len(WHOLE), 4):  # 10 pieces, 2.5 s
            raw.send(WHOLE[at : at + 4])
            time.sleep(2.5 * 4 / len(WHOLE))
        yield "answer", 200, raw.answer().status


@check("socket", "an octet of content each half second", waits=True)
def _(h):
    # S.head is for heads: content has deadlines of its own, far from here.
    with Raw(server(h)) as raw:
        raw.send(request("/echo", "Content-Length: 9", method="POST"))
        for octet in b"patiently"[:9]:
            time.sleep(0.5)
            raw.send(bytes([octet]))
        answer = raw.answer()
        yield "answer", [200, b"patiently"], [answer.status, answer.content]
        yield "the connection goes on", None, raw.within(0.2)


# ---------------------------------------------------------------------------- lingering

MALFORMED = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"


@check("socket", "what comes behind an error", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        raw.send(MALFORMED)
        yield "answer", 400, raw.answer().status
        yield "then the end", b"", raw.rest()
        # The server reads on for 2 s without an octet (S6.1), then it closes: now a reset is right.
        time.sleep(1)
        raw.send(b"x")
        time.sleep(1.5)
        raw.send(b"x")
        time.sleep(0.2)
        yield "error after 2.7 s, with octets between", 0, raw.error()
        time.sleep(2.3)
        raw.send(b"x")
        time.sleep(0.2)
        yield "error after 2.5 s without", not_equal(0), raw.error()


@check("socket", "an octet each second behind an error", waits=True)
def _(h):
    with Raw(server(h)) as raw:
        raw.send(MALFORMED)
        yield "answer", 400, raw.answer().status
        yield "then the end", b"", raw.rest()
        start = time.monotonic()
        while raw.error() == 0 and time.monotonic() < start + 40:
            raw.send(b"x")
            time.sleep(1)
        # 30 s in all, and then a second or two until the client can know.
        yield "closed after seconds", between(29.5, 33.0), round(time.monotonic() - start, 2)
