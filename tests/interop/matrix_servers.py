"""Rows of the matrix: `fetch` against other people's servers.

Each row has a server of its own, which counts: in its access log stands the client's port, and that is
the connection. `fetch` says how many requests it made on which connection; the two have to agree.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import textwrap
import time

import install
from against_fetch import account_of
from harness import Harness, at_least, at_most, between, poll
from matrix_rows import PYTHON, VERSIONS, Row, Totals, entry, script

PAGE = b"the page that fetch must bring home\n"
LONG = PAGE * 4000
FETCH = "fetch"
MODULES = "/usr/lib/apache2/modules"

# ---------------------------------------------------------------------------- the servers


class Peer:
    """One that runs. `most` is its limit of requests on a connection (0 for none), `idle` how long it
    keeps one, in milliseconds, and `hint` whether it is to say so, where one can choose."""

    def __init__(self, h: Harness, most: int = 0, idle: int = 20_000, hint: bool = False):
        self.h, self.most, self.idle, self.hint = h, most, idle, hint
        self.directory = next(h.fresh)
        self.www = self.directory / "www"
        self.www.mkdir(parents=True)
        for name, content in {"page": PAGE, "long": LONG, "chunked": LONG}.items():
            (self.www / name).write_bytes(content)
        # Some give up being root, and are to read this all the same.
        os.chmod(h.temporary, 0o711)
        self.log, self.out, self.errors = (self.directory / n for n in ("log", "out", "errors"))
        self.port = 0
        self.process = self.begin()
        up = poll(lambda: self.process.poll() is not None or self.answers(), bool, 15.0)
        if not up or self.process.poll() is not None:
            raise RuntimeError(f"it does not start: {self.told()}")

    def begin(self) -> subprocess.Popen:
        raise NotImplementedError

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def told(self) -> str:
        return repr(self.errors.read_text(errors="replace")[-500:])

    def start(self, *command: str, **options) -> subprocess.Popen:
        return self.h.start(list(command), self.out, self.errors, **options)

    def end(self) -> None:
        self.h.stop(self.process)

    def lines(self) -> list[str]:
        """`PORT STATUS METHOD TARGET`, for each request."""
        log = self.log if self.log.exists() else self.out
        text = log.read_text(errors="replace") if log.exists() else ""
        return re.findall(r"(?m)^\d+ \d{3} [A-Z]+ /\S*$", text)

    def carried(self, requests: int) -> tuple[list[int], list[str]]:
        """Requests by connection, and the statuses."""
        lines = [line.split() for line in poll(self.lines, lambda seen: len(seen) >= requests)]
        counts: dict[str, int] = {}
        for port, *_ in lines:
            counts[port] = counts.get(port, 0) + 1
        return list(counts.values()), [line[1] for line in lines]

    def config(self, text: str) -> str:
        file = self.directory / "config"
        file.write_text(textwrap.dedent(text) + "\n")  # HAProxy insists on the end of the last line
        return str(file)


def free_port() -> int:
    """For servers that take neither port 0 nor a socket. Nobody else is given it for a while."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class Nginx(Peer):
    def begin(self):
        d = self.directory
        seconds = f"{self.idle / 1000:g}s"
        timeout = "{:g}s".format(self.idle / 1000) if self.hint else ""
        user = "user root root;" if os.geteuid() == 0 else ""
        temporary = "".join(
            f"{name}_temp_path {d}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # It is handed a socket, as in against_fetch.py: so the kernel chooses the port.
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.port = sock.getsockname()[1]
            config = self.config(f"""
                daemon off; worker_processes 1; {user}
                pid {d}/pid; error_log {d}/errors info;
                events {{ worker_connections 256; }}
                http {{
                    {temporary}
                    default_type text/plain;
                    log_format seen '$remote_port $status $request_method $uri';
                    access_log {d}/log seen;
                    keepalive_requests {self.most or 1000000};
                    keepalive_timeout {seconds} {timeout};
                    server {{
                        listen 127.0.0.1:{self.port};
                        root {self.www};
                        # A page with includes is of unknown length to it, and goes out chunked.
                        location /chunked {{ ssi on; ssi_types *; }}
                        location /post {{ return 200 "taken"; }}
                    }}
                }}""")
            command = [install.which("nginx"), "-p", f"{d}/", "-e", f"{d}/errors", "-c", config]
            sock.setblocking(False)  # as it takes for granted
            environment = {**self.h.environment, "NGINX": f"{sock.fileno()};"}
            return self.start(*command, env=environment, pass_fds=[sock.fileno()])


class Apache(Peer):
    def begin(self):
        d, self.port = self.directory, free_port()
        for path in (d, self.www):
            os.chmod(path, 0o755)
        user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
        names = ("mpm_event", "authz_core", "mime", "filter", "include")
        load = "\n".join(f"LoadModule {n}_module {MODULES}/mod_{n}.so" for n in names)
        # With an include in it, so that its length is not known when its head is sent.
        (self.www / "chunked.shtml").write_bytes(b'<!--#include virtual="long" -->')
        config = self.config(f"""
            ServerRoot {d}
            DefaultRuntimeDir {d}
            Mutex file:{d}
            PidFile {d}/pid
            ServerName localhost
            {load}
            {user}
            Listen 127.0.0.1:{self.port}
            ErrorLog {d}/errors
            LogFormat "%{{remote}}p %>s %m %U" seen
            CustomLog {d}/log seen
            DocumentRoot {self.www}
            TypesConfig /dev/null
            <Directory {self.www}>
                Options +Includes
                AddType text/html .shtml
                AddOutputFilter INCLUDES .shtml
            </Directory>
            KeepAlive On
            MaxKeepAliveRequests {self.most}
            KeepAliveTimeout {self.idle}ms
            StartServers 1
            ServerLimit 1
            ThreadsPerChild 16
            MaxRequestWorkers 16
        """)
        return self.start(install.which("apache2"), "-X", "-f", config)


class Lighttpd(Peer):
    def begin(self):
        d, self.port = self.directory, free_port()
        config = self.config(f"""
            server.document-root = "{self.www}"
            server.bind = "127.0.0.1"
            server.port = {self.port}
            server.modules = ("mod_accesslog", "mod_staticfile")
            server.errorlog = "{d}/errors"
            accesslog.filename = "{d}/log"
            accesslog.format = "%{{remote}}p %s %m %U"
            server.max-keep-alive-requests = {self.most or 1000}
            server.max-keep-alive-idle = {self.idle // 1000}
        """)
        return self.start(install.which("lighttpd"), "-D", "-f", config)

    def lines(self):
        # It keeps its log in memory for a while. Told to open it anew, it first writes what it has.
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        return super().lines()


class Haproxy(Peer):
    """In front of an nginx, which must be asked for no more than it is asked for."""

    def begin(self):
        self.upstream = Nginx(self.h)
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.port = sock.getsockname()[1]
            config = self.config(f"""
                global
                    log stdout format raw local0
                defaults
                    mode http
                    log global
                    log-format "%cp %ST %HM %HP"
                    option dontlognull
                    timeout connect 5s
                    timeout client 20s
                    timeout server 20s
                    timeout http-keep-alive {self.idle}ms
                frontend interop
                    bind fd@{sock.fileno()}
                    default_backend nginx
                backend nginx
                    server nginx 127.0.0.1:{self.upstream.port}
            """)
            command = [install.which("haproxy"), "-db", "-f", config]
            return self.start(*command, pass_fds=[sock.fileno()])

    def end(self):
        super().end()
        self.upstream.end()


class Told(Peer):
    """One of peers/server.*: it chooses its port by itself, and says what it is."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def begin(self):
        return self.start(*self.command())

    def answers(self):
        found = re.match(r"listening on 127\.0\.0\.1:(\d+)\n", self.out.read_text(errors="replace"))
        self.port = int(found[1]) if found else 0
        return bool(found)


class Node(Told):
    def command(self):
        return ["node", script("server.mjs"), str(self.most), str(self.idle)]


class Go(Told):
    def command(self):
        return [str(install.GO), "server", str(self.idle)]


class Python(Told):
    def command(self):
        return [PYTHON, script("server.py"), str(self.idle)]


VERSIONS |= {
    "nginx": lambda h: ["nginx", "-v"],
    "Apache": lambda h: ["apache2", "-v"],
    "lighttpd": lambda h: ["lighttpd", "-v"],
    "HAProxy, nginx": lambda h: ["haproxy", "-v"],
    "node http.Server": lambda h: ["node", "--version"],
    "Go net/http server": lambda h: ["go", "version"],
    "http.server": lambda h: [PYTHON, "--version"],
}
SERVERS = {
    "nginx": (Nginx, ("nginx",)),
    "Apache": (Apache, ("apache2",)),
    "lighttpd": (Lighttpd, ("lighttpd",)),
    "HAProxy, nginx": (Haproxy, ("haproxy", "nginx")),
    "node http.Server": (Node, ("node",)),
    "Go net/http server": (Go, ("go peer",)),
    "http.server": (Python, ()),
}

# ---------------------------------------------------------------------------- the rows


def server(
    peer: str,
    title: str,
    wanted: list[int] | Totals,
    path: str,
    *options: str,
    content: bytes = PAGE,
    status: int = 200,
    settings: dict[str, object] | None = None,
    times: int = 0,
    framing: str = "",
    edge: bool = False,
    slow: bool = False,
) -> None:
    """A row of `fetch`. At the `edge` of a time limit a request may meet the close, and be sent again:
    once, where that is safe. Everywhere else that is a failure, too. `FILE` is one with content, and
    `framing` what the trace is to say of each response."""
    kind, needs = SERVERS[peer]
    times = times or sum(wanted)

    def one(h: Harness, row: Row) -> None:
        data = next(h.fresh)
        data.write_bytes(LONG)
        there = kind(h, **(settings or {}))
        try:
            command = [*h.programs[FETCH], f"http://127.0.0.1:{there.port}{path}"]
            command += ["--repeat", str(times), *(str(data) if o == "FILE" else o for o in options)]
            done = h.run(command, 30.0)
            row.counted(wanted, (told := there.carried(times))[0])
            if there.process.poll() is not None:
                row.failures.append(f"server: ended with {there.process.returncode}: {there.told()}")
        finally:
            there.end()
        row.same("fetch: exit status", 0, done.status)
        if done.status != 0:
            row.failures.append(f"fetch: {done.stderr[-500:]}")
        again = [line for line in done.stderr.splitlines() if "sent again" in line]
        if not edge:
            row.failures += again
            row.same("server: statuses", [str(status)] * times, told[1])
            lines = re.findall(r"(?m)^connection .*$", done.stderr)
            by_fetch = [connection for connection, _ in account_of("\n".join(lines))]
            counts = [by_fetch.count(number) for number in dict.fromkeys(by_fetch)]
            row.same("fetch says the same", row.seen, counts)
        row.same("fetch: content", times, done.stdout.count(content) if content else times)
        answers = len(re.findall(rf"(?m)^connection \d+, request \d+: {status}, ", done.stderr))
        row.same("fetch: answers", times, answers)
        if framing:
            found = re.findall(r"(?m) event response \d+, content (\w+)", done.stderr)
            row.same("fetch: framing", [framing] * times, found)
        if isinstance(there, Haproxy):
            asked = there.upstream.carried(times)[0]
            row.same("nginx: requests", row.totals()[1], sum(asked))

    entry(peer, FETCH, title, needs, one, waits="--pause" in options, slow=slow)


POST = ("--method", "POST", "--data", "FILE")
OWN = ("node http.Server", "Go net/http server", "http.server")

for name in SERVERS:
    server(name, "GET", [20], "/page")
    server(name, "GET, 1.0 with keep-alive", [5], "/page", "--http1.0")
    server(name, "HEAD", [5], "/long", "--method", "HEAD", content=b"")
    server(name, "GET, 144 kB", [5], "/long", content=LONG)
    if name != "lighttpd":  # which has no content of unknown length without a program behind it
        page = "/chunked.shtml" if name == "Apache" else "/chunked"
        server(name, "GET, chunked", [5], page, "--trace", content=LONG, framing="Chunked")
        server(name, "GET, 1.0, close-delimited", [1] * 3, page, "--http1.0", "--trace", content=LONG,
               framing="UntilClose")
    if name in OWN:
        server(name, "POST, content comes back", [5], "/echo", *POST, content=LONG)

server("nginx", "POST, content not read", [5], "/post", *POST, content=b"taken")
server("HAProxy, nginx", "POST, content not read", [5], "/post", *POST, content=b"taken")
server("Apache", "POST, content not read", [5], "/page", *POST)
# It answers without having read the content, and closes.
server("lighttpd", "POST, content not read: closes", [1] * 3, "/page", *POST)

# Limits by number. Two of them mean the number of requests, and two that behind the first one.
FOUR = {"most": 4}
server("nginx", "keepalive_requests 4", [4, 4, 2], "/page", settings=FOUR)
server("node http.Server", "maxRequestsPerSocket 4", [4, 4, 2], "/page", settings=FOUR)
server("Apache", "MaxKeepAliveRequests 4", [5, 5, 2], "/page", settings=FOUR)
server("lighttpd", "max-keep-alive-requests 4", [5, 5, 2], "/page", settings=FOUR)
server("nginx", "keepalive_timeout 0", [1] * 5, "/page", settings={"idle": 0})
server("Go net/http server", "SetKeepAlivesEnabled(false)", [1] * 5, "/page", settings={"idle": 0})


def idle(name: str, setting: str, pause: int, wanted, milliseconds: int, *options: str, **more):
    seconds = milliseconds / 1000
    title = f"{setting} {seconds:g} s, pauses of {pause / 1000:g} s"
    settings = {"idle": milliseconds, **more.pop("settings", {})}
    server(name, title, wanted, "/page", *options, "--pause", str(pause), settings=settings, **more)


# Limits by time, of those that do not announce them: `fetch` sees the close before it sends, well
# behind the limit; it uses the connection well before it; and close to it what was lost is sent again.
SETTINGS = {
    "nginx": "keepalive_timeout",
    "HAProxy, nginx": "http-keep-alive",
    "lighttpd": "max-keep-alive-idle",
    "Go net/http server": "IdleTimeout",
    "http.server": "timeout",
}
for name, setting in SETTINGS.items():
    # lighttpd looks at its clock once a second.
    late = 3000 if name == "lighttpd" else 2000
    idle(name, setting, late, [1] * 3, 1000)
    idle(name, setting, 500, [4], 2000)
    edge = 1500 if name == "lighttpd" else 1000
    idle(name, setting, edge, Totals(between(1, 6), at_least(6)), 1000, times=6, edge=True, slow=True)

# Those that announce them: `fetch` gives the connection up a second earlier, so that nothing has to be
# sent again, whatever the request. And that it does so is seen where the server would have waited.
for name, setting, settings in (
    ("nginx", "keepalive_timeout, announced,", {"hint": True}),
    ("Apache", "KeepAliveTimeout", {}),
    ("node http.Server", "keepAliveTimeout", {}),
):
    up = POST if name != "nginx" else ()
    idle(name, setting, 500, [4], 3000, *up, content=b"", settings=settings)
    idle(name, setting, 1500, [1] * 3, 2000, *up, content=b"", settings=settings)
    idle(name, setting, 2000, [1] * 3, 2000, *up, content=b"", settings=settings, slow=True)
    # With a second, an immediate request is all that is possible (within 10 ms, which a busy machine may
    # miss now and then); and less is announced as 0, which is taken at its word.
    server(name, f"{setting} 1 s", Totals(at_most(10), 20), "/page", settings={"idle": 1000, **settings},
           times=20)
    if not settings:
        server(name, f"{setting} 0.5 s", [1] * 5, "/page", settings={"idle": 500})
