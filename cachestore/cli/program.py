"""What becomes of an error: one paragraph on stderr, and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, TextIO

import click

from cachestore.errors import CachestoreError


class ExitCode(IntEnum):
    """Says to a script how a command ended."""

    DONE = 0
    FOUND_WRONG = 1
    REFUSED = 2
    INTERRUPTED = 130
    NO_READER = 141


class Program(click.Group):
    """Runs a command, and says in one paragraph why it could not be done."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands as they were given: what is often wanted comes first."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            with _warnings_as_text():
                return super().invoke(ctx)
        except CachestoreError as error:
            refusal = click.ClickException(_paragraph(error))
            refusal.exit_code = ExitCode.REFUSED  # type: ignore[misc]
            raise refusal from error
        except (KeyboardInterrupt, click.Abort):
            click.echo("\nInterrupted.", err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read us (`| head`) has enough. What is still in the buffer would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(ExitCode.NO_READER) from None


def _paragraph(message: object) -> str:
    return " ".join(str(message).split())


@contextmanager
def _warnings_as_text() -> Iterator[None]:
    """Show warnings to people, not as lines of code."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        click.echo(f"Warning: {_paragraph(message)}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
