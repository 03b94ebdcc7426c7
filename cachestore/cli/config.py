"""`cachestore config`: each setting, and where it came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import fields_of, print_json, print_table
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_size
from cachestore.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from cachestore.settings import Settings

# What is meant where nothing is set.
_UNSET = {
    "near": "(no copies)",
    "index": "(the store's own)",
    "user": "(login name)",
    "compress": "(looks at the data)",
}


@click.command()
@on_cache
@click.pass_context
def config(ctx: click.Context, *, target: Target, as_json: bool) -> None:
    """Show each setting, its value and where it came from. Secrets are not shown.

    Ends with exit code 1 when no cache can be opened with these settings.
    """
    from cachestore.settings import unknown_variables

    settings, origins = target.settings()
    for name in unknown_variables():
        click.echo(f"{name} is set, and is no setting: nothing reads it.", err=True)
    _show(settings, origins, as_json=as_json)
    try:
        with target.cache():
            pass  # nothing is asked of it yet
    except (SettingsError, MissingExtra) as error:
        click.echo(f"Error: {error}", err=True)
        ctx.exit(ExitCode.FOUND_WRONG)


def _show(settings: Settings, origins: dict[str, str], *, as_json: bool) -> None:
    public = fields_of(settings.without_secrets())
    hidden = sorted(set(settings.storage_options) - set(public["storage_options"]))
    if as_json:
        answer: dict[str, dict[str, Any]] = {
            name: {"value": value, "origin": origins[name]} for name, value in public.items()
        }
        answer["storage_options"]["hidden"] = hidden
        print_json(answer)
        return
    shown = {name: _say(name, value) for name, value in public.items()}
    shown["near_limit"] = say_size(settings.near_bytes)
    if hidden:
        shown["storage_options"] += f" and, not shown, {', '.join(hidden)}"
    print_table(
        ("setting", "value", "from"),
        [(name, value, origins[name]) for name, value in shown.items()],
        folded={"value", "from"},
    )


def _say(name: str, value: Any) -> str:
    if value is None:
        return _UNSET.get(name, "(none)")
    return value if isinstance(value, str) else json.dumps(value)
