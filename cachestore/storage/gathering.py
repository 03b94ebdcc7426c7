"""Parts of a put, as they come, made into parts of the sizes that a server wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PART = 8 * 2**20
# A server takes 10,000 parts of at most 5 GB, together 5 TB. All of one size, as some servers want, up to 16 GB.
_EVEN = 2000
_DOUBLED_EVERY = 800


def gathered(parts: Iterable[bytes | memoryview], *, size: int = PART) -> Iterator[bytes]:
    """Join parts to pieces of exactly `size` bytes, the last one of what is left; later pieces are larger.

    Examples
    --------
    >>> list(gathered([b"abc", b"", b"defgh"], size=3))
    [b'abc', b'def', b'gh']
    """
    taken: list[bytes | memoryview] = []
    number, missing = 1, size
    for part in parts:
        if isinstance(part, bytes) and len(part) == missing and not taken:
            yield part
            number += 1
            missing = size_of_part(number, size=size)
            continue
        rest = memoryview(part).cast("B")
        while rest.nbytes >= missing:
            # Copied here: whoever made the part may use its memory again once the next one is asked for.
            yield b"".join((*taken, rest[:missing]))
            rest = rest[missing:]
            taken.clear()
            number += 1
            missing = size_of_part(number, size=size)
        if rest.nbytes:
            taken.append(bytes(rest))
            missing -= rest.nbytes
    if taken:
        yield b"".join(taken)


def size_of_part(number: int, *, size: int = PART) -> int:
    """Return how large a part is: so that the largest object has no more parts than a server takes.

    Examples
    --------
    >>> size_of_part(1) == size_of_part(2000) == PART
    True
    >>> sum(size_of_part(number) for number in range(1, 10_001)) > 5 * 2**40
    True
    """
    return size << max(0, -(-(number - _EVEN) // _DOUBLED_EVERY))
