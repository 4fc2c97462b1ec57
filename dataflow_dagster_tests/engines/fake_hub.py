"""A Hub on the loopback interface: models, refusals, slowness and downloads that break off."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

SHA: Final = "a" * 40
MODELS: Final = {
    "good/model": {
        "config.json": b"{}",
        "model.safetensors": b"weights" * 3_500_000,
        "pytorch_model.bin": b"weights" * 3_500_000,
    },
    "listed/gated": {"config.json": b"{}", "model.safetensors": b"weights"},
}


class Hub(ThreadingHTTPServer):
    """Serves `MODELS`; ``gated/model`` and ``missing/model`` are refused.

    Of ``listed/gated`` it tells all and refuses the files, as the real one does with gated models.
    The token ``hf_expired`` is refused wherever it is sent.

    Attributes:
        asked: ``<method> <path> <range>`` of each request, with the token if there was one.
        breaks_off: The next download of weights ends in the middle.
        pause_s: Seconds each download of weights takes.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.breaks_off = False
        self.pause_s = 0.0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running_hub() -> Iterator[Hub]:
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # http.server's name
        self._answer(with_body=True)

    def do_HEAD(self) -> None:  # http.server's name
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        pass

    def _answer(self, *, with_body: bool) -> None:
        told = (self.headers.get("Range", ""), self.headers.get("Authorization", ""))
        self.server.asked.append(f"{self.command} {self.path} {' '.join(told)}".strip())
        path = self.path.partition("?")[0].removeprefix("/api/models")
        name = "/".join(path.split("/")[1:3])
        if "hf_expired" in told[1]:
            said = "Invalid credentials in Authorization header"
            self._send(401, json.dumps({"error": said}).encode(), {"X-Error-Message": said})
        elif name not in MODELS or (name == "listed/gated" and "/resolve/" in self.path):
            self._refuse(name)
        elif self.path.startswith("/api/"):
            self._describe(name, path)
        else:
            self._send_file(MODELS[name][path.split("/", 5)[5]], with_body=with_body)

    def _refuse(self, name: str) -> None:
        gated = "gated" in name
        code = {"X-Error-Code": "GatedRepo" if gated else "RepoNotFound"}
        self._send(403 if gated else 401, b"{}", code)

    def _describe(self, name: str, path: str) -> None:
        if "/revision/" in path and path.rsplit("/", 1)[1] not in {"main", "v1", SHA}:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        files = MODELS[name]
        if "/tree/" in path:
            said: object = [
                {"type": "file", "path": file, "size": len(body), "oid": _etag(body)}
                for file, body in files.items()
            ]
        else:
            said = {"id": name, "sha": SHA, "siblings": [{"rfilename": file} for file in files]}
        self._send(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def _send_file(self, body: bytes, *, with_body: bool) -> None:
        headers = {"ETag": f'"{_etag(body)}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        if not with_body:
            self._send(200, b"", {**headers, "Content-Length": str(len(body))})
            return
        begin = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        time.sleep(self.server.pause_s if len(body) > 10 else 0)
        rest = body[begin:]
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        if self.server.breaks_off and len(body) > 10:
            self.server.breaks_off = False
            self._send(200, rest[: len(rest) // 2], {**headers, "Content-Length": str(len(rest))})
            self.close_connection = True
            return
        self._send(206 if begin else 200, rest, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _etag(body: bytes) -> str:
    return sha256(body).hexdigest()[:40]
