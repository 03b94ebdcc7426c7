"""`cachestore ls`: the entries, one to a line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, function_option, on_cache, user_option
from cachestore.cli.output import KEY_LENGTH, print_json, print_table
from cachestore.cli.wording import say_age, say_duration, say_size

if TYPE_CHECKING:
    from cachestore.index.selection import Sort

SORTS = ("last_used", "size", "hits", "saved", "created", "function")


@click.command()
@function_option
@user_option
@click.option(
    "--sort", type=click.Choice(SORTS), default="last_used", show_default=True, help="What comes first."
)
@click.option("--limit", type=int, metavar="N", help="At most so many entries.")
@on_cache
def ls(
    *,
    target: Target,
    as_json: bool,
    function: str | None,
    user: str | None,
    sort: Sort,
    limit: int | None,
) -> None:
    """List the entries: who computed what, and how it was used."""
    from cachestore.cache.overview import list_entries, overview

    with target.existing_cache() as cache:
        entries = list_entries(cache, function=function, user=user, sort=sort, limit=limit)
        if as_json:
            print_json({"location": cache.location, "entries": entries})
            return
        if not entries:
            seen = overview(cache)
            click.echo("No entry is like that." if seen.statistics.entries else seen.advice)
            return
    now = datetime.now(UTC)
    print_table(
        ("key", "function", "by", "size", "took", "hits", "saved", "last used"),
        [
            (
                entry.key[:KEY_LENGTH],
                entry.function,
                entry.creator,
                say_size(entry.stored_size),
                say_duration(entry.seconds),
                f"{entry.hits:,}",
                say_duration(entry.seconds_saved),
                say_age(entry.last_used_at, now),
            )
            for entry in entries
        ],
        right={"size", "took", "hits", "saved"},
    )
