"""What every command takes: which cache is meant, and how to answer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cachestore.errors import SettingsError
from cachestore.settings import find_settings, parse_duration, parse_size

if TYPE_CHECKING:
    from cachestore.cache import Cache
    from cachestore.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Is the cache that a command is about: what was named, and where not, what the settings say."""

    location: str | None
    index: str | None

    def settings(self) -> tuple[Settings, dict[str, str]]:
        """Return the settings of this cache, and where each of them came from."""
        from cachestore.cache import located

        found, origins = find_settings()
        assert found.location is not None  # it has a default
        settings = found = replace(found, location=located(found.location))
        if self.location is not None:
            settings = settings.at(located(self.location), index=self.index)
            origins["location"] = "--location"
        if self.index is not None:
            settings = replace(settings, index=self.index)
            origins["index"] = "--index"
        elif settings.index != found.index:  # what was set belongs to another location
            origins["index"] = "default"
        if settings.storage_options != found.storage_options:
            origins["storage_options"] = "default"
        return settings, origins

    def existing_cache(self, *, near: bool = False) -> AbstractContextManager[Cache]:
        """Open the cache, which must be there: looking at a place leaves nothing behind.

        A command looks at the store itself, not at copies of it; one that removes entries removes copies too.
        """
        from cachestore.cache.opening import open_existing

        settings = self.settings()[0]
        return closing(open_existing(settings if near else replace(settings, near=False)))

    def cache(self) -> AbstractContextManager[Cache]:
        """Open the cache, where nothing need be yet."""
        from cachestore.cache import open_cache

        return closing(open_cache(replace(self.settings()[0], near=False)))


def on_cache(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all have; it is called with a `target` and with `as_json`."""

    @click.option(
        "--location",
        metavar="PATH|URL",
        help="The store: a directory, or a URL such as s3://bucket/prefix.",
    )
    @click.option(
        "--index",
        metavar="PATH|URL",
        help="The index: an SQLite file, or postgresql://user@host/database.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON: raw numbers, times in UTC.")
    @functools.wraps(command)
    def complete(location: str | None, index: str | None, **options: Any) -> None:
        command(target=Target(location, index), **options)

    return complete


function_option = click.option(
    "--function",
    metavar="GLOB",
    help="Only entries of functions with this name: 'features*' finds team.tables.features_wide.",
)
user_option = click.option("--user", metavar="NAME", help="Only entries that this user computed.")


def age_option(name: str, meaning: str) -> Callable[[_Command], _Command]:
    """Give a command an option that is a duration."""
    help_text = f"{meaning}: 30d, 12h."
    return click.option(name, callback=_quantity(parse_duration), metavar="AGE", help=help_text)


def size_option(name: str, meaning: str) -> Callable[[_Command], _Command]:
    """Give a command an option that is a number of bytes."""
    help_text = f"{meaning}: 10GB, 400MiB."
    return click.option(name, callback=_quantity(parse_size), metavar="SIZE", help=help_text)


def _quantity(read: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Have an option's text read as `settings` does it; where it has no meaning, name the option too."""

    def convert(_context: click.Context, option: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else read(text)
        except SettingsError as error:
            raise SettingsError(f"{option.opts[0]}: {error}") from error

    return convert
