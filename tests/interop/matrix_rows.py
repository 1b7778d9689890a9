"""What the matrix stands on: its rows, how they are run, and its table.

A row is one peer doing one thing against one of our programs, or one of our programs against it. It
says how many connections there were and how many requests each carried, according to the *server* of
the row, whoever that is; what of it was expected; and how much failed. Numbers of requests by
connection are written `2 x 4, 1 x 2`: two connections with four requests, then one with two.
"""

import dataclasses
import itertools
import pathlib
import re
import sys
import threading
import time
from collections.abc import Callable

from harness import Harness, text

# All rows together. For the day when each of them hangs.
BUDGET_SECONDS = 240.0

# Rows that wait for time to pass run side by side, but not all: they are not to wait for each other.
AT_ONCE = 12


@dataclasses.dataclass(frozen=True)
class Totals:
    """An expectation for what happens at the same time: who carries how many is then chance. But none
    carries more than `each`, if that is given."""

    connections: object
    requests: object
    each: int | None = None

    def __str__(self) -> str:
        return f"{self.connections!r} with {self.requests!r}"


@dataclasses.dataclass
class Row:
    peer: str
    ours: str
    title: str
    wanted: list[int] | Totals | None = None
    seen: list[int] | Totals | None = None
    failures: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def counted(self, wanted: list[int] | Totals, seen: list[int] | Totals) -> None:
        """The result. Where the server counts no single connections, `seen` are totals."""
        self.wanted, self.seen = wanted, seen

    def same(self, what: str, expected: object, seen: object) -> None:
        """A fact beside the numbers."""
        if not expected == seen:
            self.failures.append(f"{what}: expected {text(expected)[:200]}, seen {text(seen)[:200]}")

    def totals(self) -> tuple[int, int]:
        """Connections and requests."""
        if isinstance(self.seen, Totals):
            return self.seen.connections, self.seen.requests
        return len(self.seen or []), sum(self.seen or [])

    @property
    def reused(self) -> bool:
        """Whether connections were used as expected."""
        if self.wanted is None or self.seen is None:
            return False
        if isinstance(self.wanted, list) and isinstance(self.seen, list):
            return self.wanted == self.seen
        wanted = self.wanted
        if isinstance(wanted, list):
            wanted = Totals(len(wanted), sum(wanted))
        if wanted.each and isinstance(self.seen, list) and max(self.seen, default=0) > wanted.each:
            return False
        connections, requests = self.totals()
        return bool(wanted.connections == connections and wanted.requests == requests)

    @property
    def ok(self) -> bool:
        return self.reused and not self.failures

    @property
    def name(self) -> str:
        return f"{self.peer}/{self.ours}/{self.title}"


def runs(counts: list[int] | Totals | None) -> str:
    """Requests by connection, in short."""
    if not isinstance(counts, list):
        return str(counts or "nothing")
    groups = [(len(list(group)), n) for n, group in itertools.groupby(counts)]
    return ", ".join(f"{times} x {n}" for times, n in groups) or "none"


# ---------------------------------------------------------------------------- the registry


@dataclasses.dataclass(frozen=True)
class Entry:
    peer: str
    ours: str
    title: str
    needs: tuple[str, ...]
    waits: bool
    slow: bool
    function: Callable[[Harness, Row], None]

    @property
    def name(self) -> str:
        return f"{self.peer}/{self.ours}/{self.title}"


ENTRIES: list[Entry] = []


def entry(
    peer: str, ours: str, title: str, needs: tuple[str, ...], function, waits=False, slow=False
) -> None:
    """Registers a row. One that is `slow` is left out of a quick run; `waits` is as in `check`."""
    ENTRIES.append(Entry(peer, ours, title, needs, waits, slow, function))


def chosen(only: str, quick: bool) -> list[Entry]:
    found = [e for e in ENTRIES if re.search(only, e.name, re.IGNORECASE)]
    return [e for e in found if not (quick and e.slow)]


def run(h: Harness, entries: list[Entry], missing: set[str]) -> list[Row]:
    h.end = time.monotonic() + BUDGET_SECONDS
    rows = {entry: Row(entry.peer, entry.ours, entry.title) for entry in entries}
    turn = threading.Semaphore(AT_ONCE)

    def one(entry: Entry) -> None:
        with turn:
            row, begun = rows[entry], time.monotonic()
            lacking = sorted(missing.intersection(entry.needs))
            if lacking:
                row.failures.append(f"cannot be installed: {' '.join(lacking)}")
            elif begun > h.end:
                row.failures.append(f"not run: the {BUDGET_SECONDS:.0f} s for all are over")
            else:
                try:
                    entry.function(h, row)
                except Exception as error:  # noqa: BLE001  (whatever went wrong is the result)
                    row.failures.append(f"{type(error).__name__}: {error}")
            row.seconds = time.monotonic() - begun

    for e in entries:
        if not e.waits:
            one(e)
    threads = [threading.Thread(target=one, args=(e,), daemon=True) for e in entries if e.waits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(rows.values())


# ---------------------------------------------------------------------------- versions

VERSIONS: dict[str, Callable[[Harness], list[str]]] = {}
"""By peer, the command that tells its version."""


def versions(h: Harness, peers: list[str]) -> dict[str, str]:
    found = {}
    for peer in dict.fromkeys(peers):
        found[peer] = ""
        if peer in VERSIONS:
            try:
                done = h.run(VERSIONS[peer](h), 20.0)
            except (OSError, TimeoutError):
                continue
            number = re.search(r"\d+\.\d[\w.]*", done.stdout.decode(errors="replace") + done.stderr)
            found[peer] = number[0].rstrip(".") if number else ""
    return found


# ---------------------------------------------------------------------------- the tables


def columns(table: list[tuple[str, ...]], right: set[int]) -> None:
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    for line in table:
        cells = [
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths))
        ]
        print("  ".join(cells).rstrip())


def show(rows: list[Row], version: dict[str, str]) -> None:
    """The table, and again in full what failed."""

    def clip(line: str, width: int) -> str:
        return line if len(line) <= width else line[: width - 1] + "…"

    table = [("peer", "ours", "what", "connections", "requests", "expected", "seen", "failed", "")]
    for row in rows:
        connections, requests = map(str, row.totals())
        peer = f"{row.peer} {version.get(row.peer, '')}".strip()
        expected, seen = clip(runs(row.wanted), 28), clip(runs(row.seen), 28)
        verdict = "ok" if row.ok else "FAIL"
        failed = str(len(row.failures))
        table.append(
            (peer, row.ours, row.title, connections, requests, expected, seen, failed, verdict)
        )
    columns(table, {3, 4, 7})
    for row in rows:
        if not row.ok:
            print(f"\nFAIL {row.name}")
            print(f"  expected {runs(row.wanted)[:2000]}\n  seen     {runs(row.seen)[:2000]}")
            for failure in row.failures[:10]:
                print(f"  {text(failure)[:2000]}")


def markdown(rows: list[Row], version: dict[str, str]) -> str:
    """The short table of the README: a line for each peer."""
    lines = ["| Peer | Against our | Rows | Connections | Requests | Failed |", "|---|---|---|---|---|---|"]
    for peer in dict.fromkeys(row.peer for row in rows):
        own = [row for row in rows if row.peer == peer]
        ours = ", ".join(f"`{name}`" for name in dict.fromkeys(row.ours for row in own))
        connections = sum(row.totals()[0] for row in own)
        requests = sum(row.totals()[1] for row in own)
        bad = sum(not row.ok for row in own)
        name = f"{peer} {version.get(peer, '')}".strip()
        lines.append(f"| {name} | {ours} | {len(own)} | {connections} | {requests} | {bad} |")
    return "\n".join(lines)


def script(name: str) -> str:
    return str(pathlib.Path(__file__).with_name("peers") / name)


PYTHON = sys.executable

