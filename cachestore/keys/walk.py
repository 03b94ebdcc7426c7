"""One walk over a value: which objects are open, which are done, and where it went wrong.

A container that is met again inside itself is encoded as the number of steps up to it; one that is met again
elsewhere has the encoding that it had the first time. So sharing does not count, cycles end, and nothing
depends on object identities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cachestore.errors import KeyingError
from cachestore.keys.encoding import record
from cachestore.keys.scalars import LEAVES
from cachestore.keys.watched import Watched

Encoder = Callable[["Walk", Any], bytes]

# An object inside a cycle is walked anew wherever it is met, as its encoding depends on the way to it.
# Graphs in which everything reaches everything would take for ever.
_MOST_REPEATS = 200_000
_NOWHERE = 1 << 62


class Refusal(Exception):
    """Says that something has no stable digest, and collects the way to it from the inside out."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason
        self.steps: list[str] = []

    def step(self, step: str) -> Refusal:
        """Note one more step of the way, and return the refusal to be raised again."""
        self.steps.append(step)
        return self

    def error(self, name: str) -> KeyingError:
        """Turn the refusal into the error that people read."""
        steps = self.steps[::-1]
        if len(steps) > 20:
            steps[8:-8] = [f" -> ({len(steps) - 16} steps) -> "]
        path = "".join(steps)
        where = " -> ".join(part for part in (name, path.removeprefix(" -> "), self.what) if part)
        return KeyingError(
            f"{where}: {self.reason}, so it has no digest that is the same in every process. Leave the argument "
            f"out (ignore=[...]), give a digest of your own for it (key={{...}}) or for its class "
            f"(cachestore.register_digest, or a method __cachestore_digest__(self) that returns a value to "
            f"digest in its place), or pass what it is made from."
        )


class Walk:
    """Encodes values, and collects the code that they bring with them.

    Parameters
    ----------
    find
        Gives the encoder of a type that is no leaf.
    constants
        Whether only values are taken that are nothing but their content, no objects with a state.
    """

    __slots__ = (
        "_done",
        "_find",
        "_lowest",
        "_open",
        "_repeats",
        "_seen",
        "code",
        "constants",
        "packages",
        "watched",
    )

    def __init__(self, find: Callable[[type], Encoder], *, constants: bool = False) -> None:
        self._find = find
        self.constants = constants
        self._done: dict[int, tuple[object, bytes]] = {}
        self._open: dict[int, int] = {}
        self._seen: dict[int, object] = {}
        self._repeats = 0
        self._lowest = _NOWHERE
        # First-party functions, classes and modules that were met, each once, in any order.
        self.code: dict[int, Any] = {}
        # Top-level names of third-party packages that were met.
        self.packages: set[str] = set()
        self.watched = Watched()

    def child(self, *, constants: bool) -> Walk:
        """Begin another walk that reports the code it meets to the same place."""
        walk = Walk(self._find, constants=constants)
        walk.code = self.code
        walk.packages = self.packages
        walk.watched = self.watched
        return walk

    def watch_content(self, value: object, *, constants: bool = False) -> None:
        """Note what is inside a value that came with the code."""
        self.watched.content(value, constants, self._encode_anew)

    def still_holds(self) -> bool:
        """Say whether everything that was watched is still what it was."""
        return self.watched.is_unchanged(self._encode_anew)

    def _encode_anew(self, value: object, constants: bool) -> bytes:
        return Walk(self._find, constants=constants).encode(value)

    def encode(self, value: Any) -> bytes:
        """Return the encoding of a value: equal for equal values, in every process.

        Raises
        ------
        Refusal
            If the value, or something in it, has no stable digest.
        """
        cls = type(value)
        leaf = LEAVES.get(cls)
        if leaf is not None:
            return leaf(value)
        identity = id(value)
        done = self._done.get(identity)
        if done is not None:
            return done[1]
        depth = self._open.get(identity)
        if depth is not None:
            self._lowest = min(self._lowest, depth)
            return b"^%d;" % (len(self._open) - depth)
        if identity in self._seen:
            self._repeats += 1
            if self._repeats > _MOST_REPEATS:
                raise Refusal(
                    _article(cls), "it belongs to a web of objects that refer to each other in circles"
                )
        outer, self._lowest = self._lowest, _NOWHERE
        depth = self._open[identity] = len(self._open)
        try:
            encoding = self._find(cls)(self, value)
        except RecursionError:
            raise Refusal(_article(cls), "it is nested too deeply") from None
        finally:
            del self._open[identity]
        # The value is kept alive in both: ids are reused, and reducing an object makes many short-lived ones.
        if self._lowest >= depth:
            self._done[identity] = (value, encoding)
            self._lowest = outer
        else:
            self._seen[identity] = value
            self._lowest = min(outer, self._lowest)
        return encoding

    def members(self, tag: str, values: Any) -> bytes:
        """Encode a sequence of values under a tag."""
        encode = self.encode
        members = []
        position = 0
        try:
            for value in values:
                # Most members are leaves: those do not pay for another call.
                leaf = LEAVES.get(type(value))
                members.append(leaf(value) if leaf else encode(value))
                position += 1
        except Refusal as refusal:
            raise refusal.step(f"[{position}]") from None
        return record(tag, *members)

    def pairs(self, tag: str, items: Any, *, attributes: bool = False) -> bytes:
        """Encode keys and values under a tag, whatever order they come in."""
        encode = self.encode
        members = []
        key: object = None
        try:
            for key, value in items:
                leaf = LEAVES.get(type(value))
                members.append((encode(key), leaf(value) if leaf else encode(value)))
        except Refusal as refusal:
            raise refusal.step(f".{key}" if attributes else f"[{_shown(key)}]") from None
        members.sort()
        return record(tag, *[part for pair in members for part in pair])

    def named(self, step: str, value: Any) -> bytes:
        """Encode a value that is reached by a named step."""
        try:
            return self.encode(value)
        except Refusal as refusal:
            raise refusal.step(step) from None


def _article(cls: type) -> str:
    return f"<{cls.__qualname__}>"


def _shown(key: object) -> str:
    # Only plain keys are shown: the repr of anything else may be long, slow or wrong.
    return (
        repr(key)[:60]
        if type(key) in (str, int, bool, bytes, float, type(None))
        else f"<{type(key).__name__}>"
    )
