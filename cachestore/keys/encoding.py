"""How tagged structures become bytes: every encoding says where it ends, so that no two can run together.

What an encoding is shows in how it begins, and that of a value never begins as the members of a long list do when
they are digested (`pieces `). A long one is `#` and its digest, equal only for equal bytes: nothing that a text or an
array holds can pass for a structure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from blake3 import blake3

# Longer encodings are replaced by their digest: what a container joins stays small, whatever is inside.
_LONGEST = 96
_ONE_THREAD = 1 << 20
_most_threads = blake3.AUTO


def record(tag: str, *members: bytes) -> bytes:
    """Join self-delimiting members under a tag.

    Examples
    --------
    >>> record("pair", text("a"), text("b"))
    b'{pair 2:s1:as1:b'
    """
    return short(b"{%b %d:%b" % (tag.encode(), len(members), b"".join(members)))


def text(value: str) -> bytes:
    """Encode text by its UTF-8 bytes, lone surrogates included."""
    data = value.encode("utf-8", "surrogatepass")
    encoding = b"s%d:%b" % (len(data), data)
    return encoding if len(encoding) <= _LONGEST else short(encoding)


def short(encoding: bytes) -> bytes:
    """Replace an encoding that is long by its digest."""
    return encoding if len(encoding) <= _LONGEST else b"#" + blake3(encoding).digest()


def buffer(data: bytes | bytearray | memoryview) -> bytes:
    """Encode the bytes of a buffer, with all cores when there are many of them."""
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    if size <= 64:
        return b"b%d:%b" % (size, bytes(data))
    hasher = blake3(b"b%d:" % size, max_threads=threads_for(size))
    return b"#" + hasher.update(data).digest()


def threads_for(size: int) -> int:
    """Say how many threads digest so many bytes."""
    return 1 if size <= _ONE_THREAD else _most_threads


def _work_alone() -> None:
    # The threads of BLAKE3 are not there after a fork, and whoever asks for them waits for ever.
    global _most_threads
    _most_threads = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_work_alone)


def named(parts: Mapping[str, str]) -> list[bytes]:
    """Encode texts by name, for a record, whatever order they come in."""
    return [text(name) + text(value) for name, value in sorted(parts.items())]


def hexadecimal(encoding: bytes) -> str:
    """Return the digest of an encoding as 64 hexadecimal digits."""
    return blake3(encoding).hexdigest()
