"""What `push`, `pull` and `sync` share: the other store, which entries, and how to say what was moved."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from cachestore.cli.options import quantity
from cachestore.cli.output import KEY_LENGTH, print_table, progress
from cachestore.cli.wording import say_count, say_size
from cachestore.settings import parse_duration, parse_size

if TYPE_CHECKING:
    from cachestore.cache import Cache
    from cachestore.cache.transfer import Moved, Plan, Wanted


@dataclass(frozen=True, slots=True)
class Transfer:
    """Is a way from one store to another: what is to be moved, and what was."""

    source: Cache
    destination: Cache
    plan: Plan
    moved: Moved | None = None

    @classmethod
    def planned(cls, source: Cache, destination: Cache, wanted: Wanted) -> Transfer:
        """Decide what is to be moved."""
        from cachestore.cache import transfer

        return cls(source, destination, transfer.plan(source, destination, wanted))

    def carried_out(self) -> Transfer:
        """Move it, and show how far that is."""
        from cachestore.cache import transfer

        with progress("moving entries") as tell:
            moved = transfer.carry_out(self.source, self.destination, self.plan, progress=tell)
        return Transfer(self.source, self.destination, self.plan, moved)

    @property
    def complete(self) -> bool:
        """Whether all that was wanted is there, or would be."""
        return not (self.plan.unreadable or (self.moved and self.moved.failed))

    def answer(self) -> dict[str, Any]:
        """Say it for scripts."""
        plan, moved = self.plan, self.moved
        return {
            "source": self.source.location,
            "destination": self.destination.location,
            "executed": moved is not None,
            "moves": [
                {
                    "key": entry.key,
                    "function": entry.function,
                    "creator": entry.creator,
                    "stored_size": entry.stored_size,
                }
                for entry in plan.moves
            ],
            "size": plan.size,
            "unlisted": plan.unlisted,
            "present": plan.present,
            "expired": plan.expired,
            "moved": moved.keys if moved else (),
            "failed": (*plan.unreadable, *(moved.failed if moved else ())),
        }

    def print(self) -> None:
        """Say what would be moved, or what was."""
        if self.moved is None:
            self._print_plan()
        else:
            click.echo(
                f"{say_count(len(self.moved.keys), 'entry', 'entries')} of {say_size(self.moved.size)} moved from "
                f"{self.source.location} to {self.destination.location}."
            )
        self._print_others()
        self._print_failed()

    def _print_plan(self) -> None:
        plan = self.plan
        if plan.moves:
            print_table(
                ("key", "function", "by", "size"),
                [
                    (entry.key[:KEY_LENGTH], entry.function, entry.creator, say_size(entry.stored_size))
                    for entry in plan.moves
                ],
                right={"size"},
            )
            click.echo()
        click.echo(
            f"{say_count(len(plan.moves), 'entry', 'entries')} of {say_size(plan.size)} to move from "
            f"{self.source.location} to {self.destination.location}."
        )

    def _print_others(self) -> None:
        plan = self.plan
        if plan.present:
            click.echo(f"{say_count(plan.present, 'entry is', 'entries are')} there already.")
        if plan.expired:
            click.echo(f"{say_count(plan.expired, 'entry has', 'entries have')} expired and stay.")

    def _print_failed(self) -> None:
        failed = (*self.plan.unreadable, *(self.moved.failed if self.moved else ()))
        if failed:
            click.echo(f"{say_count(len(failed), 'entry', 'entries')} could not be moved:")
            print_table(
                ("key", "problem"),
                [(finding.key[:KEY_LENGTH], finding.problem) for finding in failed],
                folded={"problem"},
            )


def on_wanted(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what is moved; it is called with `wanted`, `other_index` and `dry_run`."""

    @click.argument("keys", nargs=-1, metavar="[KEY]...")
    @click.option(
        "--function",
        metavar="GLOB",
        help="Only entries of functions with this name: 'features*' finds team.tables.features_wide.",
    )
    @click.option("--user", metavar="NAME", help="Only entries that this user computed.")
    @click.option(
        "--newer-than",
        callback=quantity(parse_duration),
        metavar="AGE",
        help="Only entries computed within this time: 30d, 12h.",
    )
    @click.option(
        "--smaller-than",
        callback=quantity(parse_size),
        metavar="SIZE",
        help="Only entries of fewer bytes: 100MB, 1GiB.",
    )
    @click.option(
        "--other-index",
        metavar="PATH|URL",
        help="The index of the other store; what is not named comes from the settings, as for --index.",
    )
    @click.option("--dry-run", is_flag=True, help="Print what would be moved, and move nothing.")
    @functools.wraps(command)
    def complete(
        keys: tuple[str, ...],
        function: str | None,
        user: str | None,
        newer_than: timedelta | None,
        smaller_than: int | None,
        **options: Any,
    ) -> None:
        from cachestore.cache.transfer import Wanted

        wanted = Wanted(
            function=function,
            creator=user,
            newer_than=newer_than,
            smaller_than=smaller_than,
            keys=tuple(key.strip().lower() for key in keys),
        )
        command(wanted=wanted, **options)

    return complete
