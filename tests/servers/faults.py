"""Servers that fail: one that hangs, one that refuses, and a proxy that counts, delays, breaks and loses."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from cachestore.demo.seaweedfs import free_port

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Proxy:
    """Passes HTTP requests on, noting each; `fault` decides per request what goes wrong.

    `fault(number, method, path)` returns None to pass the request on, a status to answer instead, "lose" to
    pass it on and hang up instead of answering, "cut" to hang up in the middle of the answer, "stall"
    to say no more from there, or "flip" to change one bit in the middle of what is answered.
    """

    def __init__(self, target: str) -> None:
        self.closed = threading.Event()
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[int, str, str], int | str | None] = lambda number, method, path: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, urlsplit(target).netloc))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.requests]

    def close(self) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: Proxy, netloc: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer takes 40 ms longer

        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def _pass_on(self) -> None:
            number = len(proxy.requests)
            proxy.requests.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.fault(number, self.command, self.path)
            if isinstance(fault, int):
                self._answer(fault, [], b"")
                return
            connection = http.client.HTTPConnection(netloc, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if fault == "flip" and data:
                middle = len(data) // 2
                data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
            if fault == "lose":
                self._hang_up()
            elif fault in {"cut", "stall"}:
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                if fault == "stall":
                    proxy.closed.wait(60)
                self._hang_up()
            else:
                self._answer(answer.status, answer.getheaders(), data)

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
            self.send_response_only(status)
            length = str(len(data))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data)

        def _hang_up(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

    return Handler


@pytest.fixture
def proxy_to() -> Iterator[Callable[[str], Proxy]]:
    """A function from a server's address to a proxy in front of it."""
    proxies: list[Proxy] = []

    def start(target: str) -> Proxy:
        proxies.append(Proxy(target))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def hung_address() -> Iterator[str]:
    """An address that accepts connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def refusing_address() -> str:
    """An address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"
