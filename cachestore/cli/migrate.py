"""`cachestore migrate`: the tables of the index brought up to date."""

from __future__ import annotations

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import print_json


@click.command()
@on_cache
def migrate(*, target: Target, as_json: bool) -> None:
    """Bring the tables of the index up to date.

    The index must be named, or be that of a store that is there. An index that is up to date is not changed.
    """
    from cachestore.cache.migration import migrate_index

    migrated = migrate_index(target.settings()[0])
    if as_json:
        print_json({"index": migrated.index, "before": migrated.before, "after": migrated.after})
    elif migrated.before == migrated.after:
        click.echo(f"{migrated.index} has revision {migrated.after} already: there is nothing to do.")
    elif migrated.before is None:
        click.echo(f"{migrated.index} was empty and has its tables now, of revision {migrated.after}.")
    else:
        click.echo(f"{migrated.index} was brought from revision {migrated.before} to {migrated.after}.")
