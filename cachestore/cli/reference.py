"""docs/cli.md, written from the commands themselves.

`make docs` does it, or `python -m cachestore.cli.reference > docs/cli.md`.
"""

from __future__ import annotations

import click

from cachestore.cli import main

_WIDTH = 100
_INTRODUCTION = """\
# The command line

<!-- Written by `make docs` from the commands themselves; a test compares the two. -->

Every command takes `--location` and `--index`; what is not named comes from the settings
(`CACHESTORE_LOCATION`, `CACHESTORE_INDEX`, ..., then `cachestore.toml` or `[tool.cachestore]` in the nearest
`pyproject.toml`, then `./.cachestore`). `cachestore config` shows them. A directory is taken as it is; or,
where only its subfolder `cachestore` holds a store (`Memory("directory")` makes it), that is meant.

`--json` answers with one JSON object on stdout and nothing else: the names of its members are stable, numbers
are raw (bytes, seconds), times are ISO 8601 in UTC, keys are whole. Without it, keys are shortened: every
command takes any beginning that only one key has.

| exit code | means |
|---|---|
| 0 | done |
| 1 | something is wrong: `verify` or `show` found a damaged blob, `rebuild` could not read one; `push`, `pull` or \
`sync` could not move an entry; `import-joblib` could not load or store one; `doctor` found a \
fault; `why` knows nothing; no cache opens with what `config` shows |
| 2 | wrong usage, or it cannot be done: one paragraph on stderr says why and what to do |
| 130 | interrupted with Ctrl-C |
| 141 | whoever read the output closed it (`\\| head`) |
"""


def reference() -> str:
    """Return docs/cli.md."""
    pages = [_INTRODUCTION, _page(main, None)]
    with click.Context(main, info_name="cachestore") as parent:
        pages += [_page(command, parent) for command in main.commands.values()]
    return "\n".join(pages)


def _page(command: click.Command, parent: click.Context | None) -> str:
    name = command.name if parent else "cachestore"
    with click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=_WIDTH,
        help_option_names=["-h", "--help"],
    ) as context:
        title = f"cachestore {name}" if parent else "cachestore"
        return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
