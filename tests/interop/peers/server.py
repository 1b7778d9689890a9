"""Python's http.server: server.py IDLE_MS. What it says is what server.mjs says."""

import http.server
import sys

PAGE = b"the page that fetch must bring home\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = int(sys.argv[1]) / 1000

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self) -> None:
        if self.path == "/chunked":
            self.send_response(200)
            if self.request_version == "HTTP/1.1":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                chunk = b"%x\r\n%s\r\n" % (len(PAGE), PAGE)
                self.wfile.write(chunk * 4000 + b"0\r\n\r\n")
            else:
                self.close_connection = True
                self.end_headers()
                self.wfile.write(PAGE * 4000)
        else:
            self.answer(PAGE * 4000 if self.path == "/long" else PAGE)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_request(self, code="-", size="-") -> None:
        line = f"{self.client_address[1]} {int(code)} {self.command} {self.path}\n"
        sys.stdout.write(line)  # in one piece: each connection has a thread
        sys.stdout.flush()

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
