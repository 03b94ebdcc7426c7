"""`cachestore push`: entries of this store brought to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import print_json
from cachestore.cli.program import ExitCode
from cachestore.cli.transfer import Transfer, on_wanted

if TYPE_CHECKING:
    from cachestore.cache.transfer import Wanted


@click.command()
@click.argument("destination", metavar="DEST")
@on_wanted
@on_cache
@click.pass_context
def push(
    ctx: click.Context,
    *,
    target: Target,
    as_json: bool,
    destination: str,
    other_index: str | None,
    wanted: Wanted,
    dry_run: bool,
) -> None:
    """Bring entries of this store to another one, DEST.

    Each blob is checked against its digests on the way, and arrives whole or not at all. What is there already
    stays as it is and is not moved again: whoever is interrupted begins anew. Entries keep who computed them
    and when. Their code versions go with them; uses, and what was accepted, stay. Ends with exit code 1 when
    something could not be moved.
    """
    with target.existing_cache() as source, target.other_cache(destination, other_index) as other:
        transfer = Transfer.planned(source, other, wanted)
        if not dry_run:
            transfer = transfer.carried_out()
    if as_json:
        print_json(transfer.answer())
    else:
        transfer.print()
    if not transfer.complete:
        ctx.exit(ExitCode.FOUND_WRONG)
