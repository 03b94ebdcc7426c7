"""What `push`, `pull` and `sync` share: the other store, which entries, and how to say what was moved."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from cachestore.cli.options import age_option, function_option, on_cache, size_option, user_option
from cachestore.cli.output import KEY_LENGTH, print_json, print_table, progress
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_count, say_size

if TYPE_CHECKING:
    from cachestore.cache import Cache
    from cachestore.cache.transfer import Moved, Plan, Wanted


@dataclass(frozen=True, slots=True)
class Transfer:
    """Is a way from one store to another: what is to be moved, and what was."""

    source: Cache
    destination: Cache
    wanted: Wanted
    plan: Plan
    moved: Moved | None = None

    @classmethod
    def planned(cls, source: Cache, destination: Cache, wanted: Wanted) -> Transfer:
        """Decide what is to be moved."""
        from cachestore.cache import transfer

        return cls(source, destination, wanted, transfer.plan(source, destination, wanted))

    def carried_out(self) -> Transfer:
        """Move it, and show how far that is."""
        from cachestore.cache import transfer

        with progress("moving entries") as tell:
            moved = transfer.carry_out(self.source, self.destination, self.plan, progress=tell)
        return replace(self, moved=moved)

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
        if self._nothing_is_like_that():
            click.echo(
                f"No entry at {self.source.location} is like that. "
                f"See `cachestore ls --location {self.source.location}`."
            )
        elif self.moved is None:
            self._print_plan()
        else:
            click.echo(
                f"{say_count(len(self.moved.keys), 'entry', 'entries')} of {say_size(self.moved.size)} moved from "
                f"{self.source.location} to {self.destination.location}."
            )
        self._print_others()
        self._print_failed()

    def _nothing_is_like_that(self) -> bool:
        from cachestore.cache.transfer import Plan, Wanted

        return self.wanted != Wanted() and self.plan == Plan()

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


@dataclass(frozen=True, slots=True)
class Asked:
    """Is what a command was asked to move, and how to answer."""

    wanted: Wanted
    other_index: str | None
    dry_run: bool
    as_json: bool

    def move(self, ctx: click.Context, **ways: tuple[Cache, Cache]) -> None:
        """Plan each way, go it unless only the plan is asked for, and say what came of it."""
        transfers = {name: Transfer.planned(*way, self.wanted) for name, way in ways.items()}
        if not self.dry_run:
            transfers = {name: each.carried_out() for name, each in transfers.items()}
        if self.as_json:
            answers = {name: each.answer() for name, each in transfers.items()}
            print_json(answers if len(answers) > 1 else answers.popitem()[1])
        else:
            for each in transfers.values():
                each.print()
        if not all(each.complete for each in transfers.values()):
            ctx.exit(ExitCode.FOUND_WRONG)


def on_wanted(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what is moved; it is called with a `target` and with `asked`."""

    @click.argument("keys", nargs=-1, metavar="[KEY]...")
    @function_option
    @user_option
    @age_option("--newer-than", "Only entries computed within this time")
    @size_option("--smaller-than", "Only entries of fewer bytes")
    @click.option(
        "--other-index",
        metavar="PATH|URL",
        help="The index of the other store; what is not named comes from the settings, as for --index.",
    )
    @click.option("--dry-run", is_flag=True, help="Print what would be moved, and move nothing.")
    @on_cache
    @functools.wraps(command)
    def complete(
        keys: tuple[str, ...],
        function: str | None,
        user: str | None,
        newer_than: timedelta | None,
        smaller_than: int | None,
        other_index: str | None,
        dry_run: bool,
        as_json: bool,
        **others: Any,
    ) -> None:
        from cachestore.cache.transfer import Wanted

        wanted = Wanted(
            function=function, creator=user, newer_than=newer_than, smaller_than=smaller_than, keys=keys
        )
        command(asked=Asked(wanted, other_index, dry_run, as_json), **others)

    return complete
