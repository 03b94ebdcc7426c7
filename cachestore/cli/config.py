"""`cachestore config`: each setting, and where it came from."""

from __future__ import annotations

import json
from typing import Any

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import fields_of, print_json, print_table
from cachestore.cli.wording import say_size

# What is meant where nothing is set.
_UNSET = {
    "near": "(no copies)",
    "index": "(the store's own)",
    "user": "(login name)",
    "compress": "(looks at the data)",
}


@click.command()
@on_cache
def config(*, target: Target, as_json: bool) -> None:
    """Show each setting, its value and where it came from. Secrets are not shown."""
    settings, origins = target.settings()
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
