"""Why something was not answered: what there is to compare it with is gathered, `explain` decides.

Nothing is computed, stored or counted as a use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

from cachestore.blob import Metadata
from cachestore.cache.cache import Cache
from cachestore.cache.entries import KnownCall
from cachestore.cache.explain import Explanation, State, explain
from cachestore.cache.listing import key_prefix, list_blobs
from cachestore.cache.versions import read_version
from cachestore.errors import (
    BlobError,
    CorruptBlob,
    NewerBlob,
    ObjectNotFound,
    SettingsError,
    StorageError,
)
from cachestore.in_order import in_order
from cachestore.index import Entry, Evicted, NotedMiss
from cachestore.keys import CallKey, sources_of

# Entries of each kind that are looked at; their blobs are read.
_CANDIDATES = 12
# Reasons that are found by comparing with other entries; all others come from the store, or say who gave it up.
_COMPARED = frozenset({"never computed", "new arguments", "code changed", "package changed"})


def explain_call(
    cache: Cache,
    call: CallKey,
    *,
    function: Callable[..., Any] | None = None,
    accept: Callable[[Metadata], bool] | None = None,
    refusal: Literal["refused", "expired"] = "refused",
    summaries: Mapping[str, str] | None = None,
) -> Explanation:
    """Say whether a call would be answered now, and if not, why.

    Parameters
    ----------
    function
        What is called: its sources are compared with those that the store keeps.
    accept, refusal
        As for `Cache.look_up`.
    summaries
        Short texts of the arguments, where the settings ask for that.
    """
    now, known = datetime.now(UTC), KnownCall.of(call)
    metadata, outcome, problem = _state(cache, call.key)
    if metadata is not None and _is_good(metadata, accept, now):
        return Explanation("hit", "hit", known, now, metadata)
    refused = metadata
    if refused is not None:
        outcome = "expired" if _has_expired(refused, now) else refusal
    if outcome != "unavailable":
        for mark in cache.acceptance.of(call.code_version):
            metadata, _, _ = _state(cache, call.in_version(mark.old))
            if metadata is not None and _is_good(metadata, accept, now):
                return Explanation("hit", "accepted", known, now, metadata, accepted=mark)
    if refused is not None:
        return Explanation("miss", outcome, known, now, refused)
    return _explained(
        cache,
        known,
        now,
        state="miss",
        outcome=outcome,
        evicted=_evicted(cache, call.key),
        summaries=summaries,
        problem=problem,
        sources=lambda: sources_of(call.code_parts, function, rules=cache.rules),
    )


def _is_good(metadata: Metadata, accept: Callable[[Metadata], bool] | None, now: datetime) -> bool:
    return not _has_expired(metadata, now) and (accept is None or accept(metadata))


def _has_expired(metadata: Metadata, now: datetime) -> bool:
    return metadata.expires_at is not None and metadata.expires_at <= now


def explain_function(cache: Cache, function: str) -> Explanation | None:
    """Explain the latest miss of a function that was noted; None where none was.

    Parameters
    ----------
    function
        Its name, whole or from after a dot, or a pattern: `features*`.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If the index or the store cannot be read.
    """
    cache.try_to_merge_uses()
    noted = cache.index.history.latest_miss(function)
    return None if noted is None else _of_noted(cache, noted)


def explain_key(cache: Cache, prefix: str) -> Explanation | None:
    """Explain why an entry was computed, or why a key was missed; None where nothing is known of it.

    Parameters
    ----------
    prefix
        The key, or the beginning of it that only one key has.

    Raises
    ------
    SettingsError
        If several keys begin so, or none can.
    IndexUnavailable, SchemaMismatch, StorageError
        If the index or the store cannot be read.
    """
    start = key_prefix(prefix)
    cache.try_to_merge_uses()
    missed = {noted.key: noted for noted in cache.index.history.misses_of(start)}
    evicted = {each.key: each for each in cache.index.history.evictions_of(start)}
    keys = sorted(missed.keys() | evicted.keys() | list_blobs(cache.store, start).keys())
    if len(keys) > 1:
        shown = ", ".join(key[:16] for key in keys[:10])
        raise SettingsError(f"{len(keys)} keys begin with {start}: {shown}. Give more of the key.")
    if not keys:
        return None
    (key,) = keys
    noted = missed.get(key)
    metadata, outcome, problem = _state(cache, key)
    if metadata is not None:
        return _of_entry(cache, metadata, noted)
    gone = evicted.get(key)
    # What was missed before it was given up has been computed since.
    if noted is not None and outcome == "absent" and (gone is None or gone.at < noted.at):
        return _of_noted(cache, noted)
    call = KnownCall(key, "", "") if noted is None else _call_of(cache, noted)
    reason = "evicted" if outcome == "absent" else outcome
    return Explanation("miss", reason, call, datetime.now(UTC), evicted=gone, problem=problem)


def _of_entry(cache: Cache, metadata: Metadata, noted: NotedMiss | None) -> Explanation:
    """Say why an entry was computed: what differed from the nearest entry before it."""
    outcome, evicted = "absent", None
    # A miss that was noted after the computation is of another one.
    if noted is not None and noted.at <= metadata.started_at and noted.reason not in _COMPARED:
        outcome, evicted = noted.reason, _evicted(cache, noted.key)
    return _explained(
        cache,
        KnownCall.of(metadata),
        metadata.started_at,
        state="computed",
        outcome=outcome,
        evicted=evicted,
        summaries=metadata.summaries,
    )


def _call_of(cache: Cache, noted: NotedMiss) -> KnownCall:
    parts = noted.code_parts
    if parts is None:
        with suppress(StorageError):
            version = read_version(cache.store, noted.code_version)
            parts = version.parts if version is not None else None
    return KnownCall(noted.key, noted.function, noted.code_version, parts or {}, noted.arguments)


def _of_noted(cache: Cache, noted: NotedMiss) -> Explanation:
    return _explained(
        cache,
        _call_of(cache, noted),
        noted.at,
        state="miss",
        outcome="absent" if noted.reason in _COMPARED else noted.reason,
        evicted=_evicted(cache, noted.key) if noted.reason == "evicted" else None,
    )


def _explained(
    cache: Cache,
    call: KnownCall,
    at: datetime,
    *,
    state: State,
    outcome: str,
    evicted: Evicted | None,
    summaries: Mapping[str, str] | None = None,
    problem: str | None = None,
    sources: Callable[[], Mapping[str, str]] | None = None,
) -> Explanation:
    candidates = _candidates(cache, call, at) if outcome == "absent" and evicted is None else []
    explanation = explain(
        call,
        candidates,
        asked_at=at,
        state=state,
        outcome=outcome,
        evicted=evicted,
        summaries=summaries,
        problem=problem,
    )
    nearest = explanation.nearest
    if nearest is None or not any(change.kind in {"function", "class"} for change in explanation.changes):
        return explanation
    return explanation.with_texts(
        _kept_sources(cache, nearest.code_version),
        {**_kept_sources(cache, call.code_version), **(sources() if sources is not None else {})},
    )


def _candidates(cache: Cache, call: KnownCall, before: datetime) -> Iterable[Metadata]:
    rows: list[Entry] = []
    digest = call.versionless
    cache.keep_books(
        lambda: rows.extend(
            cache.index.history.related(call.function, call.code_version, digest, before, _CANDIDATES)
        )
    )

    def read(row: Entry) -> Metadata | None:
        try:
            return cache.read_metadata(row.key)[0]
        except (BlobError, StorageError):
            return None

    return [found for found in in_order(read, rows, at_once=cache.store.at_once) if found is not None]


def _state(cache: Cache, key: str) -> tuple[Metadata | None, str, str | None]:
    """Return what a blob says of itself; or what the store said, and in which words."""
    try:
        reader = cache.open_blob(key)
        reader.verify()
        reader.check_policy(cache.settings.load_policy)
    except ObjectNotFound:
        return None, "absent", None
    except StorageError as error:
        return None, "unavailable", str(error)
    except CorruptBlob as error:
        return None, "corrupt", str(error)
    except NewerBlob as error:
        return None, "newer", str(error)
    except BlobError as error:
        return None, "unreadable", str(error)
    return reader.metadata, "hit", None


def _evicted(cache: Cache, key: str) -> Evicted | None:
    found: list[Evicted] = []
    cache.keep_books(lambda: found.extend(cache.index.history.evictions_of(key)))
    return found[0] if found else None


def _kept_sources(cache: Cache, code_version: str) -> Mapping[str, str]:
    try:
        version = read_version(cache.store, code_version)
    except StorageError:
        return {}
    return {} if version is None else version.sources
