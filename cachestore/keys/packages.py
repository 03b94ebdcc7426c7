"""Packages whose values have rules of their own, without importing any."""

from __future__ import annotations

import sys
from typing import Any


def package_of(cls: type, name: str) -> Any:
    """Return a module of a package, if a class is from there or derived from one that is; None for other classes.

    Others are none of its business: while another thread imports the package, half of its names are missing.

    Examples
    --------
    >>> from decimal import Decimal
    >>> package_of(Decimal, "decimal").__name__, package_of(int, "decimal")
    ('decimal', None)
    """
    package = sys.modules.get(name)
    if package is None:
        return None
    top = name.partition(".")[0]
    return package if any(str(base.__module__).partition(".")[0] == top for base in cls.__mro__) else None
