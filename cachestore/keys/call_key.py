"""The key of a call: a digest of the function's name, its code version and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from blake3 import blake3

from cachestore.keys.arguments import Parameters
from cachestore.keys.encoding import hexadecimal, named, record, text
from cachestore.keys.function_identity import FunctionIdentity
from cachestore.keys.hasher import digest_laid_out, digest_of
from cachestore.keys.stream import write

# Keys of another format are other keys: every result that is stored under this one would be computed anew. So a digest
# never changes within a format, however much better another one would be. Format 1 began with version 0.1.
FORMAT = 1


class Arguments(Mapping[str, str]):
    """Holds what a key is made of besides the code, and gives the digest of each argument by its name.

    Most calls are hits, and nobody asks for the digests.

    Parameters
    ----------
    given
        The arguments that count, by their names: as they stand in a stream where `plain`, else by their encodings.
    plain
        Whether none of them leads anywhere.
    """

    __slots__ = ("_digests", "_members", "_named", "_plain", "_values", "names")

    def __init__(self, given: Mapping[str, Any], plain: bool = False) -> None:
        names = tuple(sorted(given))
        self._hold(tuple(given), tuple(given.values()), names, [given[name] for name in names], plain)

    @classmethod
    def in_place(cls, parameters: Parameters, values: tuple[Any, ...]) -> Arguments:
        """Return plain arguments that were bound by their places, as those of most calls are."""
        arguments = cls.__new__(cls)
        arguments._hold(parameters.in_order, values, parameters.names_sorted, parameters.sort(values), True)
        return arguments

    def _hold(
        self,
        named: tuple[str, ...],
        values: tuple[Any, ...],
        names: tuple[str, ...],
        members: Sequence[Any],
        plain: bool,
    ) -> None:
        self._named = named
        self._values = values
        # The names in their order, and the values in that of their names.
        self.names = names
        self._members = members
        self._plain = plain
        self._digests: dict[str, str] | None = None

    def written(self) -> bytes:
        """Return what stands in a key for the arguments, in the order of their names."""
        return b"m" + write([*self._members]) if self._plain else b"e" + b"".join(self._members)

    def __getitem__(self, name: str) -> str:
        """Return the digest of one argument."""
        if self._digests is None:
            digested: Callable[[Any], str] = digest_laid_out if self._plain else digest_of
            self._digests = dict(zip(self._named, map(digested, self._values), strict=True))
        return self._digests[name]

    def __iter__(self) -> Iterator[str]:
        """Give the names."""
        return iter(self._named)

    def __len__(self) -> int:
        """Count the arguments."""
        return len(self._named)

    def __repr__(self) -> str:
        """Show it as a dict."""
        return repr(dict(self))


class CallKey(NamedTuple):
    """Names one call, and says what it was made from.

    Parameters
    ----------
    key
        64 hexadecimal digits.
    function
        The name of the function.
    code_version
        The version of all the code that counts: the function's, and that which its arguments bring with them.
    code_parts
        The version of each part of it.
    arguments
        The digest of each argument by its name, never its value.
    """

    key: str
    function: str
    code_version: str
    code_parts: Mapping[str, str]
    arguments: Arguments

    def in_version(self, version: str) -> str:
        """Return the key that the same call has in another version of the code."""
        return _key(self.function, version, self.arguments)


def call_key(
    function: FunctionIdentity,
    arguments: Arguments,
    *,
    argument_parts: Mapping[str, str] | None = None,
) -> CallKey:
    """Make the key of a call.

    Parameters
    ----------
    function
        Which function is called.
    arguments
        What counts of the arguments.
    argument_parts
        The versions of the code that the arguments bring with them.

    Examples
    --------
    >>> from cachestore.keys import Arguments, bind, encode, identify
    >>> def scale(x, factor=2.0): return x * factor
    >>> def key(*args, **kwargs):
    ...     bound = bind(scale, args, kwargs)
    ...     encodings = {name: encode(value)[0] for name, value in bound.items()}
    ...     return call_key(identify(scale), Arguments(encodings)).key
    >>> key(3) == key(x=3, factor=2.0)
    True
    """
    parts, version = function.parts, function.version
    if argument_parts:
        parts = join_parts(parts, argument_parts)
        foreign = {name: part for name, part in parts.items() if function.parts.get(name) != part}
        if foreign:
            version = hexadecimal(record("version", text(version), *named(foreign)))
    return CallKey(_key(function.name, version, arguments), function.name, version, parts, arguments)


def join_parts(parts: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of the parts of two pieces of code.

    A part that both know in different versions (two closures of one name) must not hide either of them.

    Examples
    --------
    >>> join_parts({"a": "1"}, {"b": "2"})
    {'a': '1', 'b': '2'}
    >>> join_parts({"a": "1"}, {"a": "2"}) == join_parts({"a": "2"}, {"a": "1"}) != {"a": "1"}
    True
    """
    both = {name: _both(parts[name], part) for name, part in more.items() if parts.get(name, part) != part}
    return {**parts, **more, **both}


def _key(function: str, version: str, arguments: Arguments) -> str:
    return blake3(_head(function, version, arguments.names) + arguments.written()).digest().hex()


@lru_cache(maxsize=1024)
def _head(function: str, version: str, names: tuple[str, ...]) -> bytes:
    # The name of the function says how long it is, versions are of one length, and names of parameters have no spaces
    # in them; what follows says itself where it ends. So no two of these texts are alike.
    head = f"cachestore call {FORMAT}\n{len(function)} {function} {version}\n{' '.join(names)}\n"
    return head.encode("utf-8", "surrogatepass")


def _both(one: str, other: str) -> str:
    return hexadecimal(record("both", *sorted((text(one), text(other)))))
