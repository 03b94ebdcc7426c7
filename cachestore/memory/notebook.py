"""What a notebook shows of a memory, a memorised function and a result: tables, or None for the plain repr."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from cachestore.cache import Cache, Miss
from cachestore.keys.function_identity import name_of, plain_function

if TYPE_CHECKING:
    from cachestore.blob import BlobReader
    from cachestore.memory.memorized_func import MemorizedFunc
    from cachestore.memory.memory import Memory
    from cachestore.memory.results import MemorizedResult

_TOP = 5

_logger = logging.getLogger(__name__)


def memory_html(memory: Memory) -> str | None:
    """Show a memory: what it holds and saved in all, and the functions that saved most."""
    return _or_nothing(lambda: _memory(memory.store_backend))


def function_html(function: MemorizedFunc) -> str | None:
    """Show a memorised function: its entries in all versions, their hits, and the time that these saved."""
    return _or_nothing(lambda: _function(function.store_backend, function.func))


def result_html(result: MemorizedResult) -> str | None:
    """Show a result: what it is, without loading it, and what it was made from."""
    return _or_nothing(lambda: _result(result.store_backend, result.key))


def _memory(cache: Cache | None) -> str | None:
    if cache is None:
        return None
    cache.try_to_merge_uses()
    held = cache.index.statistics()
    totals = _facts(
        ("Location", cache.location),
        ("Entries", f"{held.entries:,}"),
        ("Stored", _size(held.stored_size)),
        ("Computed in", _time(held.seconds_computing)),
        ("Hits", f"{held.hits:,}"),
        ("Saved", _time(held.seconds_saved)),
    )
    functions = sorted(held.by_function, key=lambda each: (-each.seconds_saved, -each.seconds, each.function))
    rows = [
        (
            each.function,
            f"{each.entries:,}",
            _size(each.stored_size),
            f"{each.hits:,}",
            _time(each.seconds_saved),
        )
        for each in functions[:_TOP]
    ]
    return totals + (_table(("Function", "Entries", "Stored", "Hits", "Saved"), rows) if rows else "")


def _function(cache: Cache, func: Callable[..., Any]) -> str:
    cache.try_to_merge_uses()
    name = name_of(plain_function(func))
    held = next((each for each in cache.index.statistics().by_function if each.function == name), None)
    place = (("Function", name), ("Location", cache.location))
    if held is None:
        return _facts(*place, ("Entries", "0"))
    return _facts(
        *place,
        ("Entries", f"{held.entries:,}"),
        ("Stored", _size(held.stored_size)),
        ("Computed in", _time(held.seconds)),
        ("Hits", f"{held.hits:,}"),
        ("Saved", _time(held.seconds_saved)),
    )


def _result(cache: Cache, key: str) -> str | None:
    def seen(reader: BlobReader) -> object:
        layout = reader.layout
        return None if layout is None else layout.shape

    found = cache.take(key, seen)
    if isinstance(found, Miss):
        return None
    metadata, shape = found.metadata, found.value
    made_from = [(parent.key, cache.index.get(parent.key)) for parent in metadata.parents]
    return _facts(
        ("Function", metadata.function),
        ("Entry", key[:12]),
        ("Kind", metadata.kind),
        *([("Shape", str(shape))] if shape is not None else []),
        ("Size", _size(metadata.raw_size)),
        (
            "Computed",
            f"{metadata.started_at:%Y-%m-%d %H:%M} UTC by {metadata.creator} in {_time(metadata.seconds)}",
        ),
        *(
            ("Made from", f"{entry.function} {each[:12]}" if entry else each[:12])
            for each, entry in made_from
        ),
    )


def _or_nothing(show: Callable[[], str | None]) -> str | None:
    # A cell that only ends with an object must not fail, whatever is the matter with the store or the index.
    try:
        return show()
    except Exception as error:  # noqa: BLE001
        _logger.info("A notebook shows the plain text: %s", error)
        return None


def _facts(*facts: tuple[str, str]) -> str:
    return f"<table>{''.join(f'<tr><th>{name}</th><td>{escape(value)}</td></tr>' for name, value in facts)}</table>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{name}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{body}</table>"


def _size(size: int) -> str:
    return f"{size:,} bytes"


def _time(seconds: float) -> str:
    return f"{seconds:,.1f} s"
