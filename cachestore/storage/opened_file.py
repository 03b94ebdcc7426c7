"""A file of a local store, opened once: it stays the same object whatever is put under its name meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from cachestore.errors import StorageError
from cachestore.in_order import processors


class OpenedFile:
    """Reads one file in pieces.

    Parameters
    ----------
    path
        Where it lies; what cannot be opened is an `OSError`.
    failure
        Makes of a later `OSError` what the store raises.
    """

    # Asking again costs next to nothing here, and what is asked for in vain costs a copy.
    suffix_length = 16 * 2**10

    __slots__ = ("_failure", "_file", "_path")

    def __init__(self, path: str, failure: Callable[[OSError], StorageError]) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._failure = failure
        self._path = path

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            os.close(self._file)

    @property
    def at_once(self) -> int:
        """How many threads are worth reading with."""
        return processors()

    def suffix(self, length: int) -> bytes:
        """Return the last `length` bytes, or the whole file when it is shorter."""
        try:
            size = os.fstat(self._file).st_size
            return self._read(max(0, size - length), size)
        except OSError as error:
            raise self._failure(error) from error

    def range(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, fewer where the file ends."""
        try:
            return self._read(start, min(stop, os.fstat(self._file).st_size))
        except OSError as error:
            raise self._failure(error) from error

    def _read(self, start: int, stop: int) -> bytes:
        data = os.pread(self._file, stop - start, start) if start < stop else b""
        if len(data) == stop - start or not data:
            return data
        return data + self._read(start + len(data), stop)

    def read_into(self, start: int, outs: Sequence[memoryview]) -> int:
        """Fill `outs`, one after the other, with the bytes from `start` on; return how many there were."""
        position = start
        try:
            for group in range(0, len(outs), _AT_MOST):
                position += _fill(self._file, position, list(outs[group : group + _AT_MOST]))
        except OSError as error:
            raise self._failure(error) from error
        return position - start

    def stream(self) -> BinaryIO:
        """Open the same file once more, to be mapped into memory; its name is what it was."""
        try:
            return open(self._path, "rb", buffering=0, opener=lambda *_: os.dup(self._file))
        except OSError as error:
            raise self._failure(error) from error


# Buffers that one system call takes.
_AT_MOST = 1024


def _fill(file: int, start: int, outs: list[memoryview]) -> int:
    position = start
    while outs:
        count = os.preadv(file, outs, position)
        if not count:
            break
        position += count
        while outs and count >= outs[0].nbytes:
            count -= outs.pop(0).nbytes
        if count:
            outs[0] = outs[0][count:]
    return position - start
