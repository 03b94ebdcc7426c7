"""What becomes of a value before it is cut into chunks: a body, and the large buffers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple


class BodyKind(IntEnum):
    """Says how a value was written, by the number that stands in the blob."""

    PICKLE = 0
    ARRAY = 1
    ARROW = 2
    PLAIN = 3
    REGISTERED = 4


# Raw bytes at most of the bodies that are parsed as a whole: longer ones are refused before they are fetched.
BODY_LIMITS: Final = {BodyKind.ARRAY: 2**20, BodyKind.PLAIN: 16 * 2**20}


class Buffer(NamedTuple):
    """Holds memory that a body refers to.

    Parameters
    ----------
    raw
        Its bytes, not copied: whoever changes the value changes them too.
    item_size
        The bytes of one number in it.
    """

    raw: memoryview
    item_size: int


class Body(NamedTuple):
    """Holds a value as bytes.

    Parameters
    ----------
    kind
        How it was written.
    raw
        The bytes that say what the value is, and hold it when it is small.
    buffers
        The rest of it, in the order in which `raw` refers to them; none of them is empty.
    """

    kind: BodyKind
    raw: memoryview
    buffers: Sequence[Buffer]
