"""The keep-alive race (S3.2): a client sends again just as the server gives the connection up.

Two servers. With `--idle 2` nothing is announced, since 2 s less the grace of 5 s is no time: a
pause of 1.5 s is served, and behind 2.5 s or 3 s the client finds the connection closed; half a
second is what a busy machine may keep either end waiting, since with nothing announced a request
that comes at the moment of the close is lost by right. With
`--idle 7` a timeout of 2 s is announced and 7 s are held: all three pauses are served, also those
of clients that pay no attention, and that is what the grace is for.

A client that sees the close before it sends, and connects anew, has lost nothing. A request that
is sent and not answered is a failure, whatever the client does about it.
"""

import concurrent.futures
import dataclasses
import http.client
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import time

from harness import at_least, check
from raw import Raw, request

PAUSES = [1.5, 2.5, 3.0]
ROUNDS = 3
# What the rounds take, and a little for starting.
SECONDS = ROUNDS * sum(PAUSES)

PATH = "/bytes/5"


@dataclasses.dataclass
class Seen:
    """What the clients of one kind saw."""

    pauses: int = 0
    # Connections that a client made because the one it had was closed.
    reopened: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    hints: set[str] = dataclasses.field(default_factory=set)


# ---------------------------------------------------------------------------- the clients


def http_client(h, server, clients: int) -> Seen:
    """Python's http.client never looks before it sends: it writes, and raises RemoteDisconnected if
    there is no answer. So this does for it what the pools above it (urllib3) do: it looks whether
    the idle socket is readable. An EOF there means a new connection; anything else is an octet that
    nobody asked for, such as a 408, and a failure. RemoteDisconnected after that look is one too.
    """
    seen = Seen()

    def one(number: int) -> None:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        time.sleep(number * 0.013)
        for turn in range(ROUNDS * len(PAUSES) + 1):
            pause = PAUSES[(number + turn) % len(PAUSES)]
            try:
                if turn > 0:
                    seen.pauses += 1
                    if select.select([connection.sock], [], [], 0)[0]:
                        if octets := connection.sock.recv(64):
                            seen.failures.append(f"{octets!r} in a pause")
                        seen.reopened += 1
                        connection.close()  # it connects by itself
                connection.request("GET", PATH, headers={"Connection": "keep-alive"})
                response = connection.getresponse()
                if (response.status, len(response.read())) != (200, 5):
                    seen.failures.append(f"{response.status} behind a pause of {pause}")
                seen.hints.add(response.headers.get("Keep-Alive") or "")
            except OSError as error:  # RemoteDisconnected is one
                seen.failures.append(f"{error!r} behind a pause of {pause}")
                connection.close()
            if turn < ROUNDS * len(PAUSES):
                time.sleep(PAUSES[(number + turn + 1) % len(PAUSES)])
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    return seen


def node(h, server, clients: int) -> Seen:
    """node's http.Agent listens to its idle sockets and drops one at EOF, as soon as its event loop
    comes to it; it does not look again before it sends. It honours `timeout` when
    it has a `timeout` of its own that is longer, and closes a second before it. It never retries:
    an ECONNRESET reaches the caller.
    """
    script = pathlib.Path(__file__).with_name("agent.mjs")
    pauses = [str(round(1000 * pause)) for pause in PAUSES]
    command = ["node", str(script), str(server.port), "pauses", str(clients), str(ROUNDS), *pauses]
    done = h.run(command, SECONDS + 20)
    if done.status != 0:
        raise RuntimeError(f"node ended with {done.status}: {done.stderr[-300:]!r}")
    told = json.loads(done.stdout)
    failures = told["errors"]
    if told["whole"] != told["pauses"] + clients:
        failures.append(f"{told['whole']} whole answers to {told['pauses'] + clients} requests")
    reopened = told["sockets"] - clients
    return Seen(told["pauses"], reopened, failures, set(told["hints"]))


def curl(h, server, clients: int) -> Seen:
    """curl starts its transfers at a `--rate`: one process is one connection, with a pause between
    any two of its transfers. It looks at a connection before re-using it. If the answer does not
    come all the same, it retries by itself and says so with `-v` only: that counts as a failure.
    """
    seen = Seen()

    def one(number: int) -> None:
        pause = PAUSES[number % len(PAUSES)]
        count = int(SECONDS / pause)
        url = server.url(f"{PATH}?curl[0-{count}]")
        command = ["curl", "-q", "-v", "-sS", "--noproxy", "*", "-o", "/dev/null"]
        # An hour divided by this is the time from start to start.
        command += ["--max-time", "9", "--rate", f"{round(3600 / pause)}/h"]
        command += ["-w", "%{http_code} %{size_download} %{num_connects}\n", url]
        done = h.run(command, SECONDS + 20)
        lines = [tuple(map(int, line.split())) for line in done.stdout.decode().splitlines()]
        seen.pauses += len(lines) - 1
        seen.reopened += sum(connects for _, _, connects in lines) - 1
        wrong = [line for line in lines if line[:2] != (200, 5)]
        if done.status != 0 or wrong or len(lines) != count + 1:
            seen.failures.append(f"{wrong}, {len(lines)} of {count + 1}, exit {done.status}")
        seen.failures += re.findall(r"(?im)^\* .*(?:retrying|reset|empty reply).*$", done.stderr)

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    return seen


WRK = """
local pauses, turn = {%s}, 0
function delay() turn = turn %% #pauses + 1; return pauses[turn] end
function done(summary)
  local e = summary.errors
  print(string.format('{"requests":%%d,"read":%%d,"others":%%d}', summary.requests, e.read,
                      e.connect + e.write + e.status + e.timeout))
end
"""


def wrk(h, server, pauses: list[float], clients: int) -> Seen:
    """wrk asks its script how long to wait before each request. It listens meanwhile, and connects
    anew at EOF. It counts that as a read error, although it has sent nothing: so only what the
    server saw tells whether a request was lost (see `lost` below), and read errors are connections
    made anew. Time-outs, write errors and statuses are failures.

    The timer of a pause that EOF has ended goes on, and makes a request on the new connection; from
    then on two timers run, as far apart as the server's own, and one of them fires just when the
    server closes. No server can win that race, so this is for pauses within what the server holds.
    """
    script = next(h.fresh)
    script.write_text(WRK % ", ".join(str(round(1000 * pause)) for pause in pauses))
    url = server.url(f"{PATH}?wrk")
    command = ["wrk", "-c", str(clients), "-t", "1", "-d", str(round(SECONDS)), "--timeout", "9"]
    done = h.run([*command, "-s", str(script), url], SECONDS + 20)
    told = json.loads(done.stdout.decode().splitlines()[-1])
    failures = [] if done.status == 0 and told["others"] == 0 else [f"{done.status}, {told}"]
    # After an error it connects and sends at once, so that request had no pause before it.
    return Seen(max(0, told["requests"] - clients - told["read"]), told["read"], failures)


def ab(h, server, pauses: list[float], clients: int = 4) -> Seen:
    """ab cannot pause, so it is stopped by a signal, and is almost always waiting for answers then.
    It finds them when it continues, and sends the next requests without a look at the socket. No
    server can save these when it has closed, so this is for pauses within what the server holds.
    """
    seconds = sum(pauses) + 0.1 * len(pauses) + 0.5
    command = ["ab", "-q", "-k", "-s", "10", "-c", str(clients), "-t", str(round(seconds))]
    command += ["-n", "1000000", server.url("/")]  # -n behind -t, which sets a limit of its own
    process = h.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.1)
    for pause in pauses:
        end = time.monotonic() + pause
        process.send_signal(signal.SIGSTOP)
        time.sleep(end - time.monotonic())
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    stdout, stderr = process.communicate(timeout=15)
    told = dict(re.findall(r"(?m)^([A-Z][^:\n]*):\s+(\d+)\b", stdout.decode()))
    failures = []
    if process.returncode != 0:
        failures.append(f"exit {process.returncode}: {stderr[-200:]!r}")
    for name in ("Failed requests", "Non-2xx responses"):
        if told.get(name, "0") != "0":
            failures.append(f"{told[name]} {name}")
    # It counts the answers that promised to persist.
    broken = int(told.get("Complete requests", "0")) - int(told.get("Keep-Alive requests", "0"))
    return Seen(len(pauses) * clients, broken, failures)


def lost(server) -> list[str]:
    """Octets that reached the server behind its half-close: a request into a closing connection."""
    shut, found = set(), []
    for line in server.output().splitlines():
        if entry := re.match(r"#(\d+) (shutdown$|read [1-9])", line):
            if entry[2] == "shutdown":
                shut.add(entry[1])
            elif entry[1] in shut:
                found.append(line)
    return found


# ---------------------------------------------------------------------------- the checks


def pauses_against(h, clients: dict[str, tuple]):
    """All kinds of clients at once; a line or two of the table for each of them."""
    seen = {}
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        running = {
            name: pool.submit(function, h, *arguments)
            for name, (function, *arguments) in clients.items()
        }
        for name, result in running.items():
            try:
                seen[name] = result.result()
            except Exception as error:  # noqa: BLE001  (one kind must not hide the others)
                seen[name] = Seen(failures=[f"{type(error).__name__}: {error}"])
    for name, told in seen.items():
        yield f"{name}: failures", [], told.failures[:20]
        yield f"{name}: pauses", at_least(20), told.pauses
    return seen


@check("race", "--idle 2", "curl", "ab", "wrk", "node", waits=True)
def _(h):
    traced, plain = h.serve("--idle", "2", "--trace"), h.serve("--idle", "2")
    seen = yield from pauses_against(h, {
        "node": (node, traced, 42),
        "http.client": (http_client, traced, 20),
        "curl": (curl, traced, 12),
        "wrk": (wrk, traced, PAUSES[:1], 20),
        "ab": (ab, plain, [1.5] * 10),
    })
    # Two pauses in three are longer than 2 s. Without this, a server that keeps connections for
    # ever would pass. More of them are no harm, a client was late; nor are a few less, an answer
    # was.
    for name in ("node", "http.client", "curl"):
        told = seen[name]
        yield f"{name}: connections made anew", at_least(told.pauses // 2), told.reopened
    yield "nothing is announced", {""}, seen["http.client"].hints
    yield "requests sent into a closing connection", [], lost(traced)[:5]
    yield "pauses in all", at_least(500), sum(told.pauses for told in seen.values())


@check("race", "--idle 7, announcing 2", "curl", "ab", "wrk", "node", waits=True)
def _(h):
    server = h.serve("--idle", "7", "--trace")
    seen = yield from pauses_against(h, {
        "node": (node, server, 10),
        "http.client": (http_client, server, 8),
        "curl": (curl, server, 6),
        "wrk": (wrk, server, PAUSES, 6),
        "ab": (ab, h.serve("--idle", "7"), PAUSES * 2),
    })
    yield "announced", {"timeout=2"}, seen["http.client"].hints | seen["node"].hints
    for name in ("http.client", "curl", "wrk", "ab"):
        yield f"{name}: served in the grace, none made anew", 0, seen[name].reopened
    yield "requests sent into a closing connection", [], lost(server)[:5]


@check("race", "a request behind the close", waits=True)
def _(h):
    """The client that loses the race: its request crosses the close on the way. It must see an EOF,
    which is a reason to try again, and no reset (S3.2-5). A server that just closes resets."""
    answers, errors = set(), set()
    server = h.serve("--idle", "2")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def one(number: int) -> None:
            with Raw(server) as raw:
                raw.send(request(PATH))
                raw.answer()
                raw.socket.settimeout(4)
                assert raw.rest() == b""
                time.sleep(0.05 * number)  # within the second for which the server lingers
                raw.send(request(PATH))
                time.sleep(0.1)
                error = raw.error()
                errors.add(os.strerror(error) if error else "none")
                answers.add(raw.socket.recv(64))
        list(pool.map(one, range(8)))
    yield "the answer is EOF", {b""}, answers
    yield "error on the socket", {"none"}, errors


@check("race", "a request at the moment of the close", waits=True)
def _(h):
    """Blind requests from 10 ms before the close to 10 ms after it, at 80 moments: each is answered
    whole, or finds EOF."""
    server = h.serve("--idle", "2")
    outcomes = {"answered": 0, "EOF": 0}
    sockets = []
    for number in range(80):
        raw = Raw(server)
        raw.send(request(PATH))
        raw.answer()
        sockets.append((time.monotonic() + 1.99 + number * 0.00025, raw))
        time.sleep(0.003)
    for moment, raw in sockets:
        time.sleep(max(0.0, moment - time.monotonic()))
        with raw:
            try:
                raw.send(request(PATH))
                head = raw.file.read(15)
                what = {b"HTTP/1.1 200 OK": "answered", b"": "EOF"}.get(head, repr(head))
            except OSError as error:
                what = type(error).__name__
        outcomes[what] = outcomes.get(what, 0) + 1
    yield "other outcomes", {}, {k: v for k, v in outcomes.items() if k not in ("answered", "EOF")}
    yield "all", 80, outcomes["answered"] + outcomes["EOF"]
