"""`cachestore sync`: two stores brought to hold the same entries."""

from __future__ import annotations

import click

from cachestore.cli.options import Target
from cachestore.cli.transfer import Asked, on_wanted


@click.command()
@click.argument("other", metavar="OTHER")
@on_wanted
@click.pass_context
def sync(ctx: click.Context, *, target: Target, other: str, asked: Asked) -> None:
    """Bring entries both ways between this store and another one, OTHER.

    A `cachestore push`, then a `cachestore pull`. Nothing is removed on either side.
    """
    with target.cache() as mine, Target(other, asked.other_index).cache() as theirs:
        asked.move(ctx, push=(mine, theirs), pull=(theirs, mine))
