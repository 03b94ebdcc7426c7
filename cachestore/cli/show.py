"""`cachestore show`: all that is known of one entry, but for its value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import KEY_LENGTH, print_json
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_count, say_duration, say_moment, say_size

if TYPE_CHECKING:
    from cachestore.cache import Metadata
    from cachestore.cache.overview import Described
    from cachestore.index import Entry


@click.command()
@click.argument("key")
@on_cache
@click.pass_context
def show(ctx: click.Context, *, target: Target, as_json: bool, key: str) -> None:
    """Show what the index and the blob say of one entry.

    KEY may be shortened as long as only one key begins so. The value itself is not loaded.
    """
    from cachestore.cache.overview import describe_entry

    with target.existing_cache() as cache:
        described = describe_entry(cache, key)
    if as_json:
        print_json(
            {
                "key": described.key,
                "row": described.entry,
                "blob": described.metadata,
                "stored_size": described.stored_size,
                "problem": described.problem,
            }
        )
    else:
        _print(described)
    if described.problem is not None:
        ctx.exit(ExitCode.FOUND_WRONG)


def _print(described: Described) -> None:
    _print_fields([("key", described.key)])
    if described.metadata is not None:
        _print_blob(described.metadata, described.stored_size)
    if described.entry is not None:
        _print_row(described.entry, whole=described.metadata is None)
    else:
        click.echo(
            "The index has no row for it: it is found all the same, and `cachestore rebuild` lists it again."
        )
    if described.problem is not None:
        click.echo(f"PROBLEM: {described.problem}")


def _print_blob(blob: Metadata, stored_size: int) -> None:
    drew = "yes, without a seed: computing it again may give another value" if blob.drew_random else "no"
    _print_fields(
        [
            ("function", blob.function),
            ("value", f"{blob.kind}, {say_size(blob.raw_size)}, stored as {say_size(stored_size)}"),
            ("value digest", blob.value_digest or "none"),
            ("computed by", f"{blob.creator}, Python {blob.python}"),
            ("computed at", say_moment(blob.started_at)),
            ("took", say_duration(blob.seconds)),
            ("drew random", drew),
        ]
    )
    if blob.expires_at is not None:
        _print_fields([("expires at", say_moment(blob.expires_at))])
    _print_mapping("packages", blob.packages)
    _print_mapping("arguments", blob.arguments, shorten=True)
    _print_mapping("their values", blob.summaries)
    _print_fields([("code version", blob.code_version)])
    _print_mapping("code parts", blob.code_parts, shorten=True)
    _print_parents(parent.key for parent in blob.parents)


def _print_row(row: Entry, *, whole: bool) -> None:
    if whole:
        _print_fields(
            [
                ("function", row.function),
                ("value", f"{row.kind}, {say_size(row.raw_size)}, stored as {say_size(row.stored_size)}"),
                ("computed by", row.creator),
                ("computed at", say_moment(row.created_at)),
                ("took", say_duration(row.seconds)),
                ("code version", row.code_version),
            ]
        )
        _print_parents(row.parents)
    _print_fields(
        [
            ("hits", f"{row.hits:,}, saved {say_duration(row.seconds_saved)}"),
            ("last used", say_moment(row.last_used_at)),
        ]
    )


def _print_fields(fields: Iterable[tuple[str, str]]) -> None:
    for name, value in fields:
        click.echo(f"{name:<14}{value}")


def _print_mapping(name: str, values: Mapping[str, str], *, shorten: bool = False) -> None:
    if values:
        click.echo(name)
        width = max(map(len, values))
        for each, value in sorted(values.items()):
            click.echo(f"  {each:<{width}}  {value[:KEY_LENGTH] if shorten else value}")


def _print_parents(keys: Iterable[str]) -> None:
    parents = list(keys)
    if parents:
        click.echo(f"made from {say_count(len(parents), 'entry', 'entries')}")
        for key in parents:
            click.echo(f"  {key}")
