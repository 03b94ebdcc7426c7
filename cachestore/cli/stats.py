"""`cachestore stats`: what the cache holds, and what it has saved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import fields_of, print_json, print_table
from cachestore.cli.wording import say_count, say_duration, say_size

if TYPE_CHECKING:
    from cachestore.cache import Cache
    from cachestore.cache.overview import Overview
    from cachestore.index import FunctionStatistics, Statistics

_TOP = 10


@click.command()
@on_cache
def stats(*, target: Target, as_json: bool) -> None:
    """Say what the cache holds and has saved, by function and user."""
    from cachestore.cache.overview import overview

    with target.existing_cache() as cache:
        seen = overview(cache)
        if as_json:
            place = {"location": cache.location, "index": cache.index.url, "private": cache.index.private}
            print_json({**place, **fields_of(seen.statistics), "unlisted": seen.unlisted})
        else:
            _print(cache, seen)


def _print(cache: Cache, seen: Overview) -> None:
    click.echo(f"store  {cache.location}")
    click.echo(
        f"index  {cache.index.url}{' (private: it knows only your own uses)' if cache.index.private else ''}"
    )
    click.echo()
    statistics = seen.statistics
    if not statistics.entries:
        click.echo(seen.advice)
        return
    click.echo(
        f"{say_count(statistics.entries, 'entry', 'entries')}: {say_size(statistics.raw_size)}, "
        f"stored as {say_size(statistics.stored_size)}"
    )
    click.echo(f"computed in {say_duration(statistics.seconds_computing)}")
    click.echo(f"{say_count(statistics.hits, 'hit')} saved {say_duration(statistics.seconds_saved)}")
    if statistics.seconds_spent:
        click.echo(
            f"keys, look-ups and storing took {say_duration(statistics.seconds_spent)}: "
            f"net, caching {_net(statistics.seconds_net)}"
        )
    if statistics.misses:
        click.echo(f"{say_count(statistics.misses, 'miss', 'misses')}: {_reasons(statistics)}")
    _print_functions(statistics)
    _print_users(statistics)


def _net(seconds: float) -> str:
    return f"saved {say_duration(seconds)}" if seconds >= 0 else f"cost {say_duration(-seconds)}"


def _reasons(statistics: Statistics) -> str:
    counts: Counter[str] = Counter()
    for counted in statistics.by_reason:
        counts[counted.reason] += counted.misses
    return ", ".join(f"{misses:,} {reason}" for reason, misses in counts.most_common())


def _print_functions(statistics: Statistics) -> None:
    def saving(function: FunctionStatistics) -> tuple[float, float]:
        return function.seconds_saved, function.seconds

    functions = sorted(statistics.by_function, key=saving, reverse=True)
    click.echo()
    print_table(
        ("function", "entries", "stored", "took", "hits", "saved", "cost"),
        [
            (
                function.function,
                f"{function.entries:,}",
                say_size(function.stored_size),
                say_duration(function.seconds),
                f"{function.hits:,}",
                say_duration(function.seconds_saved),
                say_duration(function.seconds_spent),
            )
            for function in functions[:_TOP]
        ],
        right={"entries", "stored", "took", "hits", "saved", "cost"},
    )
    if len(functions) > _TOP:
        click.echo(f"... and {say_count(len(functions) - _TOP, 'more function')}: --json names all.")


def _print_users(statistics: Statistics) -> None:
    click.echo()
    print_table(
        ("user", "computed", "took", "reused", "saved"),
        [
            (
                user.user,
                f"{user.computed:,}",
                say_duration(user.seconds),
                f"{user.reused:,}",
                say_duration(user.seconds_saved),
            )
            for user in statistics.by_user
        ],
        right={"computed", "took", "reused", "saved"},
        folded={"user"},
    )
