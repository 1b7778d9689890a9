"""`fetch` against a server that closes at random moments: what may be sent again is, once (S5)."""

import collections
import concurrent.futures
import dataclasses
import pathlib
import re
import sys
import threading

from harness import at_least, between, check, poll

SEED = 9112

# What `fetch` says when it sends again, by the two rows of S5 that can apply here.
UNSENT = "nothing of it was sent"
REUSED = "an idle connection was closed as it was used"


class Closing:
    def __init__(self, h, seed: int):
        script = pathlib.Path(__file__).with_name("closing_server.py")
        self.log, errors = next(h.fresh), next(h.fresh)
        h.start([sys.executable, str(script), str(seed)], self.log, errors)
        first = poll(lambda: self.lines()[:1], bool, 10)
        if not first or not first[0].startswith("listening on "):
            raise RuntimeError(f"the closing server: {errors.read_text()[-300:]!r}")
        self.url = f"http://127.0.0.1:{first[0].split()[-1]}/"

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def told(self, what: str) -> list[str]:
        """The words behind this one, of all lines with it."""
        return [line.split()[1] for line in self.lines() if line.startswith(what)]


@dataclasses.dataclass
class Account:
    """What all runs of `fetch` say about it."""

    answered: list[str] = dataclasses.field(default_factory=list)
    again: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    failed: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    statuses: list[int] = dataclasses.field(default_factory=list)
    attempted: int = 0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(self, name: str, done) -> int:
        """Adds one run, and returns how many requests it attempted.

        The line that `fetch` prints for a request is known to this function only.
        """
        with self.lock:
            before = self.attempted
            self.read(name, done)
            return self.attempted - before

    def read(self, name: str, done) -> None:
        number = 0
        for line in done.stderr.splitlines():
            if not (found := re.match(r"connection \d+, request (\d+): (.*)", line)):
                continue
            if again := re.search(r"; sent again \(([^()]*)\)$", found[2]):
                self.again.append((int(found[1]), again[1]))
                continue
            if not re.match(r"\d{3}, ", found[2]):
                self.failed.append((f"{name}-{number}", found[2]))
            number += 1
        self.attempted += number
        # What was really brought home: the content is the id.
        self.answered += re.findall(rf"(?m)^{name}-\d+$", done.stdout.decode())
        self.statuses.append(done.status)


def twice(names: list[str]) -> list[str]:
    return [name for name, count in collections.Counter(names).items() if count > 1]


@check("fetch", "1000 GETs, the server closing at random")
def _(h):
    server, account = Closing(h, SEED), Account()
    # In a row, or with a pause, in which an idle connection can be closed and seen to be.
    pauses = [0, 0, 0, 0, 1, 2, 5, 10, 15, 25]

    def run(number: int):
        name = f"get{number}"
        command = [*h.programs["fetch"], server.url, "--repeat", "100", "--id", name]
        return name, h.run([*command, "--pause", str(pauses[number])], 30)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name, done in pool.map(run, range(len(pauses))):
            account.add(name, done)
    yield "exit status", [0] * 10, account.statuses
    yield "answered, each once", [1000, 1000], [len(account.answered), len(set(account.answered))]
    executed = server.told("executed")
    yield "executed", [1000, 1000], [len(executed), len(set(executed))]
    yield "failed", [], account.failed[:5]
    # Not a single one on a fresh connection, and for no other reasons.
    others = {why for _, why in account.again} - {UNSENT, REUSED}
    yield "sent again for other reasons", set(), others
    yield "sent again: number of the request on its connection", at_least(2), min(
        (number for number, _ in account.again), default=0
    )
    # At least as often as the server read a request and dropped it. This is also what shows that
    # there was something to get wrong.
    dropped = server.told("dropped")
    yield "dropped by the server", at_least(50), len(dropped)
    yield "sent again", at_least(len(dropped)), len(account.again)
    for how in ("fin", "half", "reset"):
        yield f"idle connections closed: {how}", at_least(20), server.told("closed").count(how)


@check("fetch", "300 POSTs, the server closing at random")
def _(h):
    server, account = Closing(h, SEED + 1), Account()
    file = next(h.fresh)
    file.write_bytes(b"once only\n" * 20)

    def runs(worker: int) -> None:
        """75 POSTs. A run of `fetch` ends with the first one that fails."""
        left, turn, pause = 75, 0, [0, 0, 3, 12][worker]
        while left > 0 and turn < 75:
            name, turn = f"post{worker}x{turn}", turn + 1
            command = [*h.programs["fetch"], server.url, "--id", name, "--repeat", str(left)]
            command += ["--method", "POST", "--data", str(file), "--pause", str(pause)]
            left -= account.add(name, h.run(command, 30))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(runs, range(4)))
    executed, dropped = server.told("executed"), server.told("dropped")
    yield "attempted", 300, account.attempted
    yield "executed twice", [], twice(executed)
    yield "seen twice by the server", [], twice(executed + dropped)
    yield "answered, but not executed", set(), set(account.answered) - set(executed)
    yield "executed, but not answered", set(), set(executed) - set(account.answered)
    yield "answered or failed", 300, len(account.answered) + len(account.failed)
    yield "sent again for other reasons", set(), {why for _, why in account.again} - {UNSENT}
    yield "failed, and why", {f"safe to send again: IfIdempotent ({REUSED})"}, {
        why.rpartition("; ")[2] for _, why in account.failed
    }
    yield "dropped by the server", at_least(10), len(dropped)
    # More than these where the request crossed the close on its way.
    yield "failed", between(len(dropped), len(dropped) + 100), len(account.failed)
    yield "exit statuses", {0, 1}, set(account.statuses)
