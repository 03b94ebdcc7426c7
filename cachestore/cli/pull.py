"""`cachestore pull`: entries of another store brought to this one."""

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
@click.argument("source", metavar="SOURCE")
@on_wanted
@on_cache
@click.pass_context
def pull(
    ctx: click.Context,
    *,
    target: Target,
    as_json: bool,
    source: str,
    other_index: str | None,
    wanted: Wanted,
    dry_run: bool,
) -> None:
    """Bring entries of another store, SOURCE, to this one.

    All is as with `cachestore push`, in the other direction. Entries that no row of an index speaks of are
    asked for themselves, so the team's index need not be at hand.
    """
    with target.other_cache(source, other_index, existing=True) as other, target.cache() as destination:
        transfer = Transfer.planned(other, destination, wanted)
        if not dry_run:
            transfer = transfer.carried_out()
    if as_json:
        print_json(transfer.answer())
    else:
        transfer.print()
    if not transfer.complete:
        ctx.exit(ExitCode.FOUND_WRONG)
