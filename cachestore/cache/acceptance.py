"""Code versions that the team declared equivalent: entries of an old one answer calls of a new one.

The marks of the store are the truth, one object for each new version; the index has a copy of them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cachestore.cache.versions import list_versions, read_version
from cachestore.errors import ObjectNotFound, SettingsError, StorageError
from cachestore.in_order import in_order
from cachestore.index import Accepted
from cachestore.storage import ACCEPTED, ObjectStore, accepted_path

if TYPE_CHECKING:
    from cachestore.cache.cache import Cache

# 0 was that of unreleased versions, and says the same.
_FORMAT = 1

# A process that lives long sees what was accepted meanwhile.
_MAX_AGE = 120.0
_SHORTEST_PREFIX = 4


class Acceptance:
    """Knows the marks of the code versions that were missed, each read once in a while.

    Parameters
    ----------
    store
        Where the marks are.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[str, tuple[float, tuple[Accepted, ...]]] = {}
        self._lock = threading.Lock()

    def of(self, code_version: str) -> tuple[Accepted, ...]:
        """Return what was accepted for a code version, the latest first; nothing where the store is ill."""
        now = time.monotonic()
        with self._lock:
            known = self._known.get(code_version)
        if known is not None and now - known[0] < _MAX_AGE:
            return known[1]
        try:
            marks = tuple(reversed(read_marks(self._store, code_version)))
        except StorageError:
            marks = ()  # the lookup itself has told already
        with self._lock:
            self._known[code_version] = now, marks
        return marks

    def forget(self) -> None:
        """Read the marks anew at the next miss."""
        with self._lock:
            self._known.clear()


@dataclass(frozen=True, slots=True)
class Decision:
    """Says what accepting or revoking will change: the marks of one code version.

    Attributes
    ----------
    function
        Whose versions they are.
    new, old
        The two versions, whole.
    marks
        What will stand in the store for the new one.
    changes
        Whether that is anything else than now.
    """

    function: str
    new: str
    old: str
    marks: tuple[Accepted, ...]
    changes: bool


def plan_accept(cache: Cache, old: str, new: str) -> Decision:
    """Decide what accepting entries of a code version for calls of another one changes.

    Parameters
    ----------
    old, new
        The versions, or beginnings of them that only one version has. A new one that nobody has asked for yet is
        given whole.

    Raises
    ------
    SettingsError
        If one is not known, several begin so, or they are of different functions.
    IndexUnavailable, SchemaMismatch, StorageError
        If the index or the store cannot be read.
    """
    cache.merge_uses()  # a version that was only missed is known from notes
    old, function = _identified(cache, old)
    new, other = _identified(cache, new, unknown=function)
    if function != other:
        raise SettingsError(
            f"{old[:12]} is a version of {function}, and {new[:12]} one of {other}. Name two versions of one function."
        )
    if old == new:
        raise SettingsError(f"{old[:12]} is both OLD and NEW: every version answers its own calls. Name two.")
    marks = read_marks(cache.store, new)
    known = any(mark.old == old for mark in marks)
    if not known:
        marks += (Accepted(new, old, function, cache.user, datetime.now(UTC)),)
    return Decision(function, new, old, marks, changes=not known)


def plan_revoke(cache: Cache, old: str, new: str) -> Decision:
    """Decide what taking an acceptance back changes.

    Raises
    ------
    SettingsError
        If nothing like that was accepted.
    StorageError
        If the store cannot be read.
    """
    found = [mark for mark in list_accepted(cache) if mark.old.startswith(old) and mark.new.startswith(new)]
    if len(found) != 1:
        raise SettingsError(
            f"{len(found) or 'No'} accepted versions begin with {old} and {new}. `cachestore accept --list` shows all."
        )
    (mark,) = found
    marks = tuple(each for each in read_marks(cache.store, mark.new) if each.old != mark.old)
    return Decision(mark.function, mark.new, mark.old, marks, changes=True)


def carry_out(cache: Cache, decided: Decision) -> None:
    """Write the marks, and what the index says of them.

    Raises
    ------
    StorageError
        If the store cannot be written.
    """
    path = accepted_path(decided.new)
    if decided.marks:
        described = {
            "format": _FORMAT,
            "function": decided.function,
            "accepted": [
                {"old": mark.old, "by": mark.user, "at": mark.at.astimezone(UTC).isoformat()}
                for mark in decided.marks
            ],
        }
        cache.store.put(path, [json.dumps(described).encode()])
    else:
        cache.store.delete([path])
    cache.acceptance.forget()
    cache.keep_books(lambda: cache.index.history.accept(list_accepted(cache)))


def list_accepted(cache: Cache) -> list[Accepted]:
    """Return all that was accepted, by function and time.

    Raises
    ------
    StorageError
        If the store cannot be read.
    """
    versions = [info.path.removeprefix(ACCEPTED) for info in cache.store.list(ACCEPTED)]
    found = in_order(lambda version: read_marks(cache.store, version), versions, at_once=cache.store.at_once)
    marks = [mark for marks in found for mark in marks]
    return sorted(marks, key=lambda mark: (mark.function, mark.at, mark.new, mark.old))


def read_marks(store: ObjectStore, new: str) -> tuple[Accepted, ...]:
    """Return what the store says was accepted for a code version; nothing where it cannot be understood.

    Raises
    ------
    StorageError
        If the store cannot be read.
    """
    try:
        described = json.loads(store.get(accepted_path(new)))
        if described["format"] > _FORMAT:
            return ()
        return tuple(
            Accepted(new, each["old"], described["function"], each["by"], datetime.fromisoformat(each["at"]))
            for each in described["accepted"]
        )
    except ObjectNotFound:
        return ()
    except (ValueError, KeyError, TypeError):  # damaged, of a later cachestore, or no mark at all
        return ()


def _identified(cache: Cache, prefix: str, *, unknown: str | None = None) -> tuple[str, str]:
    start = prefix.strip().lower()
    if len(start) < _SHORTEST_PREFIX or not set(start) <= set("0123456789abcdef"):
        raise SettingsError(
            f"{prefix!r} is no code version: that is 64 hexadecimal digits, of which the first "
            f"{_SHORTEST_PREFIX} or more are enough. `cachestore why FUNCTION` and `cachestore show KEY` name them."
        )
    found = dict(cache.index.history.code_versions(start))
    for version in list_versions(cache.store, start):
        if version not in found:
            known = read_version(cache.store, version)
            if known is not None:
                found[version] = known.function
    if not found and unknown is not None and len(start) == 64:
        # As `explain` names the version of a call that nobody has computed: then nobody needs to.
        return start, unknown
    if not found:
        raise SettingsError(
            f"No code version begins with {start}. `cachestore why FUNCTION` and `cachestore show KEY` name those that "
            "were asked for or have results."
        )
    if len(found) > 1:
        raise SettingsError(
            f"{len(found)} code versions begin with {start}: {_named(sorted(found))}. Give more of it."
        )
    return next(iter(found.items()))


def _named(versions: Sequence[str]) -> str:
    return ", ".join(version[:16] for version in versions[:10])
