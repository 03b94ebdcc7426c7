"""Tables of pandas, polars and pyarrow: their columns as they lie in memory, in the layout of Arrow; no pickle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from cachestore.blob.arrow_parts import NotExact, PartsReader, PartsWriter
from cachestore.blob.body import Body
from cachestore.errors import BlobError, CorruptBlob

_Made = tuple[dict[str, Any], Any] | None


def arrow_body(value: Any) -> Body | None:
    """Write a table, a column or an index; None when it might not come back exactly, and pickle must do it."""
    write = _WRITERS.get(str(type(value).__module__).partition(".")[0])
    if write is None:
        return None
    parts = PartsWriter()
    try:
        made = write(value, parts)
        return None if made is None else parts.body(*made)
    except NotExact:
        return None


def arrow_value(raw: memoryview, buffers: Sequence[Any]) -> object:
    """Return the value that `arrow_body` was given.

    Raises
    ------
    CorruptBlob
        If it did not write this.
    BlobError
        If the package of the value is not installed, or lacks what the value needs, or it does not fit into memory.
    """
    try:
        parts = PartsReader(raw, buffers)
        what = parts.content["is"]
        return _READERS[what.partition(".")[0]](what, parts)
    except ImportError as error:
        raise BlobError(
            f"The value cannot be read without {error.name}: install it (pip install {error.name}), "
            "or recompute the value."
        ) from error
    except BlobError:
        raise
    except MemoryError as error:
        raise BlobError("The value does not fit into memory.") from error
    except (AttributeError, NotImplementedError, NotExact) as error:
        raise BlobError(
            f"The value cannot be read with the packages that are installed: {type(error).__name__}: "
            f"{str(error)[:200]}. Install the versions that it was written with, or recompute it."
        ) from error
    except Exception as error:
        # Whatever pandas, polars and pyarrow say of parts that do not fit together.
        raise CorruptBlob(
            f"A table cannot be put together: {type(error).__name__}: {str(error)[:200]}. Recompute the value."
        ) from error


def _write_pandas(value: Any, parts: PartsWriter) -> _Made:
    from cachestore.blob.pandas_parts import write_pandas

    content = write_pandas(value, parts)
    return None if content is None else (content, None)


def _read_pandas(what: str, parts: PartsReader) -> object:
    import numpy  # noqa: F401 - says so itself when it is missing
    import pandas  # noqa: F401

    from cachestore.blob.pandas_parts import read_pandas

    return read_pandas(what, parts)


def _write_pyarrow(value: Any, parts: PartsWriter) -> _Made:
    import pyarrow

    kind = type(value)
    if kind is pyarrow.Table:
        return _table("pyarrow.Table", value, parts), value.schema.metadata
    if kind is pyarrow.RecordBatch:
        table = pyarrow.Table.from_batches([value])
        return _table("pyarrow.RecordBatch", table, parts), value.schema.metadata
    if kind is pyarrow.ChunkedArray:
        return {"is": "pyarrow.ChunkedArray", "values": parts.arrow(_field(value), value.chunks)}, None
    if isinstance(value, pyarrow.Array) and kind.__module__ == "pyarrow.lib":
        return {"is": "pyarrow.Array", "values": parts.arrow(_field(value), [value])}, None
    return None


def _field(column: Any) -> Any:
    import pyarrow

    return pyarrow.field("", column.type)


def _table(what: str, table: Any, parts: PartsWriter) -> dict[str, Any]:
    columns = [
        parts.arrow(field, column.chunks) for field, column in zip(table.schema, table.columns, strict=True)
    ]
    if not columns and table.num_rows:
        raise BlobError(  # pickle would lose them without a word
            f"A table of {table.num_rows} rows and no columns cannot be stored. Return a table with columns."
        )
    if not columns and table.schema.metadata:
        raise NotExact
    return {"is": what, "rows": table.num_rows, "columns": columns}


def _read_pyarrow(what: str, parts: PartsReader) -> object:
    import pyarrow

    if what in ("pyarrow.ChunkedArray", "pyarrow.Array"):
        column = parts.arrow(parts.content["values"])
        return column if what == "pyarrow.ChunkedArray" else _only_chunk(column)
    if what not in ("pyarrow.Table", "pyarrow.RecordBatch"):
        raise ValueError(f"there is no {what!r}")
    table = _read_table(parts)
    if what == "pyarrow.Table":
        return table
    return pyarrow.RecordBatch.from_arrays(list(map(_only_chunk, table.columns)), schema=table.schema)


def _only_chunk(column: Any) -> Any:
    (chunk,) = column.chunks
    return chunk


def _read_table(parts: PartsReader) -> Any:
    import pyarrow

    columns = [parts.arrow(part) for part in parts.content["columns"]]
    table = pyarrow.Table.from_arrays(columns, schema=parts.schema)
    if table.num_rows != parts.content["rows"]:
        raise ValueError(f"it has {table.num_rows} rows, not {parts.content['rows']}")
    table.validate()
    return table


def _write_polars(value: Any, parts: PartsWriter) -> _Made:
    import polars

    kind = type(value)
    if kind is polars.Series:
        what, frame = "polars.Series", value.to_frame()
    elif kind is polars.DataFrame:
        what, frame = "polars.DataFrame", value
    else:
        return None
    if not all(_survives(dtype) for dtype in frame.dtypes):
        raise NotExact
    if not frame.width and frame.height:
        raise NotExact
    table = frame.to_arrow()
    # What polars makes of the schema alone tells whether the types come back.
    empty: Any = polars.from_arrow(table.slice(0, 0))
    if empty.schema != frame.schema:
        raise NotExact
    return _table(what, table, parts), table.schema.metadata


def _survives(dtype: Any) -> bool:
    """Whether a type of polars is one of Arrow, all of whose values come back."""
    import polars

    if isinstance(dtype, polars.Struct):
        return all(_survives(field.dtype) for field in dtype.fields)
    if isinstance(dtype, polars.List | polars.Array):
        return dtype.inner is not None and _survives(dtype.inner)
    numbers = (
        polars.Boolean, polars.Int8, polars.Int16, polars.Int32, polars.Int64, polars.UInt8, polars.UInt16,
        polars.UInt32, polars.UInt64, polars.Float32, polars.Float64,
    )  # fmt: skip
    others = (
        polars.String, polars.Binary, polars.Date, polars.Time, polars.Datetime, polars.Duration, polars.Null,
        polars.Categorical, polars.Enum,
    )  # fmt: skip
    return type(dtype) in numbers + others


def _read_polars(what: str, parts: PartsReader) -> object:
    import polars

    frame: Any = polars.from_arrow(_read_table(parts), rechunk=False)
    if what == "polars.DataFrame":
        return frame
    if what != "polars.Series":
        raise ValueError(f"there is no {what!r}")
    return frame.to_series()


_WRITERS: Final[dict[str, Callable[[Any, PartsWriter], _Made]]] = {
    "pandas": _write_pandas,
    "polars": _write_polars,
    "pyarrow": _write_pyarrow,
}
_READERS: Final[dict[str, Callable[[str, PartsReader], object]]] = {
    "pandas": _read_pandas,
    "polars": _read_polars,
    "pyarrow": _read_pyarrow,
}
