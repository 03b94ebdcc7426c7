"""A server far away: a relay in a process of its own, through which each request arrives some milliseconds later.

`python -m tests.servers.latency PORT MILLISECONDS` relays to a port of loopback, and prints the port it listens on.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class _Towards(asyncio.Protocol):
    """One direction's end: what comes in at one side leaves at the other, later or at once."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.transport: asyncio.Transport | None = None
        self.other: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._send, data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        elif not self.other.is_closing():
            self.other.write(data)

    def join(self, other: asyncio.Transport) -> None:
        self.other = other
        for data in self.early:
            other.write(data)
        self.early.clear()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


async def _relay(port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    tasks = set()

    class Arriving(_Towards):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(self._connect())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        async def _connect(self) -> None:
            onward, back = await loop.create_connection(lambda: _Towards(0.0), "127.0.0.1", port)
            back.other = self.transport
            self.join(onward)

    server = await loop.create_server(lambda: Arriving(delay), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def far_away(url: str, *, milliseconds: float) -> Iterator[str]:
    """Run a relay before a server; give the address through which the server is so much further away."""
    command = [sys.executable, "-m", "tests.servers.latency", str(urlsplit(url).port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_relay(int(sys.argv[1]), float(sys.argv[2]) / 1000))
