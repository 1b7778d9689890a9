"""A client that knows where each octet is: a socket and just enough of HTTP/1.1 to read answers.

Not built on http.client, which drops trailers, swallows a 100, and is lenient about both.
"""

import dataclasses
import socket
import time


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    fields: list[tuple[str, str]]
    content: bytes
    trailers: list[tuple[str, str]]

    def field(self, name: str) -> str | None:
        """All values of the field, combined as RFC 9110 §5.3 does; None if there is none."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        return ", ".join(values) if values else None


class Raw:
    def __init__(self, server, seconds: float = 5.0):
        self.socket = socket.create_connection((server.host, server.port), timeout=seconds)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)  # one call and small, so one segment on loopback

    def line(self) -> str:
        line = self.file.readline(65536)
        if not line.endswith(b"\r\n"):
            raise EOFError(f"input ended in a line: {line!r}")
        return line[:-2].decode("latin-1")

    def exactly(self, count: int) -> bytes:
        octets = self.file.read(count)
        if len(octets) != count:
            raise EOFError(f"{len(octets)} of {count} octets, then the end")
        return octets

    def section(self) -> list[tuple[str, str]]:
        fields = []
        while line := self.line():
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"no field line: {line!r}")
            fields.append((name, value.strip(" \t")))
        return fields

    def answer(self, method: str = "GET") -> Answer:
        """The next response, an interim one as well."""
        version, status, *_ = self.line().split(" ", 2)
        if not version.startswith("HTTP/1."):
            raise ValueError(f"no status line: {version!r}")
        head = Answer(int(status), self.section(), b"", [])
        if method == "HEAD" or head.status < 200 or head.status in (204, 304):
            return head
        coding, length = head.field("Transfer-Encoding"), head.field("Content-Length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise ValueError(f"framed by {coding!r} and length {length!r}")
            chunks = []
            while size := int(self.line().partition(";")[0], 16):
                chunks.append(self.exactly(size))
                if self.line():
                    raise ValueError("a chunk is longer than its size")
            return dataclasses.replace(head, content=b"".join(chunks), trailers=self.section())
        if length is not None:
            return dataclasses.replace(head, content=self.exactly(int(length)))
        return dataclasses.replace(head, content=self.file.read())

    def rest(self) -> bytes:
        """Everything up to the server's FIN; a time-out if it does not come."""
        return self.file.read()

    def error(self) -> int:
        """The error that is pending: behind an EOF a reset is not seen by reading."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def within(self, seconds: float) -> bytes | None:
        """What arrives in this time: b"" is the end of the connection, None is silence."""
        end = time.monotonic() + seconds
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(65536)
        except TimeoutError:
            return None
        finally:
            self.socket.settimeout(max(5.0, end - time.monotonic()))


def request(target: str, *fields: str, method: str = "GET", version: str = "1.1",
            content: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: interop", *fields]
    if content:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content
