"""`cachestore gc`: what the cache gives up, as a plan; then, if that is agreed to, in fact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, age_option, on_cache, size_option
from cachestore.cli.output import KEY_LENGTH, agreed, print_json, print_table, progress
from cachestore.cli.wording import say_age, say_count, say_size

if TYPE_CHECKING:
    from cachestore.cache import Cache
    from cachestore.cache.gc import Plan


@click.command()
@age_option("--older-than", "Give up what nobody used for so long")
@size_option("--max-size", "Keep at most so many bytes")
@click.option("--max-entries", type=int, metavar="N", help="Keep at most so many entries.")
@click.option(
    "--function",
    metavar="GLOB",
    help="Apply the limits to the entries of these functions, and leave all others.",
)
@click.option("--yes", is_flag=True, help="Act, without asking.")
@click.option(
    "--private-index",
    is_flag=True,
    help="Act on a shared store by a private index, which knows only your own entries and uses.",
)
@on_cache
def gc(
    *,
    target: Target,
    as_json: bool,
    older_than: timedelta | None,
    max_size: int | None,
    max_entries: int | None,
    function: str | None,
    yes: bool,
    private_index: bool,
) -> None:
    """Give up old entries, or the least recently used beyond a size.

    Prints what would go and why. Acts only with --yes, or when you agree on a terminal. Without any limit it
    only tidies up: entries that expired, rows whose blobs are gone, and what interrupted writers left more than
    a week ago.
    """
    from cachestore.cache import gc
    from cachestore.cache.eviction import Limits

    limits = Limits(older_than=older_than, max_size=max_size, max_entries=max_entries, function=function)
    with target.existing_cache(near=True) as cache:
        if not private_index:
            gc.refuse_private(cache)
        plan = gc.plan(cache, limits)
        if as_json:
            if yes:
                _run(cache, plan)
            _print_json(plan, executed=yes)
            return
        _print_plan(plan)
        if plan.empty:
            return
        if yes or agreed("Remove this?"):
            _run(cache, plan)
            click.echo(f"Done: {say_size(plan.freed_size)} are free again.")
        else:
            click.echo("Nothing was removed. Say --yes to act.")


def _run(cache: Cache, plan: Plan) -> None:
    from cachestore.cache import gc

    with progress("removing") as tell:
        gc.run(cache, plan, progress=lambda done: tell(done, len(plan.evictions)))


def _print_plan(plan: Plan) -> None:
    now = datetime.now(UTC)
    if plan.evictions:
        print_table(
            ("key", "function", "by", "size", "last used", "why it goes"),
            [
                (
                    entry.key[:KEY_LENGTH],
                    entry.function,
                    entry.creator,
                    say_size(entry.stored_size),
                    say_age(entry.last_used_at, now),
                    eviction.reason,
                )
                for eviction in plan.evictions
                for entry in (eviction.entry,)
            ],
            right={"size"},
            folded={"function", "why it goes"},
        )
        click.echo()
    for number, noun, plural, fate in (
        (len(plan.evictions), "entry", "entries", "to remove"),
        (len(plan.vanished), "row", "rows", "to remove whose blobs are gone"),
        (len(plan.adoptions), "old blob", "old blobs", "without a row to list again"),
        (len(plan.sweeps), "old leftover", "old leftovers", "of interrupted writers to sweep"),
        (plan.uploads, "unfinished upload", "unfinished uploads", "of interrupted writers to abort"),
    ):
        if number:
            click.echo(f"{say_count(number, noun, plural)} {fate}")
    kept = f"{say_count(plan.kept, 'entry', 'entries')} of {say_size(plan.kept_size)}"
    if plan.empty:
        click.echo(f"There is nothing to remove: {kept} within the limits.")
    else:
        click.echo(f"This frees {say_size(plan.freed_size)} and keeps {kept}.")


def _print_json(plan: Plan, *, executed: bool) -> None:
    print_json(
        {
            "executed": executed,
            "evictions": [
                {
                    "key": eviction.entry.key,
                    "function": eviction.entry.function,
                    "creator": eviction.entry.creator,
                    "stored_size": eviction.entry.stored_size,
                    "last_used_at": eviction.entry.last_used_at,
                    "reason": eviction.reason,
                }
                for eviction in plan.evictions
            ],
            "vanished": plan.vanished,
            "adoptions": [entry.key for entry in plan.adoptions],
            "sweeps": plan.sweeps,
            "uploads": plan.uploads,
            "freed_size": plan.freed_size,
            "kept": plan.kept,
            "kept_size": plan.kept_size,
        }
    )
