"""Which objects may stand for constants of a module: those that are nothing but their content."""

from __future__ import annotations

from typing import Any

# Modules and packages whose objects are their content: settings and parameters, which are looked at again for
# each call.
_VALUES = frozenset(
    {
        "argparse.Namespace", "calendar", "collections.ChainMap", "collections.UserDict", "collections.UserList",
        "collections.UserString", "dateutil.relativedelta", "dateutil.tz", "functools.partialmethod", "inspect",
        "ipaddress", "json.encoder", "numpy", "operator", "pandas.Grouper", "pandas.NamedAgg",
        "pandas.core.groupby.grouper", "pandas.core.indexing", "pyarrow._compute", "pyarrow._csv", "pyarrow._json",
        "pytz", "scipy", "sklearn", "statistics", "string", "textwrap", "types", "typing", "zoneinfo",
    }
)  # fmt: skip
_CHANGING = frozenset({"numpy.random"})


def is_constant(value: Any) -> bool:
    """Say whether an object is nothing but its content, which is looked at again for each call.

    Others hold what changes without a word of the team's, as connections, counters and caches do. Were that to
    count, every call would have another key.

    Examples
    --------
    >>> from decimal import Context, Decimal
    >>> is_constant(Decimal(1)), is_constant(Context())
    (True, False)
    """
    cls = type(value)
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        return True
    if isinstance(value, int | float | complex | str | bytes | tuple | frozenset | list | dict | set):
        return True
    return is_listed(cls) or _is_hashed_by_content(value)


def is_listed(cls: type) -> bool:
    """Say whether objects of a class that is not the team's are what they were given."""
    parts = f"{cls.__module__}.{cls.__qualname__}".split(".")
    around = {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    return not around.isdisjoint(_VALUES) and around.isdisjoint(_CHANGING)


def _is_hashed_by_content(value: Any) -> bool:
    """Say whether an object is equal to others by its content and has a hash: then it may not change in place."""
    cls: Any = type(value)
    if cls.__hash__ in (None, object.__hash__) or cls.__eq__ is object.__eq__:
        return False
    try:
        # Expressions of query languages make another expression of it.
        return (value == value) is True  # noqa: PLR0124
    except Exception:  # noqa: BLE001 - whatever its class makes of it, it is no answer
        return False
