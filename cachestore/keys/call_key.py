"""The key of a call: a digest of the function's name, its code version and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from blake3 import blake3

from cachestore.keys.encoding import hexadecimal, record, text
from cachestore.keys.function_identity import FunctionIdentity
from cachestore.keys.hasher import digest_of

# Keys of another format are other keys. Format 0 makes no promise to later ones.
FORMAT = 0


@dataclass(frozen=True, slots=True)
class CallKey:
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
    encodings
        The encoding of each argument by its name.
    """

    key: str
    function: str
    code_version: str
    code_parts: Mapping[str, str] = field(default_factory=dict)
    encodings: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, str]:
        """The digest of each argument by its name, never its value."""
        return {name: digest_of(encoding) for name, encoding in self.encodings.items()}

    def in_version(self, version: str) -> str:
        """Return the key that the same call has in another version of the code."""
        return _key(self.function, version, self.encodings)


def call_key(
    function: FunctionIdentity,
    encodings: Mapping[str, bytes],
    *,
    argument_parts: Mapping[str, str] | None = None,
) -> CallKey:
    """Make the key of a call.

    Parameters
    ----------
    function
        Which function is called.
    encodings
        The encoding of each argument that counts, by the name of its parameter.
    argument_parts
        The versions of the code that the arguments bring with them.

    Examples
    --------
    >>> from cachestore.keys import bind, encode, identify
    >>> def scale(x, factor=2.0): return x * factor
    >>> def key(*args, **kwargs):
    ...     bound = bind(scale, args, kwargs)
    ...     return call_key(identify(scale), {name: encode(value)[0] for name, value in bound.items()}).key
    >>> key(3) == key(x=3, factor=2.0)
    True
    """
    parts, version = function.parts, function.version
    foreign = {name: part for name, part in (argument_parts or {}).items() if parts.get(name) != part}
    if foreign:
        # A part that both know in different versions (two closures of one name) must not hide either of them.
        both = {name: _both(parts[name], part) if name in parts else part for name, part in foreign.items()}
        parts = {**parts, **both}
        version = hexadecimal(record("version", text(version), *_members(foreign)))
    return CallKey(_key(function.name, version, encodings), function.name, version, parts, encodings)


def _key(name: str, version: str, encodings: Mapping[str, bytes]) -> str:
    # The name of the function says how long it is, names of parameters have no spaces in them, versions are of one
    # length, and encodings say where they end: no two of these texts are alike.
    arguments = b"".join([b"%b %b" % (name.encode(), encodings[name]) for name in sorted(encodings)])
    return blake3(_head(name, version) + arguments).hexdigest()


@lru_cache(maxsize=1024)
def _head(name: str, version: str) -> bytes:
    return f"cachestore call {FORMAT}\n{len(name)} {name} {version}\n".encode("utf-8", "surrogatepass")


def _both(one: str, other: str) -> str:
    return hexadecimal(record("both", *sorted((text(one), text(other)))))


def _members(mapping: Mapping[str, str]) -> list[bytes]:
    return [text(name) + text(value) for name, value in sorted(mapping.items())]
