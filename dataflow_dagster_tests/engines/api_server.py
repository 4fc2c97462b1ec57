"""A small server that speaks OpenAI's API and fails as it is told, on 127.0.0.1."""

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from PIL import Image

KEY = "sk-sentinel-never-shown"


@dataclass(frozen=True)
class Reply:
    """What is sent back: JSON of `body`, or its bytes as they are.

    Attributes:
        delay_s: Before the first byte.
        drop_after: The connection is cut after so many bytes of the body.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drop_after: int | None = None


def completion(text: str | None, ended: str = "stop", **message: Any) -> Any:
    return {
        "choices": [{"finish_reason": ended, "message": {"content": text, **message}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def error(status: int, message: str = "no", **more: Any) -> Reply:
    headers = more.pop("headers", {})
    return Reply(status, {"error": {"message": message, **more}}, headers)


def png(color: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    content = BytesIO()
    Image.new("RGB", (8, 8), color).save(content, "PNG")
    return content.getvalue()


def drawn(color: tuple[int, int, int] = (255, 0, 0)) -> Any:
    return {"data": [{"b64_json": b64encode(png(color)).decode()}]}


class ApiServer:
    """Answers ``said: <prompt>`` but for prompts that have replies of their own.

    Attributes:
        replies: Prompt → what it gets, one after the other; the last one again and again.
        bodies: What was posted, in order.
        keys: Authorization headers, in order.
        times: When each came, in seconds.
        most: The most requests that were open at a time.
        every_s: One request in so many seconds is let through, the others get a 429.
    """

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.files: dict[str, Reply] = {}
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.times: list[float] = []
        self.most = 0
        self.every_s = 0.0
        self._next = 0.0
        self._open = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.request_queue_size = 64

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def tries(self, prompt: str) -> int:
        return sum(prompt_of(body) == prompt for body in self.bodies)

    @contextmanager
    def running(self) -> Iterator["ApiServer"]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def reply(self, body: dict[str, Any], key: str) -> Reply:
        prompt = prompt_of(body)
        with self._lock:
            self.bodies.append(body)
            self.keys.append(key)
            self.times.append(time.monotonic())
            if self.times[-1] < self._next:
                return error(429)
            self._next = self.times[-1] + self.every_s
            own = self.replies.get(prompt)
            if own:
                return own.pop(0) if len(own) > 1 else own[0]
        return Reply(body=completion(f"said: {prompt}"))


def prompt_of(body: dict[str, Any]) -> str:
    """The user's text in a chat's or a picture's body."""
    if "messages" not in body:
        return str(body["prompt"])
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # http.server's name
            length = int(self.headers["Content-Length"])
            content = self.rfile.read(length)
            if len(content) < length:
                return  # the client has gone
            body = json.loads(content)
            with server.counted():
                reply = server.reply(body, str(self.headers["Authorization"]))
                time.sleep(reply.delay_s)
            self._send(reply)

        def do_GET(self) -> None:  # http.server's name
            self._send(server.files.get(self.path, Reply(404, {})))

        def _send(self, reply: Reply) -> None:
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body)
            content = content if isinstance(content, bytes) else content.encode()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content[: reply.drop_after])
                self.close_connection = self.close_connection or reply.drop_after is not None
            except OSError:
                self.close_connection = True  # the client did not wait for it

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
            pass

    return Handler
