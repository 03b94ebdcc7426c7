"""One object of a store, to be read in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

if TYPE_CHECKING:
    from cachestore.storage.object_store import ObjectStore

# Across a network one request costs more than many bytes: most objects come whole with the first one.
_SUFFIX: Final = 2**20

# Enough to fill a network, and few enough that what is on its way at once stays small.
_AT_ONCE: Final = 5


class StoredObject(Protocol):
    """Is one object; safe to read from several threads. Its methods raise what those of its store raise.

    Where it is a file, all pieces are of the same object, whatever is put meanwhile.
    """

    @property
    def suffix_length(self) -> int:
        """How many bytes of its end are best asked for first."""

    @property
    def at_once(self) -> int:
        """How many pieces are worth asking for at once."""

    def suffix(self, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""

    def range(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, fewer where the object ends."""

    def read_into(self, start: int, outs: Sequence[memoryview]) -> int:
        """Fill `outs`, one after the other, with the bytes from `start` on; return how many there were."""

    def stream(self) -> BinaryIO | None:
        """Open the file that the object is once more, to be mapped into memory; None where it is no file.

        It is the same file, whatever is put under its name meanwhile.
        """


@dataclass(frozen=True, slots=True)
class RangedObject:
    """Reads an object by ranges of its store.

    Parameters
    ----------
    store
        Where it lies.
    path
        Its path there.
    """

    store: ObjectStore
    path: str

    @property
    def suffix_length(self) -> int:
        """How many bytes of its end are best asked for first."""
        return _SUFFIX

    @property
    def at_once(self) -> int:
        """How many ranges are worth asking for at once."""
        return _AT_ONCE

    def suffix(self, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""
        return self.store.get_suffix(self.path, length)

    def range(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, fewer where the object ends."""
        return self.store.get_range(self.path, start, stop)

    def read_into(self, start: int, outs: Sequence[memoryview]) -> int:
        """Fill `outs`, one after the other, with the bytes from `start` on; return how many there were."""
        return scatter(self.range(start, start + sum(out.nbytes for out in outs)), outs)

    def stream(self) -> None:
        """Return None: it is no file."""


@dataclass(frozen=True, slots=True)
class HeldObject:
    """Is an object whose bytes are all here.

    Parameters
    ----------
    data
        Its bytes.

    Examples
    --------
    >>> HeldObject(b"some bytes").suffix(5)
    b'bytes'
    """

    data: bytes

    @property
    def suffix_length(self) -> int:
        """More than all of it, so that nothing is asked for twice."""
        return len(self.data) + 1

    @property
    def at_once(self) -> int:
        """One piece at a time."""
        return 1

    def suffix(self, length: int) -> bytes:
        """Return the last `length` bytes, or all."""
        return self.data[-length:]

    def range(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, fewer where the object ends."""
        return self.data[start:stop]

    def read_into(self, start: int, outs: Sequence[memoryview]) -> int:
        """Fill `outs`, one after the other, with the bytes from `start` on; return how many there were."""
        return scatter(self.range(start, start + sum(out.nbytes for out in outs)), outs)

    def stream(self) -> None:
        """Return None: it is no file."""


def scatter(data: bytes, outs: Sequence[memoryview]) -> int:
    """Copy `data` into `outs`, one after the other, and return how many bytes that were."""
    view, taken = memoryview(data), 0
    for out in outs:
        piece = view[taken : taken + out.nbytes]
        out[: len(piece)] = piece
        taken += len(piece)
    return taken
