"""Rows of the matrix: other people's clients against `serve` and `epoll_server`.

The server counts: `serve` by its trace, `epoll_server` by what it tells at its end. The client says
what it was answered, and whether anything failed.
"""

import json
import re

import install
import runtimes
from against_serve import CONTENT, requests_by_connection
from harness import Harness, Server, at_least, at_most, between, poll
from matrix_rows import PYTHON, VERSIONS, Row, Totals, entry, script

SERVE, EPOLL = "serve", "epoll_server"

# ---------------------------------------------------------------------------- our servers


class Serve:
    def __init__(self, h: Harness, arguments: tuple[str, ...]):
        self.h, self.server = h, Server(h, ("--trace", *arguments))
        self.url = self.server.url("")

    def account(self, row: Row, requests: int, clean: bool) -> list[int]:
        def counts() -> list[int]:
            trace = self.server.output()
            accepted = len(re.findall(r"(?m)^#\d+ accepted$", trace))
            carried = requests_by_connection(trace)
            return carried + [0] * (accepted - len(carried))

        counts = poll(counts, lambda seen: sum(seen) >= requests)
        trace = self.server.output()
        if clean:
            row.failures += re.findall(r"(?m)^#\d+ event failed.*", trace)
        row.same("serve: alive", None, self.server.process.poll())
        row.same("serve: panics and complaints", [], re.findall(r"(?m)^(?!#\d+ |listening).+", trace))
        self.h.stop(self.server.process)
        return counts


class Epoll:
    def __init__(self, h: Harness, arguments: tuple[str, ...]):
        # It would close each connection at the thousandth request; `serve` does not.
        bounds = () if "--max-requests" in arguments else ("--max-requests", "0")
        command = [*h.programs[EPOLL], *bounds, *arguments]
        self.program = runtimes.Program(h, *command)
        self.url = self.program.url

    def account(self, row: Row, requests: int, clean: bool) -> Totals:
        account = self.program.end()
        row.same("epoll_server: connections without a reason", 0, account.unexplained())
        if clean:
            row.failures += re.findall(r"(?m)^failure .*$", account.text)
        return Totals(account["connections"], account["requests"])


def client(
    peer: str,
    title: str,
    needs: tuple[str, ...],
    wanted: list[int] | Totals,
    *arguments: str,
    ours: tuple[str, ...] = (SERVE, EPOLL),
    clean: bool = True,
    waits: bool = False,
    slow: bool = False,
):
    """Registers rows for the function below it: it gets a URL without a path, uses it, and returns
    how many requests were answered according to the client. Not `clean` are clients that leave in
    the middle of something."""

    def register(function):
        for name in ours:

            def one(h: Harness, row: Row, name: str = name) -> None:
                server = Serve(h, arguments) if name == SERVE else Epoll(h, arguments)
                answered = function(h, row, server.url)
                seen = server.account(row, answered, clean)
                row.counted(wanted, seen)
                if clean:
                    row.same("answered, according to the client", row.totals()[1], answered)

            entry(peer, name, title, needs, one, waits, slow)
        return function

    return register


# ---------------------------------------------------------------------------- curl

VERSIONS["curl"] = lambda h: ["curl", "--version"]


def curl(h: Harness, row: Row, status: int, size: int | None, arguments: list[str], urls: list[str],
         exits: tuple[int, ...] = (0,)) -> int:
    """Returns how many transfers were answered. Other statuses and sizes than these are failures."""
    command = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "15"]
    command += ["-w", "%{http_code} %{size_download}\n", *arguments]
    for url in urls:
        command += ["-o", "/dev/null", url]
    done = h.run(command)
    row.same("curl: exit status", True, done.status in exits or f"{done.status}: {done.stderr}")
    answers = [tuple(map(int, line.split())) for line in done.stdout.decode().splitlines()]
    wrong = [a for a in answers if a[0] != status or size not in (None, a[1])]
    row.failures += [f"curl: status {code}, {octets} octets" for code, octets in wrong]
    return len(answers)


def curls(title: str, wanted, status: int, size: int | None, path: str, *options: str,
          times: int = 0, exits: tuple[int, ...] = (0,), arguments: tuple[str, ...] = (), **more):
    """A row of curl that needs nothing else. The path is asked for as often as is `wanted`."""
    times = times or sum(wanted)

    @client("curl", title, ("curl",), wanted, *arguments, **more)
    def _(h, row, url):
        return curl(h, row, status, size, list(options), [f"{url}{path}"] * times, exits)


KEEP = ("--http1.0", "-H", "Connection: keep-alive")
SWITCH = ("-H", "Connection: Upgrade", "-H")

curls("GET", [20], 200, 1000, "/bytes/1000")
curls("GET, four at a time", Totals(between(2, 4), 40), 200, 100_000, "/bytes/100000", "--parallel",
      "--parallel-max", "4", "--parallel-immediate", times=40)
curls("GET, 1.0", [1] * 3, 200, 1000, "/bytes/1000", "--http1.0")
curls("GET, 1.0 with keep-alive", [10], 200, 1000, "/bytes/1000", *KEEP)
curls("GET, Connection: close", [1] * 3, 200, 1000, "/bytes/1000", "-H", "Connection: close")
curls("GET, chunked", [10], 200, 100_000, "/chunked/100000", ours=(SERVE,))
curls("GET, 1.0, close-delimited", [1] * 3, 200, 1000, "/chunked/1000", *KEEP, ours=(SERVE,))
curls("HEAD", [10], 200, 0, "/bytes/1000", "-I")
curls("404", [10], 404, None, "/nowhere")
curls("an upgrade to h2c, not heeded", [5], 200, 1000, "/bytes/1000", "--http2")
curls("an upgrade refused", [5], 426, None, "/upgrade", *SWITCH, "Upgrade: x", ours=(SERVE,))
# After a 101 curl waits for the end, which comes when the tunnel has been idle for long enough, and
# calls that an empty reply.
curls("an upgrade", [1], 101, 0, "/upgrade", *SWITCH, "Upgrade: echo", ours=(SERVE,), waits=True,
      arguments=("--idle", "1"), exits=(0, 52))
curls("limit: 10 requests each", [10] * 10, 200, 1000, "/bytes/1000",
      arguments=("--max-requests", "10"))
curls("limit: idle 1 s, pauses of 2 s", [1] * 3, 200, 1000, "/bytes/1000", "--rate", "30/m",
      arguments=("--idle", "1"), waits=True)


def upload(title: str, path: str, count: int, *options: str) -> None:
    @client("curl", title, ("curl",), [count])
    def _(h, row, url):
        file, outputs = next(h.fresh), [next(h.fresh) for _ in range(count)]
        file.write_bytes(CONTENT)
        command = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "15", *options]
        for output in outputs:
            # `-T` and `--data-binary` take the name of a file differently; both read it whole.
            name = str(file) if options[-1] == "-T" else f"@{file}"
            command += [name, "-o", str(output), f"{url}{path}"]
            command += ["--next", "-q", "-sS", *options] if output is not outputs[-1] else []
        done = h.run(command)
        row.same("curl: exit status", 0, done.status)
        back = sum(o.exists() and o.read_bytes() == CONTENT for o in outputs)
        row.same("content came back", count, back)
        return back


upload("POST", "/echo", 5, "-H", "Expect:", "--data-binary")
upload("POST, Expect", "/echo", 5, "-H", "Expect: 100-continue", "--data-binary")
upload("POST, chunked", "/echo", 5, "-H", "Transfer-Encoding: chunked", "--data-binary")
upload("PUT", "/echo", 5, "-T")


@client("curl", "HTTP/2 without asking: 505", ("curl",), Totals(1, 0), clean=False)
def _(h, row, url):
    done = h.run(["curl", "-q", "-sS", "--http2-prior-knowledge", "--max-time", "10", url])
    row.same("curl: says that it failed", True, done.status != 0)
    return 0


# ---------------------------------------------------------------------------- load generators

VERSIONS["ab"] = lambda h: ["ab", "-V"]
VERSIONS["wrk"] = lambda h: ["wrk", "-v"]
VERSIONS["h2load --h1"] = lambda h: ["h2load", "--version"]


def number(pattern: str, output: str) -> int:
    found = re.search(pattern, output)
    return int(found[1]) if found else 0


def abs_(title: str, wanted, kept: int, path: str, *options: str, **more) -> None:
    """A row of ab. `kept` is how many responses it is to find kept alive."""
    arguments = more.pop("arguments", ())

    @client("ab", title, ("ab",), wanted, *arguments, **more)
    def _(h, row, url):
        file = next(h.fresh)
        file.write_bytes(CONTENT[:5000])
        command = ["ab", "-q", "-s", "10", *(str(file) if o == "FILE" else o for o in options)]
        done = h.run([*command, f"{url}{path}"], 40.0)
        out = done.stdout.decode()
        row.same("ab: exit status", 0, done.status)
        row.same("ab: failed", 0, number(r"Failed requests:\s+(\d+)", out))
        row.same("ab: not 2xx", 0, number(r"Non-2xx responses:\s+(\d+)", out))
        row.same("ab: kept alive", kept, number(r"Keep-Alive requests:\s+(\d+)", out))
        return number(r"Complete requests:\s+(\d+)", out)


abs_("-k -n 5000 -c 8", Totals(8, 5000), 5000, "/bytes/1000", "-k", "-n", "5000", "-c", "8")
# At its end it has begun up to eight connections more than it needs.
abs_("-n 300 -c 8", Totals(between(300, 308), 300), 0, "/bytes/1000", "-n", "300", "-c", "8")
abs_("-k -i (HEAD)", Totals(4, 400), 400, "/bytes/1000", "-k", "-i", "-n", "400", "-c", "4")
abs_("-k -p (POST)", Totals(4, 400), 400, "/echo", "-k", "-p", "FILE", "-n", "400", "-c", "4")
abs_("limit: 100 requests each", [100] * 10, 990, "/bytes/1000", "-k", "-n", "1000", "-c", "1",
     arguments=("--max-requests", "100"))


# It connects once more than it is told to, to see whether the address is good; and at the end it
# leaves while requests are on the way.
@client("wrk", "-c 16 -d 1", ("wrk",), Totals(17, at_least(100)), clean=False)
def _(h, row, url):
    done = h.run(["wrk", "-c", "16", "-d", "1", "-t", "1", f"{url}/bytes/1000"], 25.0)
    out = done.stdout.decode()
    row.same("wrk: exit status", 0, done.status)
    row.failures += re.findall(r"(?im)^\s*(?:socket errors|non-2xx).*$", out)
    return number(r"(\d+) requests in", out)


def h2load(title: str, wanted, total: int, *options: str, **more) -> None:
    arguments = more.pop("arguments", ())

    @client("h2load --h1", title, ("h2load",), wanted, *arguments, **more)
    def _(h, row, url):
        command = ["h2load", "--h1", "-n", str(total), *options, f"{url}/bytes/1000"]
        out = h.run(command, 40.0).stdout.decode()
        bad = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", out)
        row.same("h2load: failed, errored, timeout", ("0", "0", "0"), bad and bad.groups())
        return number(r"status codes: (\d+) 2xx", out)


h2load("-n 5000 -c 8", Totals(8, 5000), 5000, "-c", "8")
h2load("-n 5000 -c 8 -m 10 (pipelined)", Totals(8, 5000), 5000, "-c", "8", "-m", "10")


def hey(title: str, wanted, total: int, *options: str) -> None:
    @client("hey", title, ("hey",), wanted)
    def _(h, row, url):
        command = ["hey", "-n", str(total), *options, f"{url}/bytes/1000"]
        out = h.run(command, 40.0).stdout.decode()
        errors = out.partition("Error distribution:")[2]
        row.failures += [line for line in errors.splitlines() if line.strip()]
        return number(r"\[200\]\s+(\d+) responses", out)


# Go may dial while a connection comes back, and then has one more than it needs.
hey("-n 2000 -c 8", Totals(between(8, 16), 2000), 2000, "-c", "8")
hey("-n 200 -c 4 -disable-keepalive", Totals(200, 200), 200, "-c", "4", "-disable-keepalive")


# ---------------------------------------------------------------------------- client libraries

VENV_PYTHON = str(install.VENV / "bin" / "python")
NODE = ["node", script("client.mjs")]
LIBRARIES = {
    "http.client": ([PYTHON, script("client.py"), "http.client"], ()),
    "requests": ([VENV_PYTHON, script("client.py"), "requests"], ("requests",)),
    "aiohttp": ([VENV_PYTHON, script("client.py"), "aiohttp"], ("aiohttp",)),
    "node http.Agent": ([*NODE, "agent"], ("node",)),
    "undici": ([*NODE, "undici"], ("node", "undici")),
    "Go net/http": ([str(install.GO), "client"], ("go peer",)),
}


def version_of(module: str):
    return lambda h: [VENV_PYTHON, "-c", f"import {module}; print({module}.__version__)"]


VERSIONS |= {
    "http.client": lambda h: [PYTHON, "--version"],
    "requests": version_of("requests"),
    "aiohttp": version_of("aiohttp"),
    "node http.Agent": lambda h: ["node", "--version"],
    "undici": lambda h: ["grep", '"version"', str(install.NPM / "node_modules/undici/package.json")],
    "Go net/http": lambda h: ["go", "version"],
}


def ask(h: Harness, row: Row, command: list[str], url: str, mode: str, count: int, width=1, pause=0):
    """One of peers/client.*"""
    numbers = map(str, (count, width, pause))
    done = h.run([*command, url, mode, *numbers, str(install.NPM)], 30.0)
    if done.status != 0:
        raise RuntimeError(f"exit status {done.status}: {done.stderr[-500:]!r}")
    seen = json.loads(done.stdout)
    row.failures += seen["failures"]
    return seen["answered"]


def library(peer: str, title: str, wanted, mode: str, count: int, *arguments: str,
            width: int = 1, pause: int = 0, **more) -> None:
    command, needs = LIBRARIES[peer]

    @client(peer, title, needs, wanted, *arguments, **more)
    def _(h, row, url):
        return ask(h, row, command, url, mode, count, width, pause)


for name in LIBRARIES:
    library(name, "GET", [100], "sequential", 100)
    # undici closes behind each HEAD: some servers send content that they should not.
    library(name, "HEAD", [1] * 10 if name == "undici" else [10], "head", 10)
    expects = name in ("aiohttp", "node http.Agent", "Go net/http")
    library(name, "POST, Expect" if expects else "POST", [10], "upload", 10)
    library(name, "POST, chunked", [10], "stream", 10)
    limit = ("--max-requests", "10")
    library(name, "limit: 10 requests each", [10] * 10, "sequential", 100, *limit)
    if name != "http.client":  # which knows one connection only, and never looks whether it is there
        library(name, "GET, eight at a time", Totals(between(2, 8), 400), "parallel", 400, width=8)
        # Each connection is full before the next is made, but for the last ones. Go dials when all are
        # busy, and closes what it has dialled if another became free meanwhile.
        most = 80 if name == "Go net/http" else 48
        library(name, "limit: the same, eight at a time", Totals(between(40, most), 400, 10),
                "parallel", 400, *limit, width=8)
        library(name, "limit: idle 1 s, pauses of 2 s", [1] * 3, "sequential", 3, "--idle", "1",
                pause=2000, waits=True)
    # Longer than that in all: the time begins anew at each response.
    library(name, "idle 2 s, pauses of 0.7 s", [4], "sequential", 4, "--idle", "2", pause=700,
            waits=True)


@client("undici", "GET, ten pipelined", ("node", "undici"), [400])
def _(h, row, url):
    return ask(h, row, [*NODE, "pipelined"], url, "parallel", 400)


@client("requests", "GET without a session", ("requests",), [1] * 5)
def _(h, row, url):
    code = f"import requests\nfor _ in range(5): print(len(requests.get('{url}/bytes/7').content))"
    return h.run([VENV_PYTHON, "-c", code], 20.0).stdout.split().count(b"7")


# ---------------------------------------------------------------------------- a browser

BROWSER = "chromium-headless-shell"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]
VERSIONS["Chromium"] = lambda h: [BROWSER, "--version"]


# One connection is enough for the first half; for the second one there are at most six to a host.
@client("Chromium", "20 GET, 20 at once, POST", (BROWSER,), Totals(at_most(6), 41), slow=True)
def _(h, row, url):
    page, profile = next(h.fresh).with_suffix(".html"), next(h.fresh)
    with open(script("browser.html"), encoding="utf-8") as template:
        page.write_text(template.read().replace("SERVER", url).replace("COUNT", "20"))
    # The virtual time is what it waits for the page's own requests; real time hardly passes.
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=20000"]
    done = h.run([*command, "--dump-dom", page.as_uri()], 30.0)
    found = re.search(r'<p id="seen">(\{.*\})</p>', done.stdout.decode())
    if not found:
        raise RuntimeError(f"no result: {done.stdout[-300:]!r} {done.stderr[-300:]!r}")
    seen = json.loads(found[1])
    row.failures += seen["failures"]
    return seen["answered"]
