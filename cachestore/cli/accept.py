"""`cachestore accept`: two versions of a function declared equivalent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import KEY_LENGTH, agreed, print_json, print_table
from cachestore.cli.wording import say_moment

if TYPE_CHECKING:
    from cachestore.cache import Cache
    from cachestore.cache.acceptance import Decision


@click.command()
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--yes", is_flag=True, help="Act, without asking.")
@click.option("--revoke", is_flag=True, help="Take back that OLD was accepted for NEW.")
@click.option("--list", "listing", is_flag=True, help="List what was accepted.")
@on_cache
def accept(
    *, target: Target, as_json: bool, old: str | None, new: str | None, yes: bool, revoke: bool, listing: bool
) -> None:
    """Have entries of the code version OLD answer calls of NEW.

    For a change that alters no result: a renamed variable, a faster loop. Both are versions of one function, as
    `cachestore why` and `cachestore show` name them; the first digits will do. Acts only with --yes, or when you agree
    on a terminal. Everybody who uses the store gets these answers, and processes that run get them within minutes.
    """
    from cachestore.cache import acceptance

    if listing == (old is not None) or (listing and (yes or revoke)) or (not listing and new is None):
        raise click.UsageError("Name OLD and NEW, or give --list alone.")
    with target.existing_cache() as cache:
        if listing:
            _list(cache, as_json=as_json)
            return
        assert old is not None
        assert new is not None
        plan = acceptance.plan_revoke if revoke else acceptance.plan_accept
        decided = plan(cache, old, new)
        if as_json:
            if yes and decided.changes:
                acceptance.carry_out(cache, decided)
            print_json(
                {
                    "executed": yes,
                    "changes": decided.changes,
                    "revoke": revoke,
                    "function": decided.function,
                    "old": decided.old,
                    "new": decided.new,
                }
            )
            return
        _print(decided, revoke=revoke)
        if not decided.changes:
            click.echo("That was accepted already: there is nothing to do.")
        elif yes or agreed("Accept this?" if not revoke else "Take this back?"):
            acceptance.carry_out(cache, decided)
            click.echo("Done.")
        else:
            click.echo("Nothing was changed. Say --yes to act.")


def _print(decided: Decision, *, revoke: bool) -> None:
    no_longer = " no longer" if revoke else ""
    click.echo(
        f"Entries of {decided.function} in version {decided.old[:KEY_LENGTH]} will{no_longer} answer calls of version "
        f"{decided.new[:KEY_LENGTH]}, for everybody who uses this store."
    )


def _list(cache: Cache, *, as_json: bool) -> None:
    from cachestore.cache.acceptance import list_accepted

    accepted = list_accepted(cache)
    if as_json:
        print_json({"accepted": accepted})
    elif not accepted:
        click.echo("Nothing was accepted.")
    else:
        print_table(
            ("function", "old", "new", "by", "at"),
            [
                (mark.function, mark.old[:KEY_LENGTH], mark.new[:KEY_LENGTH], mark.user, say_moment(mark.at))
                for mark in accepted
            ],
        )
