"""The key of a call: a digest of the function's name, its code version and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cachestore.keys.encoding import hexadecimal, record, text
from cachestore.keys.function_identity import FunctionIdentity
from cachestore.keys.scalars import LEAVES

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
    arguments
        The digest of each argument by its name, never its value.
    """

    key: str
    function: str
    code_version: str
    code_parts: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)

    def of_version(self, code_version: str) -> CallKey:
        """Return the key of the same call of another version of the code; its parts are not known."""
        key = _key(self.function, code_version, self.arguments)
        return CallKey(key, self.function, code_version, {}, self.arguments)

    def versionless(self) -> str:
        """Return the digest of the call but for its code version: equal for one call in two versions."""
        return _key(self.function, "", self.arguments)


def call_key(
    function: FunctionIdentity,
    arguments: Mapping[str, str],
    *,
    argument_parts: Mapping[str, str] | None = None,
) -> CallKey:
    """Make the key of a call.

    Parameters
    ----------
    function
        Which function is called.
    arguments
        The digest of each argument that counts, by the name of its parameter.
    argument_parts
        The versions of the code that the arguments bring with them.

    Examples
    --------
    >>> from cachestore.keys import bind, digest, identify
    >>> def scale(x, factor=2.0): return x * factor
    >>> def key(*args, **kwargs):
    ...     bound = bind(scale, args, kwargs)
    ...     return call_key(identify(scale), {name: digest(value) for name, value in bound.items()}).key
    >>> key(3) == key(x=3, factor=2.0)
    True
    """
    parts = dict(function.parts)
    version = function.version
    foreign = {name: part for name, part in (argument_parts or {}).items() if parts.get(name) != part}
    if foreign:
        # A part that both know in different versions (two closures of one name) must not hide either of them.
        for name, part in foreign.items():
            parts[name] = _both(parts[name], part) if name in parts else part
        version = hexadecimal(record("version", text(version), _mapping(foreign)))
    return CallKey(_key(function.name, version, arguments), function.name, version, parts, dict(arguments))


def _key(function: str, version: str, arguments: Mapping[str, str]) -> str:
    return hexadecimal(
        record("call", LEAVES[int](FORMAT), text(function), text(version), _mapping(arguments))
    )


def _both(one: str, other: str) -> str:
    return hexadecimal(record("both", *sorted((text(one), text(other)))))


def _mapping(mapping: Mapping[str, str]) -> bytes:
    return record("mapping", *(text(name) + text(value) for name, value in sorted(mapping.items())))
