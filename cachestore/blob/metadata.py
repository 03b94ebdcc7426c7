"""What a blob says of itself: all that is needed to rebuild its entry in an index."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cachestore.blob.parent import Parent
from cachestore.blob.table import NEVER, NO_DIGEST, Head
from cachestore.errors import CorruptBlob

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_HEXADECIMAL: Final = re.compile(r"(?:[0-9a-fA-F]{2})*")
_TO_JSON: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


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
    encoding
        What stands for the value where it is an argument of another call, in hexadecimal digits; None where that is
        not known.

    Raises
    ------
    ValueError
        If a time has no time zone, the seconds are not finite, or the end is in no year from 1 to 9999.
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
    encoding: str | None = None

    def __post_init__(self) -> None:
        """Refuse times that mean another moment elsewhere, and seconds that cannot be summed up."""
        for name, time in (("started_at", self.started_at), ("expires_at", self.expires_at)):
            if time is not None and time.tzinfo is None:
                raise ValueError(f"{name} is {time!r}, without a time zone. Give an aware time.")
        if not math.isfinite(self.seconds):
            raise ValueError(f"seconds is {self.seconds}. Give a finite number.")
        try:
            self.started_at + timedelta(seconds=self.seconds)
        except OverflowError:
            raise ValueError(
                f"started_at is {self.started_at} and seconds is {self.seconds}. Give a time that ends in a year "
                "from 1 to 9999."
            ) from None

    def to_head(self, *, header_digest: bytes, metadata_digest: bytes) -> Head:
        """Return what the table says of these metadata: what a hit needs at once.

        Raises
        ------
        ValueError
            If the key or the value digest are not 64 hexadecimal digits.
        """
        return Head(
            header_digest=header_digest,
            metadata_digest=metadata_digest,
            key=_raw_digest("key", self.key),
            value_digest=_raw_digest("value_digest", self.value_digest or ""),
            seconds=self.seconds,
            expires=NEVER if self.expires_at is None else (self.expires_at - _EPOCH) // _MICROSECOND,
            epoch=self.epoch,
        )

    def to_json(self) -> bytes:
        """Return the metadata section of a blob: whatever the table does not say."""
        members = {
            "function": self.function,
            "code_version": self.code_version,
            "code_parts": dict(self.code_parts),
            "arguments": dict(self.arguments),
            "started_at": self.started_at.astimezone(UTC).isoformat(),
            "creator": self.creator,
            "python": self.python,
            "packages": dict(self.packages),
            "parents": [[parent.key, parent.value_digest] for parent in self.parents],
            "kind": self.kind,
            "raw_size": self.raw_size,
            "drew_random": self.drew_random,
            "summaries": dict(self.summaries),
            "encoding": self.encoding,
        }
        text = _TO_JSON(members)
        if "\\ud" in text:  # maybe half of a surrogate pair, which no text in UTF-8 has
            whole = json.dumps(members, ensure_ascii=False).encode("utf-8", "replace")
            text = _TO_JSON(json.loads(str(whole, "utf-8")))
        return text.encode("ascii")

    @classmethod
    def read(cls, raw: bytes, head: Head, *, raw_size: int) -> Metadata:
        """Read the metadata section of a blob, and what the head of its table says.

        Members that are not known are passed over: a later cachestore may say more.

        Parameters
        ----------
        raw
            The section, its digest checked.
        head
            What the table says.
        raw_size
            The bytes of all its frames, as the table has them.

        Raises
        ------
        CorruptBlob
            If a member is absent or has another type than it should, or they speak of other bytes.
        """
        try:
            members = json.loads(str(raw, "utf-8"))
            values: dict[str, Any] = {name: read(members[name]) for name, read in _MEMBERS.items()}
            if values["raw_size"] != raw_size:
                raise ValueError(f"they speak of {values['raw_size']} raw bytes, the table of {raw_size}")
            return cls(
                **values,
                key=head.key_text,
                value_digest=head.value_digest_text,
                seconds=head.seconds,
                expires_at=None if head.expires == NEVER else _EPOCH + head.expires * _MICROSECOND,
                epoch=head.epoch,
            )
        # RecursionError: JSON may be nested deeper than the stack; OverflowError: a time outside of all years.
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise CorruptBlob(
                f"The blob's metadata cannot be read: {type(error).__name__}: {error}. Recompute the value."
            ) from error


def _raw_digest(name: str, text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) not in (0, len(NO_DIGEST)):
        raise ValueError(f"{name} is {text!r}. Give 64 hexadecimal digits.")
    return raw or NO_DIGEST


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} should be a text")
    if not value.isascii():
        value.encode()  # half of a surrogate pair is an error
    return value


def _texts(value: Any) -> dict[str, str]:
    if type(value) is not dict:
        raise TypeError(f"{value!r} should be an object")
    for name, text in value.items():
        _text(name)
        _text(text)
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _hexadecimal(value: Any) -> str | None:
    text = _optional_text(value)
    if text is not None and not _HEXADECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} should be hexadecimal digits, two for each byte")
    return text


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} should be a whole number from 0 on")
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{value!r} should be true or false")
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:  # astimezone() would take it for local time
        raise ValueError(f"{value!r} has no time zone")
    return time.astimezone(UTC)


def _parents(value: Any) -> tuple[Parent, ...]:
    if type(value) is not list:
        raise TypeError(f"{value!r} should be an array")
    if not all(type(parent) is list and len(parent) == 2 for parent in value):
        raise TypeError(f"{value!r} should be an array of arrays of two")
    return tuple(Parent(_text(key), _optional_text(digest)) for key, digest in value)


_MEMBERS: Final = {
    "function": _text,
    "code_version": _text,
    "code_parts": _texts,
    "arguments": _texts,
    "started_at": _time,
    "creator": _text,
    "python": _text,
    "packages": _texts,
    "parents": _parents,
    "kind": _text,
    "raw_size": _count,
    "drew_random": _boolean,
    "summaries": _texts,
    "encoding": _hexadecimal,
}
