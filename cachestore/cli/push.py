"""`cachestore push`: entries of this store brought to another one."""

from __future__ import annotations

import click

from cachestore.cli.options import Target
from cachestore.cli.transfer import Asked, on_wanted


@click.command()
@click.argument("destination", metavar="DEST")
@on_wanted
@click.pass_context
def push(ctx: click.Context, *, target: Target, destination: str, asked: Asked) -> None:
    """Bring entries of this store to another one, DEST.

    Each blob is checked against its digests on the way, and arrives whole or not at all. What is there already
    stays as it is and is not moved again: whoever is interrupted begins anew. One of the same size counts as
    being there, unread: `cachestore verify` finds damage. Entries keep who computed them and when. Their code
    versions go with them, without sources where `keep_sources` is false here; uses, and what was accepted,
    stay. Ends with exit code 1 when something could not be moved.
    """
    with target.existing_cache() as mine, Target(destination, asked.other_index).cache() as theirs:
        asked.move(ctx, push=(mine, theirs))
