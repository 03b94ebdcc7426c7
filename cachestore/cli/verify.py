"""`cachestore verify`: every blob checked against its digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import KEY_LENGTH, fields_of, print_json, print_table, progress
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_count

if TYPE_CHECKING:
    from cachestore.cache.verify import Verified


@click.command()
@on_cache
@click.pass_context
def verify(ctx: click.Context, *, target: Target, as_json: bool) -> None:
    """Check every blob against its digests.

    All blobs are read, and the index is compared with them. Nothing is unpickled, and nothing is changed.
    Ends with exit code 1 when a blob is damaged.
    """
    from cachestore.cache.verify import verify

    with target.existing_cache() as cache, progress("checking blobs") as tell:
        verified = verify(cache, progress=tell)
    if as_json:
        print_json(fields_of(verified))
    else:
        _print(verified)
    if verified.damaged:
        ctx.exit(ExitCode.FOUND_WRONG)


def _print(verified: Verified) -> None:
    whole = "1 blob is whole." if verified.checked == 1 else f"{verified.checked:,} blobs are whole."
    click.echo(whole)
    if verified.damaged:
        click.echo(
            f"{say_count(len(verified.damaged), 'blob')} damaged: the next call computes the value again and "
            "replaces it."
        )
        print_table(
            ("key", "problem"),
            [(finding.key[:KEY_LENGTH], finding.problem) for finding in verified.damaged],
            folded={"problem"},
        )
    if verified.vanished:
        rows = say_count(len(verified.vanished), "row")
        click.echo(f"{rows} without a blob: `cachestore rebuild` or `cachestore gc` removes such rows.")
    if verified.orphans:
        blobs = say_count(len(verified.orphans), "blob")
        click.echo(
            f"{blobs} without a row in the index: they are found all the same, and `cachestore rebuild` "
            "lists them again."
        )
