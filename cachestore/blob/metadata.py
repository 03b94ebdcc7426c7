"""What a blob says of itself: all that is needed to rebuild its entry in an index."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cachestore.errors import CorruptBlob

_TO_JSON: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Parent:
    """Names an entry whose value went into another one.

    Parameters
    ----------
    key
        The parent's key.
    value_digest
        The digest of the value that was used; None when it has none.
    """

    key: str
    value_digest: str | None


@dataclass(frozen=True, slots=True)
class Metadata:
    """Describes a value and the call that made it.

    Parameters
    ----------
    key, function, code_version
        What was computed, and by which version of the code.
    code_parts
        The named parts of the code, and the version of each.
    arguments
        The name and the digest of each argument, never its value.
    started_at, seconds
        When the computation began (an aware time), and how long it took.
    creator, python, packages
        Who computed it, and with what.
    parents
        The entries that went into it.
    value_digest
        The digest of the value; None when it has none.
    kind, raw_size
        The type of the value and its bytes before compression; the writer of a blob fills them in.
    expires_at
        When the value stops being valid.
    epoch
        The invalidation epoch that was known at the start.
    drew_random
        Whether the computation drew from the global random state.
    summaries
        A short text of each argument by its name, where the user asked for that.

    Raises
    ------
    ValueError
        If a time has no time zone.
    """

    key: str
    function: str
    code_version: str
    code_parts: Mapping[str, str]
    arguments: Mapping[str, str]
    started_at: datetime
    seconds: float
    creator: str
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    value_digest: str | None = None
    kind: str = ""
    raw_size: int = 0
    expires_at: datetime | None = None
    epoch: int = 0
    drew_random: bool = False
    summaries: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse times that mean another moment elsewhere."""
        for name, time in (("started_at", self.started_at), ("expires_at", self.expires_at)):
            if time is not None and time.tzinfo is None:
                raise ValueError(f"{name} is {time!r}, without a time zone. Give an aware time.")

    def to_json(self) -> bytes:
        """Return the metadata section of a blob."""
        expires_at = self.expires_at
        return _TO_JSON(
            {
                "key": self.key,
                "function": self.function,
                "code_version": self.code_version,
                "code_parts": dict(self.code_parts),
                "arguments": dict(self.arguments),
                "started_at": self.started_at.astimezone(UTC).isoformat(),
                "seconds": self.seconds,
                "creator": self.creator,
                "python": self.python,
                "packages": dict(self.packages),
                "parents": [[parent.key, parent.value_digest] for parent in self.parents],
                "value_digest": self.value_digest,
                "kind": self.kind,
                "raw_size": self.raw_size,
                "expires_at": None if expires_at is None else expires_at.astimezone(UTC).isoformat(),
                "epoch": self.epoch,
                "drew_random": self.drew_random,
                "summaries": dict(self.summaries),
            }
        ).encode("ascii")

    @classmethod
    def from_json(cls, raw: bytes) -> Metadata:
        """Read the metadata section of a blob.

        Members that are not known are passed over: a later cachestore may say more.

        Raises
        ------
        CorruptBlob
            If a member is absent or has another type than it should.
        """
        try:
            members = json.loads(raw)
            values: dict[str, Any] = {name: read(members[name]) for name, read in _MEMBERS.items()}
            return cls(**values)
        # RecursionError: JSON may be nested deeper than the stack; OverflowError: a time before year 1.
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise CorruptBlob(
                f"The blob's metadata cannot be read: {type(error).__name__}: {error}. Recompute the value."
            ) from error


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} should be a text")
    return value


def _texts(value: Any) -> dict[str, str]:
    if type(value) is not dict:
        raise TypeError(f"{value!r} should be an object")
    for text in value.values():
        _text(text)
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} should be a whole number from 0 on")
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{value!r} should be a number")
    return float(value)


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{value!r} should be true or false")
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:  # astimezone() would take it for local time
        raise ValueError(f"{value!r} has no time zone")
    return time.astimezone(UTC)


def _optional_time(value: Any) -> datetime | None:
    return None if value is None else _time(value)


def _parents(value: Any) -> tuple[Parent, ...]:
    if type(value) is not list:
        raise TypeError(f"{value!r} should be an array")
    return tuple(Parent(_text(key), _optional_text(digest)) for key, digest in value)


_MEMBERS: Final = {
    "key": _text,
    "function": _text,
    "code_version": _text,
    "code_parts": _texts,
    "arguments": _texts,
    "started_at": _time,
    "seconds": _seconds,
    "creator": _text,
    "python": _text,
    "packages": _texts,
    "parents": _parents,
    "value_digest": _optional_text,
    "kind": _text,
    "raw_size": _count,
    "expires_at": _optional_time,
    "epoch": _count,
    "drew_random": _boolean,
    "summaries": _texts,
}
