"""`serve --drain-after`: it stops accepting, tells every client, and loses no request (S6.6)."""

import collections
import concurrent.futures
import json
import pathlib
import select
import signal
import time

from harness import Server, at_least, between, check
from raw import Raw, request

AFTER = 3.0
# How long clients may take to go away by themselves: `min_idle`, and what they have in flight.
SOON = 4.0


class Load:
    """Clients of one kind, each until the server refuses to connect.

    A request is lost when it was sent and not answered whole, except into a connection whose EOF
    was there to see: then this makes another connection, as pools do.
    """

    def __init__(self, server):
        self.server = server
        self.answered: collections.Counter[str] = collections.Counter()
        # Announced and not: a client that is told in time need not run into an EOF at all.
        self.told_close: collections.Counter[str] = collections.Counter()
        self.lost: list[str] = []

    def until_refused(self, kind: str, number: int) -> None:
        kept = None
        for turn in range(1_000_000):
            if kept and select.select([kept.socket], [], [], 0)[0]:
                if octets := kept.socket.recv(64):
                    self.lost.append(f"{kind}: {octets!r} on an idle connection")
                kept.__exit__()
                kept = None
            try:
                kept = kept or Raw(self.server, 15.0)
            except ConnectionRefusedError:
                return
            try:
                length = getattr(self, kind)(kept, number + turn)
                answer = kept.answer()
                if (answer.status, len(answer.content)) != (200, length):
                    raise ValueError(f"{answer.status} with {len(answer.content)} octets")
                self.answered[kind] += 1
            except (OSError, EOFError, ValueError) as error:
                self.lost.append(f"{kind}: {error!r}")
                return
            if answer.field("Connection") == "close":
                self.told_close[kind] += 1
                kept.__exit__()
                kept = None
            time.sleep({"patient": 0.2 + 0.05 * (number % 8)}.get(kind, 0.004))

    # Each sends one request, and returns how long the content of its answer will be.

    def steady(self, raw: Raw, turn: int) -> int:
        if turn % 2:
            raw.send(request("/bytes/1000"))
            return 1000
        raw.send(request("/echo", method="POST", content=bytes(5000)))
        return 5000

    def patient(self, raw: Raw, turn: int) -> int:
        raw.send(request("/bytes/10"))
        return 10

    def one_shot(self, raw: Raw, turn: int) -> int:
        raw.send(request("/bytes/20", "Connection: close"))
        return 20

    def long_answer(self, raw: Raw, turn: int) -> int:
        raw.send(request("/chunked/4000000"))
        return 4_000_000

    def slow_upload(self, raw: Raw, turn: int) -> int:
        raw.send(request("/echo", "Content-Length: 30", method="POST"))
        for _ in range(10):
            time.sleep(0.05)
            raw.send(b"abc")
        return 30

    def slow_head(self, raw: Raw, turn: int) -> int:
        whole = request("/bytes/30")
        raw.send(whole[:9])
        time.sleep(0.3)
        raw.send(whole[9:])
        return 30


KINDS = {
    "steady": 10, "patient": 6, "one_shot": 4, "long_answer": 2, "slow_upload": 4, "slow_head": 3
}


def node(h, server) -> dict:
    script = pathlib.Path(__file__).with_name("agent.mjs")
    done = h.run(["node", str(script), str(server.port), "load", "12"], AFTER + 20)
    if done.status != 0:
        raise RuntimeError(f"node ended with {done.status}: {done.stderr[-300:]!r}")
    return json.loads(done.stdout)


@check("drain", "under load", "node")
def _(h):
    # Connections of 150 requests, so that new ones are made at every moment, and at that moment.
    server = Server(h, ("--drain-after", str(AFTER), "--max-requests", "150"))
    start = time.monotonic()
    load = Load(server)
    with concurrent.futures.ThreadPoolExecutor(1 + sum(KINDS.values())) as pool:
        agent = pool.submit(node, h, server)
        clients = [
            pool.submit(load.until_refused, kind, number)
            for kind, count in KINDS.items()
            for number in range(count)
        ]
        for client in clients:
            client.result()
        seen = agent.result()
    status = server.process.wait(35)
    taken = time.monotonic() - start
    yield "lost requests", [], load.lost[:20]
    yield "node: errors", [], seen["errors"][:20]
    for kind in KINDS:
        yield f"{kind}: answered", at_least(10), load.answered[kind]
    yield "node: answered", at_least(100), seen["answered"]
    yield "node: answered whole", seen["answered"], seen["whole"]
    # Whoever has a request in flight is told by its response, and need not be surprised.
    told = load.told_close["slow_head"]
    yield "slow_head: told by a response", at_least(KINDS["slow_head"]), told
    yield "node: agents that were refused in the end", 12, seen["refused"]
    yield "exit status", 0, status
    yield "seconds until it ends", between(AFTER - 0.2, AFTER + SOON), round(taken, 2)
    yield "standard error", "", server.errors()


@check("drain", "one connection of each kind", waits=True)
def _(h):
    server = Server(h, ("--drain-after", "1.5", "--head", "60"))
    drained = time.monotonic() + 1.5
    with Raw(server) as idle, Raw(server) as unused, Raw(server) as recent, Raw(server) as half:
        idle.send(request("/bytes/5"))
        yield "answers", 200, idle.answer().status
        half.send(request("/bytes/5")[:20])
        time.sleep(max(0, drained - 0.2 - time.monotonic()))
        recent.send(request("/bytes/5"))
        yield "a moment before", [200, None], [
            (answer := recent.answer()).status, answer.field("Connection")
        ]
        moment = time.monotonic()

        yield "never used: the end", b"", unused.rest()
        yield "never used: seconds", between(-0.1, 0.5), round(time.monotonic() - drained, 2)
        yield "idle: the end", b"", idle.rest()
        yield "idle: seconds", between(-0.1, 0.5), round(time.monotonic() - drained, 2)
        # Its last response promised persistence, so it is held for a second (S3.2-4).
        yield "just answered: the end", b"", recent.rest()
        yield "just answered: seconds", between(0.9, 1.5), round(time.monotonic() - moment, 2)
        # A request that is on the way is served, and its response says close.
        half.send(request("/bytes/5")[20:])
        answer = half.answer()
        yield "half sent: answer", [200, "close"], [answer.status, answer.field("Connection")]
        yield "half sent: the end", b"", half.rest()
    yield "exit status", 0, server.process.wait(10)


@check("drain", "connected, and not yet accepted", waits=True)
def _(h):
    """A listener that closes resets what waits in its queue, requests included."""
    server = Server(h, ("--drain-after", "1", "--max-requests", "10"))
    server.process.send_signal(signal.SIGSTOP)
    # So many that the drain begins before the last of them is accepted.
    clients = [Raw(server) for _ in range(100)]
    for raw in clients:
        raw.send(request("/bytes/5"))
    time.sleep(1.2)
    server.process.send_signal(signal.SIGCONT)
    answers = collections.Counter()
    for raw in clients:
        with raw:
            try:
                answers[raw.answer().status] += 1
            except (OSError, EOFError) as error:
                answers[repr(error)] += 1
    yield "answers", {200: 100}, dict(answers)
    yield "exit status", 0, server.process.wait(10)


@check("drain", "clients that never end", waits=True)
def _(h):
    """The hard stop of 30 s: whoever does not go by then is cut off."""
    server = Server(h, ("--drain-after", "0.5", "--head", "60"))
    start = time.monotonic()
    with Raw(server) as reads_nothing, Raw(server) as half, Raw(server) as tunnel:
        reads_nothing.send(request("/bytes/400000000"))
        half.send(request("/bytes/5")[:20])
        tunnel.send(request("/upgrade", "Connection: Upgrade", "Upgrade: echo"))
        yield "tunnel", 101, tunnel.answer().status
        yield "exit status", 0, server.process.wait(40)
        yield "seconds until it ends", between(30.0, 33.0), round(time.monotonic() - start, 2)
        yield "half a head gets no octet", b"", half.rest()
