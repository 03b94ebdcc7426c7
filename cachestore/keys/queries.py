"""SQLAlchemy's queries: by the key under which it keeps what it compiled of them, and the values bound in them.

What such an object holds says little: names that are made of places in memory, and what it was asked for before.
"""

from __future__ import annotations

import sys
from typing import Any

from cachestore.keys.encoding import record
from cachestore.keys.functions import encode_class
from cachestore.keys.packages import package_of
from cachestore.keys.walk import Encoder, Refusal, Walk


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a query, or a part of one, if the type is one of SQLAlchemy's."""
    elements = package_of(cls, "sqlalchemy.sql.elements")
    if elements is None or not issubclass(cls, elements.ClauseElement):
        return None
    return _table if issubclass(cls, sys.modules["sqlalchemy.sql.schema"].Table) else _query


def _query(walk: Walk, value: Any) -> bytes:
    key = value._generate_cache_key()
    if key is None:
        what = f"<{type(value).__qualname__}>"
        raise Refusal(what, "SQLAlchemy cannot tell such queries apart (give its text and its parameters)")
    bound = [parameter.effective_value for parameter in key.bindparams]
    members = [walk.named(" -> the query", key.key), walk.named(" -> parameters", bound)]
    return record("query", encode_class(walk, type(value)), *members)


def _table(walk: Walk, value: Any) -> bytes:
    columns = [(column.name, column.key, column.type) for column in value.columns]
    return record("table", *map(walk.encode, (value.name, value.schema, columns)))
