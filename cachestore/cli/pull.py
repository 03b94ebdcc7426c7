"""`cachestore pull`: entries of another store brought to this one."""

from __future__ import annotations

import click

from cachestore.cli.options import Target
from cachestore.cli.transfer import Asked, on_wanted


@click.command()
@click.argument("source", metavar="SOURCE")
@on_wanted
@click.pass_context
def pull(ctx: click.Context, *, target: Target, source: str, asked: Asked) -> None:
    """Bring entries of another store, SOURCE, to this one.

    All is as with `cachestore push`, in the other direction. Entries that no row of an index speaks of are
    asked for themselves, so the team's index need not be at hand.
    """
    with Target(source, asked.other_index).existing_cache() as theirs, target.cache() as mine:
        asked.move(ctx, pull=(theirs, mine))
