"""A small HTTP load generator: keep-alive connections, prepared requests in turn, answers counted by Content-Length."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle

import uvloop


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], until: float, latencies: list[float], done: asyncio.Future[None]) -> None:
        self.requests, self.until, self.latencies, self.done = requests, until, latencies, done
        self.buffer = b""
        self.errors = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(next(self.requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self.latencies.append(time.perf_counter() - self.sent)
        self.errors += not head.startswith(b"HTTP/1.1 200")
        if time.perf_counter() < self.until:
            self._send()
        else:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed"))


async def _run(host: str, port: int, requests: Iterator[bytes], connections: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    started = time.perf_counter()
    protocols = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        protocol = _Connection(requests, started + seconds, latencies, done)
        await loop.create_connection(lambda protocol=protocol: protocol, host, port)  # type: ignore[misc]
        protocols.append(protocol)
    await asyncio.gather(*(protocol.done for protocol in protocols))
    elapsed = time.perf_counter() - started
    latencies.sort()
    return {
        "per_second": len(latencies) / elapsed,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
        "errors": sum(protocol.errors for protocol in protocols),
    }


def main() -> None:
    """Arguments: host, port, path, key, content type, file with a body a line, connections, seconds."""
    host, port, path, key, media, body_file, connections, seconds = sys.argv[1:]
    with open(body_file, "rb") as file:
        bodies = file.read().splitlines()
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: {media}\r\nContent-Length: "
    requests = [b"%s%d\r\n\r\n%s" % (head.encode(), len(body), body) for body in bodies]
    answer = uvloop.run(_run(host, int(port), cycle(requests), int(connections), float(seconds)))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
