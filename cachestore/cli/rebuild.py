"""`cachestore rebuild`: the index made again from the blobs."""

from __future__ import annotations

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import KEY_LENGTH, print_json, print_table, progress
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_count


@click.command()
@on_cache
@click.pass_context
def rebuild(ctx: click.Context, *, target: Target, as_json: bool) -> None:
    """Make the index agree with the blobs.

    For an index that was lost, or out of reach for a while. No blob is changed or removed, and the use counts
    of rows that are there already are kept. Ends with exit code 1 when some blobs cannot be read.
    """
    from cachestore.cache.rebuild import rebuild

    with target.existing_cache() as cache, progress("reading blobs") as tell:
        rebuilt = rebuild(cache, progress=tell)
    if as_json:
        print_json(
            {
                "recorded": rebuilt.recorded,
                "forgotten": rebuilt.forgotten,
                "unreadable": rebuilt.unreadable,
            }
        )
    else:
        click.echo(f"{say_count(rebuilt.recorded, 'entry', 'entries')} listed in the index.")
        if rebuilt.forgotten:
            click.echo(f"{say_count(rebuilt.forgotten, 'row')} removed whose blobs are gone.")
        if rebuilt.unreadable:
            click.echo(f"{say_count(len(rebuilt.unreadable), 'blob')} cannot be read:")
            print_table(
                ("key", "problem"),
                [(finding.key[:KEY_LENGTH], finding.problem) for finding in rebuilt.unreadable],
                folded={"problem"},
            )
    if rebuilt.unreadable:
        ctx.exit(ExitCode.FOUND_WRONG)
