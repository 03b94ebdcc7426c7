"""What is stored, who made it, when it was last used and what it saved: an SQL index.

`open_index` gives the `Index` of a store; an `Entry` is a row, a `Touch` notes a use, a `Missed` a miss, a `Spent` what
caching cost. The rows are
bookkeeping: a hit never waits for SQL, and losing the index loses no value. SQLAlchemy and Alembic live here
and nowhere else, and are imported when a database is first opened, not by noting a use. May import `errors`
and `settings`. Never looks at a blob or a store.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from cachestore.index.index import Index
from cachestore.index.opening import open_index
from cachestore.index.touch import Touch

if TYPE_CHECKING:
    from cachestore.index.accepted import Accepted
    from cachestore.index.entry import Entry
    from cachestore.index.evicted import Evicted
    from cachestore.index.missed import Missed, NotedMiss
    from cachestore.index.selection import Selection
    from cachestore.index.spent import Spent
    from cachestore.index.statistics import FunctionStatistics, MissStatistics, Statistics, UserStatistics

__all__ = [
    "Accepted",
    "Entry",
    "Evicted",
    "FunctionStatistics",
    "Index",
    "MissStatistics",
    "Missed",
    "NotedMiss",
    "Selection",
    "Spent",
    "Statistics",
    "Touch",
    "UserStatistics",
    "open_index",
]

# What a hit does not need is imported when it is first named.
_HOMES = {
    "Accepted": "accepted",
    "Entry": "entry",
    "Evicted": "evicted",
    "FunctionStatistics": "statistics",
    "MissStatistics": "statistics",
    "Missed": "missed",
    "NotedMiss": "missed",
    "Selection": "selection",
    "Spent": "spent",
    "Statistics": "statistics",
    "UserStatistics": "statistics",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
