"""How far a long dump or load is, for whoever waits at a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

_QUIET = 2.0
_PAUSE = 0.2


class Meter:
    """Counts bytes, and says on a terminal how many there are so far once that takes more than two seconds.

    The line is written again and again, and is gone at the end. Where nobody looks, nothing is written.

    Parameters
    ----------
    what
        What is done, without secrets: `load s3://team/model.b2`.
    stream
        Where to say it; by default stderr.
    clock
        The time, for tests.

    Examples
    --------
    >>> with Meter("dump model.b2") as meter:
    ...     list(meter.passing([b"some ", b"bytes"]))
    [b'some ', b'bytes']
    """

    def __init__(
        self, what: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._begun = clock()
        self._next = self._begun + _QUIET
        self._done = 0
        self._shown = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Count bytes; several threads may."""
        with self._lock:
            self._done += size
            now = self._clock()
            if now >= self._next:
                self._next = now + _PAUSE
                self._show(f"{self._what}: {self._done / 1e6:,.0f} MB in {now - self._begun:.0f} s")

    def passing(self, parts: Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
        """Return the parts, whose bytes are counted as they pass; as often as they can be asked for."""
        return _Passing(self, parts)

    def __enter__(self) -> Meter:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        if self._shown:
            self._write(f"\r{' ' * self._shown}\r")

    def _show(self, text: str) -> None:
        # Without a terminal (and with no stderr at all, as in a window) nobody waits for it.
        if self._stream is not None and self._stream.isatty():
            self._write(f"\r{text.ljust(self._shown)}")
            self._shown = len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._shown = 0  # the terminal is gone: the work goes on


@dataclass(frozen=True, slots=True)
class _Passing:
    meter: Meter
    parts: Iterable[bytes | memoryview]

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for part in self.parts:
            yield part
            self.meter.add(memoryview(part).nbytes)
