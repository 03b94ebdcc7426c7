"""Time limits on talking to a server, kept by this side: a server that hangs keeps none."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn, Protocol, TypeVar

T = TypeVar("T")


class Connected(Protocol):
    """Is a connection that knows its socket."""

    def fileno(self) -> int:
        """Return the descriptor of the socket."""


class Deadline:
    """Cuts the connections that were added when the time is up: whoever waits for an answer gets an error.

    Parameters
    ----------
    seconds
        How long from now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._connections: list[Connected] = []
        self._cut_all = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        _start(self._timer)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def add(self, connection: Connected) -> None:
        """Cut this connection too when the time is up; at once if it is up already."""
        with self._lock:
            self._connections.append(connection)
            if self._cut_all:
                _cut(connection)

    def end(self) -> None:
        """Call it off; when this returns, no connection will be cut any more."""
        self._timer.cancel()
        with self._lock:
            self._connections.clear()

    def within(self, act: Callable[[], T], *, discard: Callable[[T], object]) -> T:
        """Do what cannot be cut (looking up a name, say), and wait for it no longer than to the deadline.

        Parameters
        ----------
        act
            What to do, in a thread of its own.
        discard
            Is given what comes too late.

        Raises
        ------
        TimeoutError
            If it takes longer. What `act` raises in time is raised too.
        """
        outcome: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
        lock = threading.Lock()
        abandoned = False

        def run() -> None:
            try:
                result = act()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                outcome.put(partial(_raise, error))
                return
            with lock:
                if not abandoned:
                    outcome.put(lambda: result)
                    return
            discard(result)

        if not _start(threading.Thread(target=run, name="cachestore-connect", daemon=True)):
            run()
        try:
            come = outcome.get(timeout=max(0.0, self._end - time.monotonic()))
        except queue.Empty:
            with lock:
                abandoned = True
            if outcome.empty():
                raise TimeoutError("no answer in time") from None
            # It came between the end of the waiting and the lock.
            come = outcome.get()
        return come()

    def _cut(self) -> None:
        with self._lock:
            self._cut_all = True
            for connection in self._connections:
                _cut(connection)


def _start(thread: threading.Thread) -> bool:
    # At its exit, Python starts no more threads: what is left to do then is done without this side's limits.
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def _raise(error: BaseException) -> NoReturn:
    raise error


def _cut(connection: Connected) -> None:
    # A shutdown wakes whoever waits on the socket, and leaves closing it to its owner. The duplicate
    # descriptor keeps the number from meaning something else meanwhile.
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
