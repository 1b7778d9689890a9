"""How connections end: EOF at each point of an exchange, errors behind responses, refusals."""

import socket

from harness import Holds, check
from raw import Raw, request

WHOLE = request("/bytes/5")


def finished(raw: Raw) -> None:
    raw.socket.shutdown(socket.SHUT_WR)


@check("ends", "EOF at once")
def _(h):
    with Raw(h.serve()) as raw:
        finished(raw)
        yield "the end", b"", raw.rest()


@check("ends", "EOF in a head")
def _(h):
    for count in (1, 20, len(WHOLE) - 1):
        with Raw(h.serve()) as raw:
            raw.send(WHOLE[:count])
            finished(raw)
            yield f"no octet behind {count}, then the end", b"", raw.rest()


@check("ends", "EOF in content that the route reads")
def _(h):
    # The echo has begun, its end cannot come: the client must not take it for the whole.
    with Raw(h.serve()) as raw:
        raw.send(request("/echo", "Content-Length: 10", method="POST") + b"12345")
        finished(raw)
        content = raw.rest().partition(b"\r\n\r\n")[2]
        yield "its content is not whole", Holds("at most half", b"12345".startswith), content


@check("ends", "EOF in content that was answered")
def _(h):
    with Raw(h.serve()) as raw:
        raw.send(request("/bytes/5", "Content-Length: 10", method="POST") + b"12345")
        finished(raw)
        answer = raw.answer()
        yield "answer", [200, 5], [answer.status, len(answer.content)]
        yield "then the end", b"", raw.rest()


@check("ends", "half-close behind a request")
def _(h):
    for path, length in (("/bytes/5", 5), ("/bytes/3000000", 3000000), ("/chunked/7000", 7000)):
        with Raw(h.serve()) as raw:
            raw.send(request(path))
            finished(raw)
            answer = raw.answer()
            yield f"answer to {path}", [200, length], [answer.status, len(answer.content)]
            yield "then the end", b"", raw.rest()


@check("ends", "half-close behind three requests")
def _(h):
    with Raw(h.serve()) as raw:
        raw.send(WHOLE * 3)
        finished(raw)
        yield "answers", [200] * 3, [raw.answer().status for _ in range(3)]
        yield "then the end", b"", raw.rest()


@check("ends", "garbage behind a request")
def _(h):
    garbage = {
        "an HTTP/2 frame": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n",
        "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        "no target": b"GET\r\n\r\n",
        "no Host": b"GET / HTTP/1.1\r\n\r\n",
        "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    }
    for name, octets in garbage.items():
        with Raw(h.serve()) as raw:
            raw.send(WHOLE + octets + WHOLE)
            first, second = raw.answer(), raw.answer()
            yield f"{name}: answers", [200, 400], [first.status, second.status]
            yield f"{name}: Connection", [None, "close"], [
                first.field("Connection"), second.field("Connection")
            ]
            yield f"{name}: then the end", b"", raw.rest()


@check("ends", "CONNECT is refused")
def _(h):
    # What follows may be for the far end of a tunnel, so it is not parsed (RFC 9931).
    with Raw(h.serve()) as raw:
        raw.send(b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n" + WHOLE)
        answer = raw.answer()
        refused = Holds("4xx or 5xx", lambda status: 400 <= status < 600)
        yield "answer", refused, answer.status
        yield "Connection", "close", answer.field("Connection")
        yield "then the end", b"", raw.rest()


@check("ends", "Expect with its content")
def _(h):
    post = request("/echo", "Expect: 100-continue", method="POST", content=b"at once")
    with Raw(h.serve()) as raw:
        raw.send(post + WHOLE)
        answer = raw.answer()
        yield "no 100", [200, b"at once"], [answer.status, answer.content]
        yield "the connection goes on", 200, raw.answer().status


@check("ends", "Expect, refused with little content")
def _(h):
    head = request("/refuse", "Expect: 100-continue", "Content-Length: 5", method="POST")
    with Raw(h.serve()) as raw:
        raw.send(head)
        answer = raw.answer()
        # The client may send the content or not, so the octets behind this mean nothing (S1.3-13).
        yield "answer", [413, "close"], [answer.status, answer.field("Connection")]
        raw.send(WHOLE)
        yield "then the end", b"", raw.rest()


@check("ends", "1.0, the option in the first request only")
def _(h):
    kept, dropped = [
        request("/bytes/5", *option, version="1.0") for option in (["Connection: keep-alive"], [])
    ]
    with Raw(h.serve()) as raw:
        raw.send(kept + dropped + kept)
        first, second = raw.answer(), raw.answer()
        yield "Connection", ["keep-alive", "close"], [
            first.field("Connection"), second.field("Connection")
        ]
        yield "then the end", b"", raw.rest()


@check("ends", "1.0, the option in every request")
def _(h):
    with Raw(h.serve()) as raw:
        raw.send(request("/bytes/5", "Connection: Keep-Alive", version="1.0") * 10)
        options = [raw.answer().field("Connection") for _ in range(10)]
        yield "Connection", ["keep-alive"] * 10, options
        yield "then nothing", None, raw.within(0.2)


@check("ends", "close behind an upload that nobody reads")
def _(h):
    # 3 MiB behind a response that closes: the server reads them away rather than reset (S6.1).
    with Raw(h.serve()) as raw:
        raw.send(request("/close", f"Content-Length: {3 << 20}", method="POST"))
        for _ in range(48):
            raw.send(bytes(1 << 16))
        answer = raw.answer()
        yield "answer", [200, "close"], [answer.status, answer.field("Connection")]
        yield "then the end", b"", raw.rest()
        yield "no reset", 0, raw.error()
