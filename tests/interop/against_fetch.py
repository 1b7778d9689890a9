"""`fetch` against nginx, against Python's http.server, and against `serve`."""

import collections
import dataclasses
import functools
import http.server
import os
import re
import socket
import threading

from against_serve import Traced
from harness import at_least, check, not_equal, poll
from install import which

PAGE = b"the page that fetch must bring home\n"
LONG = b"".join(b"line %06d of a long page\n" % number for number in range(4000))

# ---------------------------------------------------------------------------- fetch


@dataclasses.dataclass(frozen=True)
class Fetched:
    status: int
    output: bytes
    account: list[tuple[int, int]]  # connection number and request number on it, for each request
    log: str

    def requests_by_connection(self) -> list[int]:
        return list(collections.Counter(connection for connection, _ in self.account).values())


def account_of(log: str) -> list[tuple[int, int]]:
    """The line that `fetch` prints on stderr for each request, read in this function only.

    The first two numbers in it are those of the connection and of the request on it.
    """
    lines = [re.findall(r"(?<![\w./])#?(\d+)\b", line) for line in log.splitlines()]
    return [(int(numbers[0]), int(numbers[1])) for numbers in lines if len(numbers) >= 2]


def fetch(h, url: str, *arguments: str) -> Fetched:
    done = h.run([*h.programs["fetch"], url, *arguments], 20.0)
    return Fetched(done.status, done.stdout, account_of(done.stderr), done.stderr)


# ---------------------------------------------------------------------------- nginx

# One server a port, each with a log of its own. $connection is nginx's serial number of the
# connection, so it is nginx that says how many there were.
CONFIG = """
daemon off;
worker_processes 1;
{user}
pid {directory}/nginx.pid;
error_log {directory}/error.log info;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type text/plain;
    log_format counted '$connection $connection_requests $status "$request"'
                       ' "$sent_http_connection" "$sent_http_transfer_encoding"';
    keepalive_timeout 65;
{servers}
}}
"""
SERVER = """
    server {{
        listen 127.0.0.1:{port};
        access_log {directory}/{name}.log counted;
        root {directory}/www;
        # A page with includes is of unknown length to nginx, so it goes out chunked.
        location /chunked {{ ssi on; ssi_types *; }}
        location /post {{ return 200 "taken"; }}
        {extra}
    }}
"""
NAMES = {
    "ordinary": "",
    "four": "keepalive_requests 4;",
    "never": "keepalive_timeout 0;",
}


class Nginx:
    def __init__(self, h):
        self.directory = next(h.fresh)
        www = self.directory / "www"
        www.mkdir(parents=True)
        (www / "page").write_bytes(PAGE)
        (www / "long").write_bytes(LONG)
        (www / "chunked").write_bytes(LONG)
        (www / "empty").write_bytes(b"")

        # nginx cannot be asked to listen on port 0. But it takes over sockets that it is handed in
        # the environment, as in an upgrade of its binary: so the kernel chooses the ports here,
        # and nobody else can take them in between.
        sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in NAMES}
        self.ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
        servers = "".join(
            SERVER.format(port=port, directory=self.directory, name=name, extra=NAMES[name])
            for name, port in self.ports.items()
        )
        config = self.directory / "nginx.conf"
        # Started by root, its worker would become somebody who may not read the temporary files.
        # (No single process instead: `master_process off` and inherited sockets crash it.)
        user = "user root root;" if os.geteuid() == 0 else ""
        config.write_text(CONFIG.format(directory=self.directory, servers=servers, user=user))
        for sock in sockets.values():
            sock.setblocking(False)  # as it takes for granted
        numbers = [sock.fileno() for sock in sockets.values()]
        log = self.directory / "error.log"
        self.process = h.start(
            [which("nginx"), "-p", f"{self.directory}/", "-e", str(log), "-c", str(config)],
            self.directory / "stdout",
            self.directory / "stderr",
            env={**h.environment, "NGINX": "".join(f"{number};" for number in numbers)},
            pass_fds=numbers,
        )
        for sock in sockets.values():
            sock.close()
        # Connections would wait in the sockets' queues, but a wrong configuration is seen here.
        pid = self.directory / "nginx.pid"
        poll(lambda: pid.exists() or self.process.poll() is not None, bool)
        if self.process.poll() is not None:
            errors = (self.directory / "stderr").read_text() + log.read_text()
            raise RuntimeError(f"nginx ended with {self.process.returncode}: {errors[-500:]!r}")

    def url(self, name: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}{path}"


@functools.cache
def nginx(h) -> Nginx:
    return Nginx(h)


class NginxLog:
    """What the access log of one server gains from here on."""

    def __init__(self, server: Nginx, name: str):
        self.file = server.directory / f"{name}.log"
        self.before = len(self.file.read_text().splitlines())

    def lines(self, total: int) -> list[str]:
        def new():
            return self.file.read_text().splitlines()[self.before :]

        return poll(new, lambda lines: len(lines) >= total)

    def requests_by_connection(self, total: int) -> list[int]:
        pairs = [tuple(map(int, line.split(" ", 2)[:2])) for line in self.lines(total)]
        return [
            max(number for serial, number in pairs if serial == connection)
            for connection in dict.fromkeys(serial for serial, _ in pairs)
        ]


def from_nginx(h, name: str, path: str, content: bytes, expected: list[int], *arguments: str):
    """The facts of one run: `expected` is how many requests each connection carries."""
    server, total = nginx(h), sum(expected)
    log = NginxLog(server, name)
    seen = fetch(h, server.url(name, path), "--repeat", str(total), *arguments)
    yield "exit status", 0, seen.status
    yield "nginx: requests by connection", expected, log.requests_by_connection(total)
    if "--trace" not in arguments:
        yield "fetch says the same", expected, seen.requests_by_connection()
    if content:
        yield "content came whole", total, seen.output.count(content)


@check("nginx", "fetch --repeat 10", "nginx")
def _(h):
    yield from from_nginx(h, "ordinary", "/page", PAGE, [10])


@check("nginx", "fetch --repeat 10 --trace", "nginx")
def _(h):
    yield from from_nginx(h, "ordinary", "/page", PAGE, [10], "--trace")


@check("nginx", "fetch --quiet", "nginx")
def _(h):
    server = nginx(h)
    log = NginxLog(server, "ordinary")
    seen = fetch(h, server.url("ordinary", "/long"), "--repeat", "3", "--quiet")
    yield "exit status", 0, seen.status
    yield "nginx: requests by connection", [3], log.requests_by_connection(3)
    yield "content is not shown", 0, seen.output.count(LONG[:1000])


@check("nginx", "keepalive_requests 4", "nginx")
def _(h):
    yield from from_nginx(h, "four", "/page", PAGE, [4, 4, 2])


@check("nginx", "keepalive_timeout 0", "nginx")
def _(h):
    yield from from_nginx(h, "never", "/page", PAGE, [1] * 10)


@check("nginx", "a long page", "nginx")
def _(h):
    yield from from_nginx(h, "ordinary", "/long", LONG, [3])


@check("nginx", "a chunked page", "nginx")
def _(h):
    log = NginxLog(nginx(h), "ordinary")
    yield from from_nginx(h, "ordinary", "/chunked", LONG, [5])
    coded = sum(line.endswith('"chunked"') for line in log.lines(5))
    yield "nginx sent it chunked", 5, coded


@check("nginx", "a close-delimited page to 1.0", "nginx")
def _(h):
    yield from from_nginx(h, "ordinary", "/chunked", LONG, [1, 1, 1], "--http1.0")


@check("nginx", "1.0 with a length", "nginx")
def _(h):
    log = NginxLog(nginx(h), "ordinary")
    yield from from_nginx(h, "ordinary", "/page", PAGE, [5], "--http1.0")
    yield "nginx saw 1.0", 5, sum('HTTP/1.0"' in line for line in log.lines(5))


@check("nginx", "no content: HEAD, an empty page", "nginx")
def _(h):
    yield from from_nginx(h, "ordinary", "/long", b"", [3], "--method", "HEAD")
    yield from from_nginx(h, "ordinary", "/empty", b"", [3])


@check("nginx", "content up, not read by nginx", "nginx")
def _(h):
    file = next(h.fresh)
    file.write_bytes(LONG)
    yield from from_nginx(
        h, "ordinary", "/post", b"taken", [4], "--method", "POST", "--data", str(file)
    )


# ---------------------------------------------------------------------------- http.server


class Handler(http.server.BaseHTTPRequestHandler):
    """Routes of a small site; `counts` has one entry for each connection."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.index = len(self.server.counts)
            self.server.counts.append(0)

    def parse_request(self) -> bool:
        accepted = super().parse_request()
        if accepted:
            with self.server.lock:
                self.server.counts[self.index] += 1
        return accepted

    def answer(self, content: bytes, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        if self.path == "/close-delimited":
            self.close_connection = True
            self.answer(LONG, None)
        elif self.path == "/short":
            self.close_connection = True
            self.answer(PAGE, len(PAGE) + 5)
        elif self.path == "/interim":
            self.send_response_only(103)
            self.send_header("Link", "</style.css>; rel=preload")
            self.end_headers()
            self.answer(PAGE, len(PAGE))
        else:
            self.answer(PAGE, len(PAGE))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(content, len(content))

    def log_message(self, *_: object) -> None:
        pass


class Version10(Handler):
    protocol_version = "HTTP/1.0"


class PythonServer:
    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.server.counts, self.server.lock = [], threading.Lock()

    def __enter__(self) -> "PythonServer":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def counts(self) -> list[int]:
        return list(self.server.counts)


def from_python(h, handler, path: str, content: bytes, expected: list[int], *arguments: str):
    with PythonServer(handler) as server:
        seen = fetch(h, server.url(path), "--repeat", str(sum(expected)), *arguments)
        yield "exit status", 0, seen.status
        yield "handler: requests by connection", expected, server.counts()
        yield "fetch says the same", expected, seen.requests_by_connection()
        yield "content came whole", sum(expected), seen.output.count(content)


@check("http.server", "1.1, one connection")
def _(h):
    yield from from_python(h, Handler, "/", PAGE, [10])


@check("http.server", "1.0, a connection each")
def _(h):
    yield from from_python(h, Version10, "/", PAGE, [1] * 10)


@check("http.server", "1.1, close-delimited")
def _(h):
    yield from from_python(h, Handler, "/close-delimited", LONG, [1, 1, 1])


@check("http.server", "a 103 before the answer")
def _(h):
    yield from from_python(h, Handler, "/interim", PAGE, [3])


@check("http.server", "POST, content comes back")
def _(h):
    file = next(h.fresh)
    file.write_bytes(LONG)
    post = ["--method", "POST", "--data", str(file)]
    yield from from_python(h, Handler, "/", LONG, [5], *post)


@check("http.server", "content shorter than its length")
def _(h):
    with PythonServer(Handler) as server:
        seen = fetch(h, server.url("/short"))
        yield "exit status", not_equal(0), seen.status
        yield "says why", at_least(1), len(seen.log)


# ---------------------------------------------------------------------------- both halves


@check("serve", "fetch, at most 4 on each")
def _(h):
    server = h.serve("--max-requests", "4", "--trace")
    traced = Traced(server)
    seen = fetch(h, server.url("/chunked/1000"), "--repeat", "10")
    yield "exit status", 0, seen.status
    yield "serve: requests by connection", [4, 4, 2], traced.counts(10)
    yield "fetch says the same", [4, 4, 2], seen.requests_by_connection()
