"""Which entries somebody wants to see, and in which order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from cachestore.errors import SettingsError
from cachestore.index.entry import require_aware

if TYPE_CHECKING:
    import sqlalchemy as sa

Sort = Literal["last_used", "size", "hits", "saved", "created", "function"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Says which entries to select; without arguments all, the most recently used first.

    Parameters
    ----------
    function
        A pattern of the function's name in which `*` stands for any text and `?` for one character. It is
        held against the whole name; one without a dot also against what follows any dot of the name, so that
        `features*` finds `team.tables.features_wide`.
    creator
        Who made the entries.
    unused_since
        Only entries last used before this moment.
    sort
        `function` sorts by name; all others put the most recent or the largest first. Ties go by key.
    limit
        How many entries at most.

    Raises
    ------
    SettingsError
        If `sort` or `limit` has no meaning.
    ValueError
        If `unused_since` has no time zone.
    """

    function: str | None = None
    creator: str | None = None
    unused_since: datetime | None = None
    sort: Sort = "last_used"
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse values without a meaning at once."""
        require_aware("unused_since", self.unused_since)
        if self.sort not in get_args(Sort):
            raise SettingsError(f"Cannot sort by {self.sort!r}. Sort by one of: {', '.join(get_args(Sort))}.")
        if self.limit is not None and self.limit < 0:
            raise SettingsError(f"The limit is {self.limit!r}. Give a number of entries, or none for all.")

    def statement(self, dialect: str) -> sa.Select[tuple[object, ...]]:
        """Return the SELECT of the rows of `entries`, as the dialect understands it."""
        from cachestore.index.tables import entries

        columns = entries.c
        statement = entries.select()
        if self.function is not None:
            statement = statement.where(matches(columns.function, self.function, dialect))
        if self.creator is not None:
            statement = statement.where(columns.creator == self.creator)
        if self.unused_since is not None:
            statement = statement.where(columns.last_used_at < self.unused_since)
        order = {
            "last_used": columns.last_used_at.desc(),
            "size": columns.stored_size.desc(),
            "hits": columns.hits.desc(),
            "saved": columns.seconds_saved.desc(),
            "created": columns.created_at.desc(),
            "function": columns.function,
        }
        statement = statement.order_by(order[self.sort], columns.key)
        return statement if self.limit is None else statement.limit(self.limit)


def matches(column: sa.ColumnElement[str], pattern: str, dialect: str) -> sa.ColumnElement[bool]:
    """Return the condition that a function's name is like a pattern, whole or after a dot."""
    whole = _matches(column, pattern, dialect)
    return whole if "." in pattern else whole | _matches(column, f"*.{pattern}", dialect)


def is_like(function: str, pattern: str) -> bool:
    """Tell of one name what `matches` says of a column.

    Examples
    --------
    >>> is_like("team.tables.features_wide", "features*"), is_like("team.features", "tables.*")
    (True, False)
    """
    wanted = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    prefix = "" if "." in pattern else r"(?:.*\.)?"
    return re.fullmatch(prefix + wanted, function, re.DOTALL) is not None


def begins(column: sa.ColumnElement[str], prefix: str) -> sa.ColumnElement[bool]:
    """Return the condition that a digest begins with a prefix."""
    # Digests are hexadecimal and compared bytewise: all that begin with the prefix lie below the prefix and "~".
    return (column >= prefix) & (column < f"{prefix}~")


def _matches(column: sa.ColumnElement[str], pattern: str, dialect: str) -> sa.ColumnElement[bool]:
    # SQLite's LIKE ignores case, and PostgreSQL knows no GLOB. In both, only * and ? are special to the user:
    # names such as `f.<locals>.g[0]` need no quoting.
    if dialect == "sqlite":
        return column.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]"))
    for special in "\\%_":
        pattern = pattern.replace(special, f"\\{special}")
    return column.like(pattern.replace("*", "%").replace("?", "_"), escape="\\")
