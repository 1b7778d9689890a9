"""The programs of `examples/runtimes`, and what they and their load generators tell."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time

from harness import BUILD_SECONDS, ROOT, Harness, build_examples, poll

MANIFEST = ROOT / "examples" / "runtimes" / "Cargo.toml"


def build() -> dict[str, str] | None:
    """Builds them, and takes their paths from cargo itself."""
    command = ["cargo", "build", "--release", "--bins", "--manifest-path", str(MANIFEST)]
    target = os.environ.get("CARGO_TARGET_DIR")
    environment = {**os.environ}
    if target:  # as .ci/run does with packages that have a workspace of their own
        environment["CARGO_TARGET_DIR"] = str(pathlib.Path(target) / "runtimes")
    done = subprocess.run(
        [*command, "--message-format=json-render-diagnostics"],
        cwd=ROOT,
        env=environment,
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
        if message.get("reason") == "compiler-artifact" and message.get("executable")
    }


def programs(
    serve: str | None, fetch: str | None, epoll: str | None
) -> dict[str, list[str]] | None:
    """The command of each program that the checks run: what is given, or else what is built."""
    given = {"serve": serve, "fetch": fetch, "epoll_server": epoll}
    built: dict[str, str] = {}
    if not (serve and fetch):
        examples = build_examples()
        if examples is None:
            return None
        built |= examples
    if not epoll:
        others = build()
        if others is None:
            return None
        built |= others
    return {name: shlex.split(command or built[name]) for name, command in given.items()}


class Program:
    """One that listens, and tells at its end what it did."""

    def __init__(self, h: Harness, *command: str):
        path = next(h.fresh)
        self.stdout, self.stderr = path.with_suffix(".out"), path.with_suffix(".err")
        command = (command[0], "--listen", "127.0.0.1:0", *command[1:])
        self.process = h.start(list(command), self.stdout, self.stderr)
        poll(lambda: (self.process.poll(), "\n" in self.text()), any, 10.0)
        found = re.match(r"listening on 127\.0\.0\.1:(\d+)\n", self.text())
        if not found:
            raise RuntimeError(f"{command}: {self.text()!r} {self.stderr.read_text()[-300:]!r}")
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def text(self) -> str:
        return self.stdout.read_text(errors="replace")

    def resident(self) -> int:
        """KiB, as the operating system tells."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])

    def end(self, seconds: float = 45.0) -> "Account":
        """Drains it."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(seconds)
        errors = self.stderr.read_text(errors="replace")
        if status != 0 or errors:
            raise RuntimeError(f"status {status}, stderr {errors[-500:]!r}")
        return Account(self.text())


class Account:
    """Lines of `name value`."""

    def __init__(self, text: str):
        self.text = text

    def __getitem__(self, name: str) -> int:
        found = re.search(rf"^{re.escape(name)} (\d+)", self.text, re.MULTILINE)
        return int(found[1]) if found else 0

    def closes(self) -> dict[str, int]:
        lines = re.findall(r"^close (\w+) (\d+)$", self.text, re.MULTILINE)
        return {why: int(n) for why, n in lines}

    def unexplained(self) -> int:
        """Connections without a reason for their close."""
        return self["connections"] - sum(self.closes().values())


class Load:
    """What wrk saw, one or more times."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.seconds = 0.0

    def wrk(self, h: Harness, url: str, seconds: int, *arguments: str, heap: str = "") -> None:
        """With the arguments of wrk; `heap` is a script that makes 16 requests at a time."""
        # It shares the processor with everything else: a long wait is no failure here.
        command = ["wrk", "-d", str(seconds), "--timeout", "20s", *arguments]
        command += ["-s", heap, url, "--", "16"] if heap else [url]
        begun = time.monotonic()
        done = h.run(command, seconds + 40)
        self.seconds += time.monotonic() - begun
        out = done.stdout.decode()
        if done.status != 0:
            raise RuntimeError(f"wrk ended with {done.status}: {out[-300:]!r} {done.stderr[-300:]!r}")
        self.requests += int(re.search(r"(\d+) requests in", out)[1])
        errors = re.search(
            r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out
        )
        self.failed += sum(map(int, errors.groups())) if errors else 0
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        self.failed += int(other[1]) if other else 0

    def ab(self, h: Harness, url: str, requests: int, *arguments: str) -> int:
        """Returns how many responses were kept alive, according to ab."""
        command = ["ab", "-q", "-n", str(requests), *arguments, url]
        begun = time.monotonic()
        done = h.run(command, 120.0)
        self.seconds += time.monotonic() - begun
        out = done.stdout.decode()
        if done.status != 0:
            raise RuntimeError(f"ab ended with {done.status}: {done.stderr[-300:]!r}")
        self.requests += int(re.search(r"Complete requests:\s+(\d+)", out)[1])
        self.failed += int(re.search(r"Failed requests:\s+(\d+)", out)[1])
        other = re.search(r"Non-2xx responses:\s+(\d+)", out)
        self.failed += int(other[1]) if other else 0
        kept = re.search(r"Keep-Alive requests:\s+(\d+)", out)
        return int(kept[1]) if kept else 0

    @property
    def rate(self) -> float:
        return self.requests / max(self.seconds, 0.001)
