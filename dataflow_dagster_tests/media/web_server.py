"""A web server on loopback that misbehaves as its paths say."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer(ThreadingHTTPServer):
    """Answers ``/good``, ``/flaky``, ...; counts what it is asked."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files or {}
        self.asked: Counter[str] = Counter()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.server.asked[path] += 1
        times = self.server.asked[path]
        match path.strip("/"):
            case "moved":
                self.answer(302, b"", Location=query or "/moved")
            case "flaky" | "busy" as word if times < 3:
                self.answer(503 if word == "flaky" else 429, b"later", **{"Retry-After": "0"})
            case "down":
                self.answer(500, b"")
            case "forbidden":
                self.answer(403, b"no")
            case "endless":
                self.drip(b"x" * 65536, 0)
            case "slow":
                self.drip(b"x", 0.05)
            case "silent":
                time.sleep(3)
            case "cut" if times < 2:
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"x" * 50)
                self.close_connection = True
            case "cut" | "flaky" | "busy" | "good":
                self.answer(200, b"good " + query.encode())
            case _:
                content = self.server.files.get(path)
                self.answer(404 if content is None else 200, content or b"")

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def drip(self, piece: bytes, wait_s: float) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(piece)
                time.sleep(wait_s)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its own name
        """Nothing."""


@contextmanager
def serving(files: dict[str, bytes] | None = None) -> Iterator[WebServer]:
    with WebServer(files) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield server
        server.shutdown()
        thread.join()
