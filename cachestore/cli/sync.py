"""`cachestore sync`: two stores brought to hold the same entries."""

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
@click.argument("other", metavar="OTHER")
@on_wanted
@on_cache
@click.pass_context
def sync(
    ctx: click.Context,
    *,
    target: Target,
    as_json: bool,
    other: str,
    other_index: str | None,
    wanted: Wanted,
    dry_run: bool,
) -> None:
    """Bring entries both ways between this store and another one, OTHER.

    A `cachestore push`, then a `cachestore pull`. Nothing is removed on either side.
    """
    with target.cache() as mine, target.other_cache(other, other_index) as theirs:
        transfers = [Transfer.planned(mine, theirs, wanted), Transfer.planned(theirs, mine, wanted)]
        if not dry_run:
            transfers = [transfer.carried_out() for transfer in transfers]
    if as_json:
        print_json({name: each.answer() for name, each in zip(("push", "pull"), transfers, strict=True)})
    else:
        for transfer in transfers:
            transfer.print()
    if not all(transfer.complete for transfer in transfers):
        ctx.exit(ExitCode.FOUND_WRONG)
