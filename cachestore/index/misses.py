"""Misses taken into the tables, and found there again, within the transaction of the caller.

Why a blob was absent is decided here, from what the index held when it was asked for. All misses are counted, and
of each function the latest are kept.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cachestore.index import evictions
from cachestore.index.evicted import Evicted
from cachestore.index.missed import Missed, NotedMiss
from cachestore.index.selection import begins
from cachestore.index.tables import entries, miss_counts, misses, versions
from cachestore.index.upsert import batches, upsert

# Enough to find the one that somebody asks about; a search over a thousand candidates must not fill the index.
_KEPT = 32
# Any number that no other application is likely to lock on the same server: "cachemis".
_ADVISORY_LOCK = int.from_bytes(b"cachemis")


def apply(connection: sa.Connection, missed: Iterable[Missed]) -> None:
    """Decide why each was missed, count them, and keep the latest of each function."""
    together: dict[tuple[str, ...], Missed] = {}
    for miss in missed:
        seen = together.get(miss.subject)
        together[miss.subject] = miss if seen is None else seen.plus(miss)
    if not together:
        return
    if connection.dialect.name == "postgresql":
        # Old rows are deleted in any order: of two that do it at once each could wait for the other.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    ordered = [together[subject] for subject in sorted(together)]
    keep_versions(
        connection,
        {
            miss.code_version: (miss.function, miss.code_parts)
            for miss in ordered
            if miss.code_parts is not None
        },
    )
    reasons = _reasons(connection, ordered)
    _count(connection, ordered, reasons)
    _keep(connection, ordered, reasons)


def keep_versions(connection: sa.Connection, parts: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
    """Keep the function and the named parts of code versions."""
    rows = [
        {"code_version": version, "function": function, "parts": json.dumps(dict(named))}
        for version, (function, named) in sorted(parts.items())
    ]
    upsert(connection, versions, rows, replacing=lambda new: {"function": new.function, "parts": new.parts})


def parts_of(connection: sa.Connection, code_versions: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the named parts of those code versions that are known."""
    found: dict[str, dict[str, str]] = {}
    for batch in batches(sorted(code_versions)):
        for version, parts in connection.execute(
            sa.select(versions.c.code_version, versions.c.parts).where(versions.c.code_version.in_(batch))
        ):
            found[version] = json.loads(parts)
    return found


def functions_of_versions(connection: sa.Connection, prefix: str) -> dict[str, str]:
    """Return the code versions that begin with a prefix, each with its function."""
    found: dict[str, str] = {}
    for table in (versions, entries):
        column = table.c.code_version
        named = sa.select(column, table.c.function).where(begins(column, prefix)).distinct()
        found.update((version, function) for version, function in connection.execute(named))
    return found


def read(connection: sa.Connection, statement: sa.Select[Any]) -> list[NotedMiss]:
    """Return the misses that a SELECT of rows of `misses` finds, in its order."""
    rows = connection.execute(statement).mappings().all()
    parts = parts_of(connection, {row["code_version"] for row in rows})
    return [
        NotedMiss(
            **{**row, "arguments": json.loads(row["arguments"])}, code_parts=parts.get(row["code_version"])
        )
        for row in rows
    ]


def _reasons(connection: sa.Connection, missed: list[Missed]) -> list[str]:
    """Say why each was missed, from what the index held at that moment."""
    absent = [miss for miss in missed if miss.outcome == "absent"]
    evicted = evictions.of_keys(connection, [miss.key for miss in absent])
    others = _other_versions(connection, [miss.call_digest for miss in absent])
    first = _first_entries(connection, sorted({miss.function for miss in absent}))
    involved = {version for found in others.values() for version, _ in found}
    parts = parts_of(connection, involved | {miss.code_version for miss in absent})
    return [
        _reason_of_absence(
            miss,
            evicted.get(miss.key),
            [(version, at) for version, at in others[miss.call_digest] if version != miss.code_version],
            first.get(miss.function),
            parts,
        )
        if miss.outcome == "absent"
        else miss.outcome
        for miss in missed
    ]


def _reason_of_absence(
    miss: Missed,
    evicted: Evicted | None,
    others: list[tuple[str, datetime]],
    first: datetime | None,
    parts: Mapping[str, Mapping[str, str]],
) -> str:
    if evicted is not None and evicted.at < miss.at:
        return "evicted"
    earlier = [(at, version) for version, at in others if at < miss.at]
    if earlier:
        old, new = parts.get(max(earlier)[1]), parts.get(miss.code_version)
        if old is None or new is None:
            return "code changed"
        changed = {name for name, _ in old.items() ^ new.items()}
        packages = changed and all(name.startswith("package:") for name in changed)
        return "package changed" if packages else "code changed"
    return "never computed" if first is None or first >= miss.at else "new arguments"


def _other_versions(
    connection: sa.Connection, call_digests: list[str]
) -> defaultdict[str, list[tuple[str, datetime]]]:
    """Return for each call, but for its code version, the code versions that have an entry, and since when."""
    found: defaultdict[str, list[tuple[str, datetime]]] = defaultdict(list)
    columns = entries.c
    for batch in batches(sorted(set(call_digests))):
        for call_digest, version, at in connection.execute(
            sa.select(columns.call_digest, columns.code_version, columns.created_at).where(
                columns.call_digest.in_(batch)
            )
        ):
            found[call_digest].append((version, at))
    return found


def _first_entries(connection: sa.Connection, functions: list[str]) -> dict[str, datetime]:
    """Return when the first entry of each function was made; one look into the index's index for each."""
    columns = entries.c
    found = {}
    for function in functions:
        at = connection.scalar(sa.select(sa.func.min(columns.created_at)).where(columns.function == function))
        if at is not None:
            found[function] = at
    return found


def _count(connection: sa.Connection, missed: list[Missed], reasons: list[str]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for miss, reason in zip(missed, reasons, strict=True):
        counts[miss.function, reason] += miss.times
    upsert(
        connection,
        miss_counts,
        [
            {"function": function, "reason": reason, "misses": times}
            for (function, reason), times in sorted(counts.items())
        ],
        replacing=lambda new: {"misses": miss_counts.c.misses + new.misses},
    )


def _keep(connection: sa.Connection, missed: list[Missed], reasons: list[str]) -> None:
    latest: dict[str, tuple[Missed, str]] = {}
    for miss, reason in sorted(zip(missed, reasons, strict=True), key=lambda pair: pair[0].at):
        latest[miss.key] = miss, reason
    by_function: dict[str, list[tuple[Missed, str]]] = {}
    for pair in latest.values():
        by_function.setdefault(pair[0].function, []).append(pair)
    rows = [
        {
            "key": miss.key,
            "function": function,
            "code_version": miss.code_version,
            "user": miss.user,
            "at": miss.at,
            "reason": reason,
            "arguments": json.dumps(dict(miss.arguments)),
        }
        for function, pairs in by_function.items()
        for miss, reason in sorted(pairs, key=lambda pair: pair[0].at)[-_KEPT:]
    ]
    upsert(
        connection,
        misses,
        sorted(rows, key=lambda row: str(row["key"])),
        # A spool that was left behind may be older than what is here.
        replacing=lambda new: {
            name: sa.case((misses.c.at <= new.at, new[name]), else_=misses.c[name])
            for name in ("user", "reason", "at")
        },
    )
    for function in by_function:
        mine = sa.select(misses.c.at).where(misses.c.function == function)
        oldest_kept = connection.scalar(mine.order_by(misses.c.at.desc()).offset(_KEPT - 1).limit(1))
        if oldest_kept is not None:
            connection.execute(
                misses.delete().where(misses.c.function == function, misses.c.at < oldest_kept)
            )
