"""What the checks stand on: their registry, processes that never outlive the run, the table.

A check is a generator: it yields `(what, expected, seen)`, one line of the table each, and the
line is ok when the two are equal. An exception in it (a time-out, an answer that is not HTTP) is a
FAIL line as well, so a check can be written as if all went well.
"""

import dataclasses
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from install import which

ROOT = pathlib.Path(__file__).resolve().parents[2]

# All checks together take about a minute. The bound is for the day when each of them hangs.
BUDGET_SECONDS = 180.0
BUILD_SECONDS = 600.0


# ---------------------------------------------------------------------------- checks and rows


@dataclasses.dataclass(frozen=True)
class Check:
    peer: str
    title: str
    needs: tuple[str, ...]
    waits: bool
    function: Callable[["Harness"], Iterable[tuple[str, object, object]]]

    @property
    def name(self) -> str:
        return f"{self.peer}/{self.title}"


@dataclasses.dataclass(frozen=True)
class Row:
    peer: str
    check: str
    expected: object
    seen: object
    ok: bool


CHECKS: list[Check] = []


def check(peer: str, title: str, *needs: str, waits: bool = False):
    """Registers the function below it. `needs` are the programs that it cannot do without.

    One that `waits` spends its time waiting for time to pass. All of these run side by side, when
    the others, one after the other, are done and no longer compete for the processor.
    """

    def register(function):
        CHECKS.append(Check(peer, title, needs, waits, function))
        return function

    return register


class Holds:
    """An expectation that is not one value: equal to whatever the predicate accepts."""

    def __init__(self, text: str, accepts: Callable[[object], bool]):
        self.text, self.accepts = text, accepts

    def __eq__(self, other: object) -> bool:
        return bool(self.accepts(other))

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


def at_most(limit: float) -> Holds:
    return Holds(f"<= {limit}", lambda seen: seen <= limit)


def at_least(limit: float) -> Holds:
    return Holds(f">= {limit}", lambda seen: seen >= limit)


def between(low: float, high: float) -> Holds:
    return Holds(f"{low} .. {high}", lambda seen: low <= seen <= high)


def not_equal(value: object) -> Holds:
    return Holds(f"not {value!r}", lambda seen: seen != value)


def poll(probe: Callable[[], object], wanted: Callable[[object], bool], seconds: float = 3.0):
    """The last value of `probe`, once it is `wanted` or the time is up.

    For logs that another process writes a moment after its client was served.
    """
    end = time.monotonic() + seconds
    while not wanted(value := probe()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


# ---------------------------------------------------------------------------- the programs


def build_examples() -> dict[str, str] | None:
    """Builds them, and takes their paths from cargo itself: right under any CARGO_TARGET_DIR."""
    done = subprocess.run(
        ["cargo", "build", "--release", "--examples", "--message-format=json-render-diagnostics"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        return None
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    return {
        message["target"]["name"]: message["executable"]
        for message in messages
        if message.get("reason") == "compiler-artifact"
        and message["target"]["kind"] == ["example"]
        and message.get("executable")
    }


class Server:
    """A running `serve`. Its output goes to files, so no pipe of it can ever be full."""

    def __init__(self, h: "Harness", arguments: tuple[str, ...]):
        name = next(h.fresh)
        self.stdout, self.stderr = name.with_suffix(".out"), name.with_suffix(".err")
        self.command = " ".join(["serve", *arguments])
        command = [*h.programs["serve"], "--listen", "127.0.0.1:0", *arguments]
        self.process = h.start(command, self.stdout, self.stderr)
        poll(lambda: (self.process.poll(), self.first_line()), any, 10.0)
        found = re.fullmatch(r"listening on (127\.0\.0\.1):(\d+)\r?\n", self.first_line())
        if not found:
            raise RuntimeError(f"first line {self.first_line()!r}, stderr {self.errors()[-300:]!r}")
        self.host, self.port = found[1], int(found[2])

    def first_line(self) -> str:
        line = self.stdout.read_text(errors="replace").partition("\n")
        return line[0] + line[1]

    def errors(self) -> str:
        return self.stderr.read_text(errors="replace")

    def output(self) -> str:
        """All that it wrote; the trace may be on either stream."""
        return self.stdout.read_text(errors="replace") + self.errors()

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"


@dataclasses.dataclass(frozen=True)
class Done:
    status: int
    stdout: bytes
    stderr: str


class Harness:
    def __init__(self, programs: dict[str, list[str]]):
        self.programs = programs
        self.started: list[subprocess.Popen] = []
        self.servers: dict[tuple[str, ...], Server] = {}
        self.lock = threading.Lock()
        self.end = time.monotonic() + BUDGET_SECONDS
        # No proxy of the environment may come between two ends on loopback.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and not name.startswith("NODE_")
        }

    def __enter__(self) -> "Harness":
        self.temporary = pathlib.Path(tempfile.mkdtemp(prefix="keepalive-interop-"))
        return self

    def __exit__(self, *_: object) -> None:
        while self.started:  # threads of checks may be taking from it too
            self.stop(self.started.pop())
        shutil.rmtree(self.temporary, ignore_errors=True)

    # Each child leads a process group of its own, so that its children end with it.
    def spawn(self, command: list[str], **options) -> subprocess.Popen:
        options = {"env": self.environment, "cwd": self.temporary, **options}
        process = subprocess.Popen(command, start_new_session=True, **options)
        self.started.append(process)
        return process

    def stop(self, process: subprocess.Popen) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def start(self, command: list[str], stdout, stderr, **options) -> subprocess.Popen:
        with open(stdout, "wb") as out, open(stderr, "wb") as err:
            return self.spawn(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **options
            )

    def run(self, command: list[str], seconds: float = 20.0, content: bytes | None = None) -> Done:
        program = which(command[0]) or command[0]
        process = self.spawn(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL if content is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            bound = max(0.1, min(seconds, self.end - time.monotonic()))
            stdout, stderr = process.communicate(content, timeout=bound)
        except subprocess.TimeoutExpired:
            self.stop(process)
            stderr = process.communicate()[1].decode(errors="replace")
            name = pathlib.Path(program).name
            raise TimeoutError(f"{name} ran longer than {bound:.0f} s: {stderr[-300:]!r}") from None
        finally:
            self.stop(process)
            self.started.remove(process)
        return Done(process.returncode, stdout, stderr.decode(errors="replace"))

    def serve(self, *arguments: str) -> Server:
        """The server with these arguments, started at its first use and shared from then on."""
        with self.lock:
            if arguments not in self.servers:
                self.servers[arguments] = Server(self, arguments)
            return self.servers[arguments]

    @functools.cached_property
    def fresh(self) -> Iterator[pathlib.Path]:
        """File names that were not used before. Threads may share it, unlike a generator."""
        return map(lambda number: self.temporary / f"file{number}", itertools.count())

    def run_check(self, check: Check, missing: set[str]) -> list[Row]:
        rows: list[Row] = []

        def add(what: str, expected: object, seen: object) -> None:
            title = f"{check.title}: {what}" if what else check.title
            rows.append(Row(check.peer, title, expected, seen, bool(expected == seen)))

        lacking = sorted(missing.intersection(check.needs))
        if lacking:
            add("", "runs", f"cannot be installed: {' '.join(lacking)}")
        elif time.monotonic() > self.end:
            add("", "runs", f"not run: the {BUDGET_SECONDS:.0f} s for all checks are over")
        else:
            try:
                for what, expected, seen in check.function(self):
                    add(what, expected, seen)
                if not rows:
                    add("", "at least one result", "none")
            except Exception as error:  # noqa: BLE001  (whatever went wrong is the result)
                add("", "runs", f"{type(error).__name__}: {error}")
        return rows

    def health(self) -> list[Row]:
        """No server may have died or panicked behind checks that happened to pass."""
        rows = []
        for server in self.servers.values():
            seen = "alive" if server.process.poll() is None else "dead"
            if "panicked" in server.output():
                seen += ", panicked: " + server.output().partition("panicked")[2][:300]
            rows.append(Row("all", f"{server.command}: at the end", "alive", seen, seen == "alive"))
        return rows


# ---------------------------------------------------------------------------- the table


def text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    line = value if isinstance(value, str) else repr(value)
    return line.replace("\r", "\\r").replace("\n", "\\n")


def report(rows: list[Row]) -> int:
    """The table, what failed in full, and the verdict."""
    show(rows)
    return verdict(len(rows), sum(not row.ok for row in rows))


def show(rows: list[Row]) -> None:
    def clip(value: object, width: int) -> str:
        line = text(value)
        return line if len(line) <= width else line[: width - 1] + "…"

    table = [("peer", "check", "expected", "seen", "")]
    for row in rows:
        verdict = "ok" if row.ok else "FAIL"
        table.append(
            (row.peer, clip(row.check, 84), clip(row.expected, 40), clip(row.seen, 40), verdict)
        )
    widths = [max(len(line[column]) for line in table) for column in range(5)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())

    for row in (row for row in rows if not row.ok):  # again, unclipped: this is what one wants to read
        print(f"\nFAIL {row.peer}: {row.check}")
        print(f"  expected {text(row.expected)[:2000]}\n  seen     {text(row.seen)[:2000]}")


def verdict(checked: int, failed: int) -> int:
    """Says it, and returns the exit status. Nothing checked is a failure, too."""
    print(f"\n{checked} checked, {failed} failed")
    sys.stdout.flush()
    return 1 if failed or not checked else 0
