"""A server that closes its connections at random moments: `python3 closing_server.py SEED`.

The first request on a connection is always answered; a client could do nothing about it. Then the
server waits for the next one, for no time at all or up to 30 ms, and closes: with a FIN, with a
half-close, or with a reset. Or it waits for the next request, reads it whole, and closes without
having acted on it, which looks just the same to the client.

The answer is the Request-Id. Standard output says `listening on PORT`, and then what became of each
request and connection, written before the client can know:

    executed ID      acted on, and answered
    dropped ID HOW   read whole, not acted on; then closed
    closed HOW       closed while no request had come, or half of one
"""

import random
import socket
import struct
import sys
import threading
import time

LOCK = threading.Lock()


def say(line: str) -> None:
    with LOCK:
        print(line, flush=True)


def close(connection: socket.socket, how: str) -> None:
    if how == "reset":
        # With a linger time of zero a close is a reset, and what was not yet sent is thrown away.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif how == "half":
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(0.2)
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass
    connection.close()


class Gone(Exception):
    """No whole request came in time, or the client closed."""


def read_request(connection: socket.socket, seconds: float) -> tuple[str, bytes]:
    """Id and content. The time is for all of it."""
    end, octets, length = time.monotonic() + seconds, b"", None
    while length is None or len(octets) < length:
        # A time-out of 0 means "do not block", so a look is taken even when the time is over.
        connection.settimeout(max(0.0, end - time.monotonic()))
        try:
            more = connection.recv(65536)
        except OSError:
            raise Gone from None
        if not more:
            raise Gone
        octets += more
        if length is None and b"\r\n\r\n" in octets:
            head = octets.partition(b"\r\n\r\n")[0]
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = len(head) + 4 + int(fields.get(b"content-length", b"0"))
    return fields[b"request-id"].decode(), octets[len(head) + 4 :]


def serve(connection: socket.socket, dice: random.Random) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    first = True
    while True:
        how = dice.choice(["fin", "half", "reset"])
        # Most clients ask again at once: to meet these, the time must be very short as well.
        limit = dice.choice([0.0, 0.0001, 0.0003, 0.001, 0.01, 0.03])
        wait = 5.0 if first else dice.random() * limit
        drops = not first and dice.random() < 0.15
        try:
            name, _ = read_request(connection, 0.03 if drops else wait)
        except Gone:
            say(f"closed {how}")
            return close(connection, how)
        if drops:
            say(f"dropped {name} {how}")
            return close(connection, how)
        say(f"executed {name}")
        content = f"{name}\n".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        connection.settimeout(5)
        try:
            connection.sendall(head + content)
        except OSError:
            return close(connection, "fin")
        first = False


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    say(f"listening on {listener.getsockname()[1]}")
    dice = random.Random(int(sys.argv[1]))
    while True:
        connection, _ = listener.accept()
        own = random.Random(dice.random())
        threading.Thread(target=serve, args=(connection, own), daemon=True).start()


main()
