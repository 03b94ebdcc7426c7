"""One walk over a value: which objects are open, which are done, and where it went wrong.

The built-in containers are laid into one flat stream, each as its kind, its size and its members in order;
everything else stands there by its encoding. A container that is met again inside itself stands for the number
of steps up to it; one that is met again elsewhere is what it was the first time. So sharing does not count,
cycles end, and nothing depends on object identities. Of many instances of one class what they have in common is laid
out once, and then their attributes, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from blake3 import blake3

from cachestore.errors import KeyingError
from cachestore.keys.code_origin import Origin, origin_of
from cachestore.keys.encoding import record
from cachestore.keys.rules import DELIVERED, Rules
from cachestore.keys.scalars import LEAVES, SMALL
from cachestore.keys.stream import KINDS, PLAIN, TEXTS, encode_marker, encode_stream, write, write_piece
from cachestore.keys.watched import Watched

Encoder = Callable[["Walk", Any], bytes]
Columns = Callable[["Walk", Sequence[Any]], tuple[list[Any], list[tuple[str, list[Any]]]] | None]

# How many instances of one class are taken apart together, by the rule for each of them: what they have in common, and
# for each attribute the way to it and what they have there. None is for those that have less in common.
COLUMNS: dict[Encoder, Columns] = {}

# An object inside a cycle is walked anew wherever it is met, as its encoding depends on the way to it.
# Graphs in which everything reaches everything would take for ever.
_MOST_REPEATS = 200_000
_NOWHERE = 1 << 62

# A container whose part of the stream is longer is replaced by its encoding, and known when it is met again. The
# length decides, never whether it was met before: shared and copied containers are the same.
_LONGEST = 64
# More members are digested in pieces: a stream stays short, however long a list is.
_FEW = 32
_PIECE = 1024
# Columns of instances are laid out by columns again, but not for ever: these may lead back to the instances. How often
# must not depend on what was met before, so an object that is walked by itself begins anew.
_MOST_COLUMNS = 2
# Marks them, as `KINDS` mark containers.
_ALIKE = (6,)
_INTEGERS = frozenset({int})
_NO_RING: frozenset[int] = frozenset()


class Refusal(Exception):
    """Says that something has no stable digest, and collects the way to it from the inside out."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason
        self.steps: list[str] = []
        # What stands at the last step, for the container that knows where it is.
        self.member: object = None

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
    rules
        How code is looked at.
    """

    __slots__ = (
        "_done",
        "_encoders",
        "_find",
        "_lowest",
        "_open",
        "_repeats",
        "_rings",
        "_seen",
        "_unordered",
        "_unsettled",
        "code",
        "constants",
        "counted",
        "ignored",
        "packages",
        "rules",
        "watched",
    )

    def __init__(
        self, find: Callable[[type], Encoder], *, constants: bool = False, rules: Rules = DELIVERED
    ) -> None:
        self._find = find
        self.constants = constants
        self.rules = rules
        self._encoders: dict[type, Encoder] = {}
        self._done: dict[int, tuple[object, bytes]] = {}
        self._open: dict[int, int] = {}
        self._seen: dict[int, object] = {}
        self._repeats = 0
        # What leads back to each object that is done, and what waits for such an object.
        self._rings: dict[int, frozenset[int]] = {}
        self._unsettled: list[int] = []
        # Within how many sets, or dicts without an order, the walk is.
        self._unordered = 0
        self._lowest = _NOWHERE
        # First-party functions, classes and modules that were met, each once, in any order.
        self.code: dict[int, Any] = {}
        # Top-level names of third-party packages that were met.
        self.packages: set[str] = set()
        self.watched = Watched()
        # Names of globals that do not count, by the function that reads them (None is every one), and values that
        # were declared to count.
        self.ignored: dict[int | None, frozenset[str]] = {}
        self.counted: list[Any] = []

    def of_constants(self) -> Walk:
        """Begin a walk that takes constants only, and reports what it meets to the same place."""
        walk = Walk(self._find, constants=True, rules=self.rules)
        walk.code = self.code
        walk.packages = self.packages
        walk.watched = self.watched
        walk.ignored = self.ignored
        walk.counted = self.counted
        return walk

    def another(self) -> Walk:
        """Begin a walk of its own, by the same rules."""
        return Walk(self._find, rules=self.rules)

    def origin_of(self, module: str) -> Origin:
        """Say where a module comes from, and note the package where it is one of others."""
        origin = origin_of(module, self.rules)
        if origin.kind == "package":
            self.packages.add(origin.package)
        return origin

    def counts_already(self, value: object) -> bool:
        """Say whether a value was declared to count."""
        return any(value is counted for counted in self.counted)

    def watch_content(
        self, value: object, *, constants: bool = False, encoder: Encoder | None = None
    ) -> None:
        """Note what is inside a value that came with the code."""
        anew = partial(_encode_anew, self._find, self.rules, constants, encoder or Walk.encode)
        self.watched.content(value, anew, (constants, encoder is None))

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
        done = self._known(id(value))
        if done is not None:
            return done
        stream: list[Any] = []
        self._put_each(stream, (value,))
        # One element is a marker: containers have two at least.
        return encode_marker(stream[0]) if len(stream) == 1 else encode_stream(stream)

    def members(self, tag: str, values: Iterable[Any]) -> bytes:
        """Encode a sequence of values under a tag."""
        members = values if type(values) is list else list(values)
        stream: list[Any] = [tag, len(members)]
        self.put_members(stream, members)
        return encode_stream(stream)

    def pairs(
        self, tag: str, items: dict[Any, Any] | Iterable[tuple[Any, Any]], *, attributes: bool = False
    ) -> bytes:
        """Encode keys and values under a tag, whatever order they come in."""
        if isinstance(items, dict):
            content = items
        else:
            pairs = list(items)
            unique = _unique(pairs)
            if unique is None:
                return record(tag, *sorted(self.encode_each(pairs)))
            content = unique
        stream: list[Any] = [tag, len(content)]
        if TEXTS.issuperset(map(type, content)):
            keys = sorted(content)
            self._put_names(stream, keys)
            values = [content[key] for key in keys]
        else:
            keys, values = self._put_keys(stream, content)
        self.put_members(stream, values, keys, attributes)
        return encode_stream(stream)

    def put_members(
        self,
        stream: list[Any],
        members: Sequence[Any],
        keys: Sequence[Any] | None = None,
        attributes: bool = False,
    ) -> None:
        """Append members to a stream, many of them as the digest of their pieces."""
        try:
            if len(members) <= _FEW:
                self._put_each(stream, members)
            else:
                stream.append((self._pieces(members),))
        except Refusal as refusal:
            # An equal object before this one would have been refused before it.
            place = next(place for place, member in enumerate(members) if member is refusal.member)
            key = place if keys is None else keys[place]
            raise refusal.step(f".{key}" if attributes else f"[{_shown(key)}]") from None

    def named(self, step: str, value: Any) -> bytes:
        """Encode a value that is reached by a named step."""
        try:
            return self.encode(value)
        except Refusal as refusal:
            raise refusal.step(step) from None

    def _put_each(self, stream: list[Any], members: Iterable[Any]) -> None:
        """Append values to a stream: leaves as they are, containers laid out, everything else as its encoding."""
        append = stream.append
        member: Any = None
        try:
            for member in members:
                cls = type(member)
                if cls in PLAIN:
                    append(member)
                    continue
                kind = KINDS.get(cls)
                if kind is None:
                    small = SMALL.get(cls)
                    if small is None and cls not in self._encoders:
                        # The first of a package: its types are entered when the rule for one is found.
                        self._encoder(cls)
                        small = SMALL.get(cls)
                    stands = None if small is None else small(member)
                    if stands is None:
                        self._put_open(stream, member, cls, None, None)
                    else:
                        append(stands)
                    continue
                keys = inside = None
                if cls is list or cls is tuple:
                    inside = member
                elif TEXTS.issuperset(map(type, member)) or _INTEGERS.issuperset(map(type, member)):
                    keys = sorted(member)
                    inside = [member[key] for key in keys] if cls is dict else ()
                if inside is None or len(member) > _FEW or not PLAIN.issuperset(map(type, inside)):
                    self._put_open(stream, member, cls, keys, inside)
                    continue
                # Nothing in it can lead back to it.
                append(kind)
                append(len(member))
                if keys:
                    stream += keys
                stream += inside
        except Refusal as refusal:
            refusal.member = member
            raise

    def _put_open(self, stream: list[Any], value: Any, cls: type, keys: Any, members: Any) -> None:
        """Append to a stream what others may lead back to, and remember it unless it is a short container."""
        identity = id(value)
        done = self._known(identity)
        if done is not None:
            stream.append((done,))
            return
        opened = self._open
        depth = opened.get(identity)
        if depth is not None:
            self._lowest = min(self._lowest, depth)
            stream.append((b"^%d;" % (len(opened) - depth),))
            return
        if identity in self._seen or identity in self._done:
            # Many instances in a list are not open, so the list counts for them.
            self._repeats += 1 + (len(value) if cls in KINDS else 0)
            if self._repeats > _MOST_REPEATS:
                raise Refusal(
                    _article(cls), "it belongs to a web of objects that refer to each other in circles"
                )
        outer, self._lowest = self._lowest, _NOWHERE
        depth = opened[identity] = len(opened)
        start, waiting = len(stream), len(self._unsettled)
        try:
            if members is not None:
                self._put_container(stream, KINDS[cls], keys, members)
            else:
                stream.append((self._encoder(cls)(self, value),))
        except RecursionError:
            raise Refusal(_article(cls), "it is nested too deeply") from None
        finally:
            del opened[identity]
        # The value is kept alive in both: ids are reused, and reducing an object makes many short-lived ones.
        if self._lowest >= depth:
            if len(stream) - start == 1:
                self._done[identity] = (value, stream[-1][0])
                if len(self._unsettled) > waiting:
                    self._rings[identity] = frozenset(self._unsettled[waiting:])
            del self._unsettled[waiting:]
            self._lowest = outer
        else:
            self._seen[identity] = value
            self._unsettled.append(identity)
            self._lowest = min(outer, self._lowest)

    def _known(self, identity: int) -> bytes | None:
        """Return the encoding of an object that is done; None where it would depend on what was met first.

        In a list that is the one before. A set has no such order: what leads back to an open object is walked anew.
        """
        done = self._done.get(identity)
        if done is None:
            return None
        if self._unordered and not self._rings.get(identity, _NO_RING).isdisjoint(self._open):
            return None
        return done[1]

    def encode_each(self, values: Iterable[Any]) -> list[bytes]:
        """Encode values that come in no order, so that no encoding rests on which of them is the first."""
        self._unordered += 1
        try:
            return [self.encode(value) for value in values]
        finally:
            self._unordered -= 1

    def _put_container(
        self, stream: list[Any], kind: tuple[int], keys: list[Any] | None, members: Sequence[Any]
    ) -> None:
        start = len(stream)
        size = len(members if keys is None else keys)
        stream += (kind, size)
        if keys:
            self._put_names(stream, keys)
        self.put_members(stream, members, keys)
        if size > _FEW or len(stream) - start > _LONGEST:
            stream[start:] = ((encode_stream(stream[start:]),),)

    def _put_names(self, stream: list[Any], names: list[Any]) -> None:
        if len(names) <= _FEW:
            stream += names
        else:
            stream.append((self._pieces(names),))

    def _pieces(self, members: Sequence[Any], depth: int = 0) -> bytes:
        hasher = blake3(b"pieces ")
        for start in range(0, len(members), _PIECE):
            piece = members[start : start + _PIECE]
            written = write_piece(piece)
            if written is None:
                stream: list[Any] = []
                if not self._put_columns(stream, piece, depth):
                    self._put_each(stream, piece)
                written = write(stream)
            hasher.update(written)
        return b"#" + hasher.digest()

    def _put_columns(self, stream: list[Any], members: Sequence[Any], depth: int) -> bool:
        """Append instances of one class to a stream attribute by attribute, if they have the same ones.

        None of them is open meanwhile, nor remembered: those that are met again are walked by themselves.
        """
        cls = type(members[0])
        if depth == _MOST_COLUMNS or cls in SMALL or cls in KINDS or len(set(map(type, members))) > 1:
            return False
        try:
            take_apart = COLUMNS.get(self._encoder(cls))
            apart = None if take_apart is None else take_apart(self, members)
        except Refusal as refusal:
            refusal.member = members[0]
            raise
        if apart is None:
            return False
        common, columns = apart
        stream += [_ALIKE, len(members), *common, len(columns)]
        for step, column in columns:
            try:
                stream.append((self._pieces(column, depth + 1),))
            except Refusal as refusal:
                place = next(place for place, member in enumerate(column) if member is refusal.member)
                refusal.member = members[place]
                raise refusal.step(step) from None
        return True

    def _encoder(self, cls: type) -> Encoder:
        encoder = self._encoders.get(cls)
        if encoder is None:
            encoder = self._encoders[cls] = _sorted if cls in KINDS else self._find(cls)
        return encoder

    def _put_keys(self, stream: list[Any], content: dict[Any, Any]) -> tuple[list[Any], list[Any]]:
        """Append keys to a stream by their encodings, and in the order of these; return them and their values."""
        key: object = None
        self._unordered += 1
        try:
            coded = [(self.encode(key), key, value) for key, value in content.items()]
        except Refusal as refusal:
            raise refusal.step(f"[{_shown(key)}]") from None
        finally:
            self._unordered -= 1
        if len({encoding for encoding, _, _ in coded}) == len(coded):
            coded.sort(key=itemgetter(0))
        else:
            # Two NaNs, or two objects that are equal in all but identity: what they stand for decides.
            coded.sort(key=lambda item: (item[0], self.encode(item[2])))
        self.put_members(stream, [encoding for encoding, _, _ in coded])
        return [key for _, key, _ in coded], [value for _, _, value in coded]


def _encode_anew(
    find: Callable[[type], Encoder], rules: Rules, constants: bool, encoder: Encoder, value: Any
) -> bytes:
    try:
        return encoder(Walk(find, constants=constants, rules=rules), value)
    except Refusal:
        return b""


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any] | None:
    """Return pairs as a dict; None if that would lose some, or they have no hash."""
    try:
        content = dict(pairs)
    except TypeError:
        return None
    return content if len(content) == len(pairs) else None


def _sorted(walk: Walk, value: Any) -> bytes:
    """Encode a dict or a set whose keys have no order of their own: they are ordered by their encodings.

    The walk goes through them one by one, however short they are, so this is remembered.
    """
    stream: list[Any] = [KINDS[type(value)], len(value)]
    if type(value) is dict:
        keys, values = walk._put_keys(stream, value)
        walk.put_members(stream, values, keys)
    else:
        try:
            encodings = sorted(walk.encode_each(value))
        except Refusal as refusal:
            raise refusal.step("{...}") from None
        walk.put_members(stream, encodings)
    return encode_stream(stream)


def _article(cls: type) -> str:
    return f"<{cls.__qualname__}>"


def _shown(key: object) -> str:
    # Only plain keys are shown: the repr of anything else may be long, slow or wrong.
    return (
        repr(key)[:60]
        if type(key) in (str, int, bool, bytes, float, type(None))
        else f"<{type(key).__name__}>"
    )
