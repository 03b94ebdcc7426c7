"""`cachestore why`: why a call was not answered, and what differs from the entry that comes nearest to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import KEY_LENGTH, fields_of, print_json
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_moment

if TYPE_CHECKING:
    from cachestore.cache import Cache
    from cachestore.cache.explain import Explanation

_KEY = re.compile(r"[0-9a-fA-F]{4,64}")


@click.command()
@click.argument("what", metavar="FUNCTION|KEY")
@click.option("--diff", "with_diff", is_flag=True, help="Show what changed in the sources.")
@on_cache
@click.pass_context
def why(ctx: click.Context, *, target: Target, as_json: bool, what: str, with_diff: bool) -> None:
    """Say why a call was not answered by the cache.

    FUNCTION explains its latest miss; 'features*' finds team.tables.features_wide. KEY (4 digits or more, as long as
    only one key begins so) explains why that entry was computed, or why that key was missed. Ends with exit code 1
    when nothing is known.
    """
    with target.existing_cache() as cache:
        explanation = _explain(cache, what)
    if explanation is None:
        if as_json:
            print_json({"known": False})
        else:
            click.echo(
                f"No miss of {what} is known here. Of each function the latest misses are kept; a private index knows "
                "only your own. `cachestore ls` lists the entries."
            )
        ctx.exit(ExitCode.FOUND_WRONG)
    if as_json:
        print_json(_answer(explanation))
        return
    _print(explanation)
    if with_diff:
        click.echo()
        click.echo(explanation.diff or "No source that changed is known.")


def _explain(cache: Cache, what: str) -> Explanation | None:
    from cachestore.cache.why import explain_function, explain_key

    found = explain_key(cache, what) if _KEY.fullmatch(what) else None
    # A function may be named like a number: feed, decade.
    return explain_function(cache, what) if found is None else found


def _print(explanation: Explanation) -> None:
    call, nearest = explanation.call, explanation.nearest
    click.echo(f"{call.function or call.key[:KEY_LENGTH]}: {explanation}")
    click.echo()
    fields = [("key", call.key), ("asked for", say_moment(explanation.asked_at))]
    if call.code_version:
        fields.append(("code version", call.code_version))
    if nearest is not None:
        made = f"{nearest.key}, by {nearest.creator}, {say_moment(nearest.started_at)}"
        fields += [("nearest", made), ("its version", nearest.code_version)]
    for name, value in fields:
        click.echo(f"{name:<14}{value}")


def _answer(explanation: Explanation) -> dict[str, Any]:
    call, nearest = explanation.call, explanation.nearest
    return {
        "known": True,
        "state": explanation.state,
        "reason": explanation.reason,
        "text": str(explanation),
        "key": call.key,
        "function": call.function,
        "code_version": call.code_version,
        "asked_at": explanation.asked_at,
        "nearest": nearest
        and {
            "key": nearest.key,
            "creator": nearest.creator,
            "started_at": nearest.started_at,
            "code_version": nearest.code_version,
        },
        "changes": [{**fields_of(change), "diff": change.diff} for change in explanation.changes],
        "evicted": explanation.evicted,
        "accepted": explanation.accepted,
        "problem": explanation.problem,
    }
