"""`cachestore doctor`: a store checked for what a cache relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import print_json, print_table, progress
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_duration, say_size
from cachestore.errors import SettingsError

if TYPE_CHECKING:
    from cachestore.cache.diagnosis import Diagnosis


@click.command()
@on_cache
@click.pass_context
def doctor(ctx: click.Context, *, target: Target, as_json: bool) -> None:
    """Check a store for what a cache relies on.

    That puts are whole, read at once and listed at once, that ranges can be read, and what a conditional put
    does; then how fast the store is, and its clock. The store need not hold anything yet. The check puts some
    small objects and one of 8 MiB under names of their own, breaks one off after 17 MiB, and removes them
    again; no entry is touched. Ends with exit code 1 when something will go wrong; what is only slow or needs
    care is a warning.
    """
    from cachestore.cache.diagnosis import Result
    from cachestore.cache.doctor import examine

    with target.cache() as cache:
        directory = cache.store.directory()
        if directory is not None and not directory.exists():
            raise SettingsError(
                f"There is no directory {directory}. Make it, or name the one that is meant with `--location` or "
                "CACHESTORE_LOCATION (`cachestore config` shows what is set)."
            )
        with progress("checking the store") as tell:
            found = examine(cache.store, progress=tell)
    if as_json:
        print_json({"location": cache.location, "checks": found})
    else:
        click.echo(f"store  {cache.location}\n")
        print_table(
            ("check", "result", "measured", "meaning"),
            [(each.check, each.result.value, _measured(each), each.meaning) for each in found],
            right={"measured"},
            folded={"meaning"},
        )
    if any(each.result is Result.FAILURE for each in found):
        ctx.exit(ExitCode.FOUND_WRONG)


def _measured(found: Diagnosis) -> str:
    if isinstance(found.measured, float):
        if found.unit == "bytes per second":
            return f"{say_size(round(found.measured))}/s"
        # A local store answers in less than what `say_duration` calls nothing.
        small = abs(found.measured) < 0.01
        return f"{found.measured * 1000:.2f} ms" if small else say_duration(found.measured)
    return found.measured or ""
