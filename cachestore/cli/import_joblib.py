"""`cachestore import-joblib`: what joblib cached, brought over as far as it can be keyed anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cachestore.cli.options import Target, on_cache
from cachestore.cli.output import KEY_LENGTH, agreed, print_json, print_table, progress
from cachestore.cli.program import ExitCode
from cachestore.cli.wording import say_count, say_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cachestore.cache import Cache
    from cachestore.cache.import_joblib import Imported, Plan, Skipped


@click.command("import-joblib")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="NAME|FILE",
    help="Where functions are that were defined in a script, or have moved; may be given several times.",
)
@click.option("--yes", is_flag=True, help="Act, without asking.")
@on_cache
@click.pass_context
def import_joblib(
    ctx: click.Context,
    *,
    target: Target,
    as_json: bool,
    directory: Path,
    modules: tuple[str, ...],
    yes: bool,
) -> None:
    """Bring over what joblib cached in DIRECTORY, the one that was given to joblib.Memory.

    An entry can be keyed anew where its function can be imported and has the source that it had, and where the texts of
    its arguments read back to the arguments; all others are listed with the reason. Modules are sought in the working
    directory too, and are imported for it. Have them use cachestore's Memory first: then functions are keyed as they
    will be called.

    Prints what would be imported. Acts only with --yes, or when you agree on a terminal: values are pickles, and
    loading one runs the code that is in it, so import only what people wrote whom you trust. Nothing in DIRECTORY is
    changed.
    """
    from cachestore.cache import import_joblib as importing

    with target.cache() as cache:
        plan = importing.plan(cache, directory.absolute(), modules)
        if as_json:
            imported = _carry_out(cache, plan) if yes else None
            _print_json(cache, directory, plan, imported)
        else:
            _print_plan(cache, plan)
            imported = None
            if plan.imports and (yes or agreed("Load these pickles, and store what they hold?")):
                imported = _carry_out(cache, plan)
                _print_imported(cache, imported)
            elif plan.imports:
                click.echo("Nothing was imported. Say --yes to act.")
        if imported is not None and imported.failed:
            ctx.exit(ExitCode.FOUND_WRONG)


def _carry_out(cache: Cache, plan: Plan) -> Imported:
    from cachestore.cache.import_joblib import carry_out

    with progress("importing") as tell:
        return carry_out(cache, plan, progress=tell)


def _print_plan(cache: Cache, plan: Plan) -> None:
    if plan.skipped:
        click.echo(f"{say_count(len(plan.skipped), 'entry', 'entries')} cannot be imported:")
        _print_skipped(plan.skipped)
        click.echo()
    if plan.imports:
        print_table(
            ("entry", "key", "function", "pickle"),
            [
                (
                    each.folder.name[:KEY_LENGTH],
                    each.call.key[:KEY_LENGTH],
                    each.call.function,
                    say_size(each.size),
                )
                for each in plan.imports
            ],
            right={"pickle"},
        )
        click.echo()
    if plan.present:
        click.echo(f"{say_count(plan.present, 'entry is', 'entries are')} there already.")
    click.echo(
        f"{say_count(len(plan.imports), 'entry', 'entries')} of {say_size(plan.size)} to import to {cache.location}."
    )
    if plan.imports:
        click.echo("Loading a pickle runs the code that is in it.")


def _print_imported(cache: Cache, imported: Imported) -> None:
    click.echo(f"{say_count(len(imported.keys), 'entry', 'entries')} imported to {cache.location}.")
    if imported.failed:
        click.echo(f"{say_count(len(imported.failed), 'entry', 'entries')} could not be imported:")
        _print_skipped(imported.failed)


def _print_skipped(skipped: Iterable[Skipped]) -> None:
    print_table(
        ("entry", "function", "why"),
        [(each.folder.name[:KEY_LENGTH], each.function, each.reason) for each in skipped],
        folded={"function", "why"},
    )


def _print_json(cache: Cache, directory: Path, plan: Plan, imported: Imported | None) -> None:
    def said(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
        return [
            {"entry": str(each.folder), "function": each.function, "reason": each.reason} for each in skipped
        ]

    print_json(
        {
            "directory": str(directory),
            "location": cache.location,
            "executed": imported is not None,
            "imports": [
                {
                    "entry": str(each.folder),
                    "key": each.call.key,
                    "function": each.call.function,
                    "size": each.size,
                }
                for each in plan.imports
            ],
            "size": plan.size,
            "present": plan.present,
            "skipped": said(plan.skipped),
            "imported": imported.keys if imported else (),
            "failed": said(imported.failed) if imported else [],
        }
    )
