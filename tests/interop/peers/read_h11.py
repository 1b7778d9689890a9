"""What h11 reads: read_h11.py FILE. The file is what `tests/written.rs` writes.

Prints which h11 it is, and then a line of JSON for each stream: the messages that were read from it,
whole and octet by octet (`null` of long streams, over which it takes its time). What cannot be read is
`{"error": why}`, and the last of them.
"""

import base64
import json
import sys

import h11

# An offer of an upgrade changes nothing, unless it is taken.
FIELDS = [("Host", "a"), ("Connection", "upgrade"), ("Upgrade", "websocket")]
LONG = 3000


def lines(headers) -> list[list[str]]:
    return [[part.decode("latin-1") for part in line] for line in headers.raw_items()]


class Reader:
    """One end of the connection that the other end wrote to."""

    def __init__(self, asked: list[str] | None):
        self.asked = asked
        self.role = h11.SERVER if asked is None else h11.CLIENT
        self.messages: list[dict] = []
        self.fed = 0
        self.begin()

    def begin(self) -> None:
        self.h11 = h11.Connection(self.role)
        self.ended = False
        self.ask()

    def ask(self) -> None:
        """What the stream answers: h11 reads no response without."""
        self.open = None
        if self.asked:
            method = self.asked.pop(0)
            self.h11.send(h11.Request(method=method, target="/", headers=FIELDS))
            self.h11.send(h11.EndOfMessage())

    def feed(self, octets: bytes) -> bool:
        """Reads on; false when nothing more can be read."""
        if self.ended and octets:
            self.begin()
        self.fed += len(octets)
        self.h11.receive_data(octets)
        try:
            while self.take(self.h11.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self.messages.append({"error": str(error).partition(":")[0]})
        last = self.messages[-1] if self.messages else {}
        return "error" not in last and last.get("persists") != "leaves"

    def take(self, event) -> bool:
        if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
            return False
        if isinstance(event, h11.Data):
            self.open["content"] += event.data
        elif isinstance(event, h11.EndOfMessage):
            self.end(event)
        else:
            self.head(event)
        return True

    def head(self, event) -> None:
        minor = int(event.http_version.split(b".")[1])
        if isinstance(event, h11.Request):
            start = [event.method.decode("latin-1"), event.target.decode("latin-1"), minor]
        else:
            start = [event.status_code, event.reason.decode("latin-1"), minor]
        waits = self.role is h11.SERVER and self.h11.they_are_waiting_for_100_continue
        self.open = {
            "start": start, "fields": lines(event.headers), "content": b"", "waits": waits
        }
        if self.h11.their_state is h11.SWITCHED_PROTOCOL:
            self.done([], "leaves")
        elif isinstance(event, h11.InformationalResponse):
            self.done([], True)

    def done(self, trailers: list, persists: bool | str) -> None:
        content = base64.b64encode(self.open["content"]).decode()
        left = len(self.h11.trailing_data[0])
        self.messages.append({
            **self.open, "content": content, "trailers": trailers, "persists": persists,
            "end": self.fed - left,
        })

    def end(self, event) -> None:
        left, _ = self.h11.trailing_data
        message = self.open
        if self.role is h11.SERVER:
            # Refused, where it is a CONNECT or an Upgrade: what matters is what the request says.
            self.h11.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
            self.h11.send(h11.EndOfMessage())
        persists = self.h11.their_state is h11.DONE
        self.done(lines(event.headers), persists)
        if persists:
            self.h11.start_next_cycle()
            self.ask()
        else:
            # It keeps no connection of version 1.0: what follows is for another one.
            self.ended = message["start"][2] == 0
            if self.ended and left:
                self.begin()
                self.h11.receive_data(left)


def read(stream: dict, octets: bytes, step: int) -> list[dict]:
    reader = Reader(stream["asked"] and [*stream["asked"]])
    goes_on = all(
        reader.feed(octets[at : at + step]) for at in range(0, len(octets), step)
    )
    if goes_on and reader.h11.their_state is h11.SEND_BODY:
        reader.feed(b"")  # the end of the connection
    return reader.messages


def main() -> None:
    print(json.dumps({"version": h11.__version__}))
    with open(sys.argv[1], encoding="utf-8") as file:
        for stream in map(json.loads, file):
            octets = base64.b64decode(stream["octets"])
            whole = read(stream, octets, max(1, len(octets)))
            cut = read(stream, octets, 1) if len(octets) <= LONG else None
            print(json.dumps({"whole": whole, "cut": cut}))


main()
