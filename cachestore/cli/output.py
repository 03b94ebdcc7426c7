"""Answers: JSON for scripts, tables for people, progress for whoever waits; and one question."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

# Enough to tell entries apart, and every command takes it.
KEY_LENGTH = 12


def print_json(answer: Mapping[str, Any]) -> None:
    """Print an answer for scripts: raw numbers, times in UTC."""
    click.echo(json.dumps(answer, indent=2, default=_plain))


def print_table(
    header: Sequence[str],
    rows: Collection[Sequence[str]],
    *,
    right: Collection[str] = (),
    folded: Collection[str] = ("function",),
) -> None:
    """Print a table: as wide as the terminal allows, or whole when it goes elsewhere.

    Parameters
    ----------
    header
        The names of the columns.
    rows
        Their cells.
    right
        Columns of numbers.
    folded
        Columns whose cells may take several lines of a terminal; all others stay whole.
    """
    if sys.stdout.isatty():
        _print_on_terminal(header, rows, right, folded)
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _print_on_terminal(
    header: Sequence[str],
    rows: Collection[Sequence[str]],
    right: Collection[str],
    folded: Collection[str],
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in header:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            overflow="fold",
            no_wrap=name not in folded,
        )
    for row in rows:
        # As texts: what is in brackets in a function's name is no markup.
        table.add_row(*map(Text, row))
    console = Console()
    console.width = max(console.width, _narrowest(header, rows, folded))
    console.print(table)


def _narrowest(header: Sequence[str], rows: Collection[Sequence[str]], folded: Collection[str]) -> int:
    """Return the width below which cells would be cut; a terminal that is narrower wraps whole lines."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return sum(
        2 + (min(width, 20) if name in folded else width) for name, width in zip(header, widths, strict=True)
    )


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is, if anybody looks; gives a function that is told how many of how many."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def agreed(question: str) -> bool:
    """Ask whoever sits at a terminal; where nobody does, the answer is no."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return on_terminal and click.confirm(question, default=False)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, as `print_json` takes them."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if dataclasses.is_dataclass(value):
        return fields_of(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} has no JSON")
