"""What the calls of a context may do with a cache: read it, write it, ask what is far away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


# Not a dataclass: each process that has one hit imports this, and making one takes as long as ten hits.
class Mode(NamedTuple):
    """Says what calls may do with one cache.

    Parameters
    ----------
    reads
        Whether entries answer calls.
    writes
        Whether results are stored.
    offline
        Whether a remote store is asked nothing: what lies near answers, and what is stored waits there.
    """

    reads: bool = True
    writes: bool = True
    offline: bool = False

    def __and__(self, other: Mode) -> Mode:
        """Return what both allow.

        Examples
        --------
        >>> Mode(writes=False) & Mode(offline=True)
        Mode(reads=True, writes=False, offline=True)
        """
        return Mode(self.reads and other.reads, self.writes and other.writes, self.offline or other.offline)


NORMAL = Mode()

# By the location of the cache; never changed in place. Nearly always there are none, and a hit sees that at once.
_modes: ContextVar[Mapping[str, Mode]] = ContextVar("cachestore_modes", default={})  # noqa: B039
modes_here = _modes.get


@contextmanager
def entered(modes: Mapping[str, Mode]) -> Iterator[None]:
    """Have the calls inside the block work as those of another context do."""
    token = _modes.set(modes)
    try:
        yield
    finally:
        _modes.reset(token)


@contextmanager
def restricted(location: str, mode: Mode) -> Iterator[None]:
    """Let the calls inside the block do no more with the cache at a location than a mode allows.

    Blocks inside blocks allow what all of them do. The context is that of `contextvars`: the thread, or the task of an
    event loop and those that it starts. Threads that are started inside the block are of none.

    Examples
    --------
    >>> with restricted("/cache", Mode(writes=False)):
    ...     modes_here()
    {'/cache': Mode(reads=True, writes=False, offline=False)}
    """
    modes = modes_here()
    with entered({**modes, location: modes.get(location, NORMAL) & mode}):
        yield
