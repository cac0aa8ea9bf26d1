"""The other side of what the service sends and fetches: a real HTTP server that keeps what it was sent and answers as told."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

RECEIVERS = '["127.0.0.1/32"]'
"""The setting that lets webhooks go to receivers."""


@dataclass
class Receiver:
    """What arrived, and the statuses of the next answers (200 when none is left). `documents` are what a GET of a path is answered."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    seconds: float = 0.0
    arrived: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, scheme: str = "http", host: str = "127.0.0.1", path: str = "/hooks") -> str:
        """Where to send."""
        return f"{scheme}://{host}:{self.port}{path}"

    def events(self) -> list[dict[str, Any]]:
        """The bodies that arrived."""
        return [json.loads(body) for _, body in self.arrived]

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """The bodies, each by its signature."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.arrived]

    def wait(self, event: str, seconds: float = 30) -> dict[str, Any]:
        """The first event of a type, once it is here."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for one in self.events():
                if one["type"] == event:
                    return one
            time.sleep(0.05)
        raise AssertionError(f"no {event} came, but {[one['type'] for one in self.events()]}")


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver for the length of a block."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            receiver.arrived.append(({name.lower(): value for name, value in self.headers.items()}, body))
            time.sleep(receiver.seconds)
            status = receiver.statuses.pop(0) if receiver.statuses else 200
            self.send_response(status)
            if status in (301, 302, 307, 308):
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            receiver.asked.append(self.path)
            time.sleep(receiver.seconds)
            document = receiver.documents.get(self.path)
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200 if document is not None else 404)
            self.end_headers()
            self.wfile.write(document or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
