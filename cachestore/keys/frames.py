"""pandas frames, series, indexes and arrays: column by column, however they were built."""

from __future__ import annotations

from typing import Any

from cachestore.keys.arrays import encode_array
from cachestore.keys.arrow import arrow_elements, encode_bounds, encode_missing
from cachestore.keys.encoding import buffer, record, text
from cachestore.keys.functions import encode_class
from cachestore.keys.packages import package_of
from cachestore.keys.walk import Encoder, Refusal, Walk


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of pandas, if it is one."""
    pandas = package_of(cls, "pandas")
    if pandas is None or not hasattr(pandas, "DataFrame"):
        return None
    rules: tuple[tuple[Any, Encoder], ...] = (
        (pandas.DataFrame, _frame),
        (pandas.Series, _series),
        (pandas.Index, _index),
        (pandas.api.extensions.ExtensionArray, _array),
        (pandas.api.extensions.ExtensionDtype, _dtype),
        (type(pandas.NA), _missing),
    )
    return next((encoder for base, encoder in rules if issubclass(cls, base)), None)


def _frame(walk: Walk, value: Any) -> bytes:
    columns = []
    for label, column in value.items():
        try:
            columns.append(_array(walk, column.array))
        except Refusal as refusal:
            raise refusal.step(f"[{label!r}]") from None
    members = [walk.named(".columns", value.columns), walk.named(".index", value.index), *columns]
    return record("frame", *_subclass(walk, value, "DataFrame"), walk.named(".attrs", value.attrs), *members)


def _series(walk: Walk, value: Any) -> bytes:
    members = [walk.named(".name", value.name), walk.named(".index", value.index), _array(walk, value.array)]
    return record("series", *_subclass(walk, value, "Series"), walk.named(".attrs", value.attrs), *members)


def _subclass(walk: Walk, value: Any, name: str) -> list[bytes]:
    """Encode whether labels must be unique, and what a class derived from one of pandas' own adds to it."""
    members = [] if value.flags.allows_duplicate_labels else [b"{unique 0:"]
    cls = type(value)
    if cls.__name__ == name and cls.__module__.partition(".")[0] == "pandas":
        return members
    attributes = [(name, getattr(value, name, None)) for name in value._metadata if name != "name"]
    return [*members, encode_class(walk, cls), walk.pairs("state", attributes, attributes=True)]


def _index(walk: Walk, value: Any) -> bytes:
    names = walk.named(".names", list(value.names))
    if hasattr(value, "levels"):
        levels = [_array(walk, value.get_level_values(level).array) for level in range(value.nlevels)]
        return record("multiindex", names, *levels)
    # A RangeIndex equals an index of its numbers. How often a DatetimeIndex ticks follows from its times.
    return record("index", names, _array(walk, value.array))


def _array(walk: Walk, value: Any) -> bytes:
    import pandas

    dtype = getattr(value, "dtype", None)
    numbers = getattr(value, "_ndarray", None)
    if type(value).__name__ == "NumpyExtensionArray":
        return record("column", encode_array(walk, value.to_numpy()))
    members = [_dtype(walk, dtype)]
    if isinstance(dtype, pandas.CategoricalDtype):
        import numpy

        codes = numpy.asarray(value.codes, dtype=numpy.int64)
        return record("categorical", *members, encode_array(walk, codes))
    if isinstance(dtype, pandas.StringDtype):
        return record("strings", *members, _texts(walk, value))
    if hasattr(value, "_pa_array"):
        return record("arrowcolumn", *members, arrow_elements(walk, value._pa_array))
    if hasattr(value, "_mask") and hasattr(value, "_data"):
        data, mask = value._data.copy(), value._mask
        # What lies under the mask cannot be seen.
        data[mask] = 0
        return record("nullable", *members, encode_array(walk, data), encode_array(walk, mask))
    if numbers is not None and numbers.dtype.kind in "mMi":
        return record("times", *members, encode_array(walk, numbers))
    return record("extension", *members, walk.members("elements", list(value)))


def _texts(walk: Walk, value: Any) -> bytes:
    """Encode texts alike whether pandas keeps them as arrow buffers or as Python objects."""
    import numpy

    if hasattr(value, "_pa_array"):
        return arrow_elements(walk, value._pa_array)
    missing = encode_missing(numpy.ascontiguousarray(value.isna()))
    texts = value.to_numpy(object, na_value="")
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    bounds = numpy.zeros(len(encoded) + 1, numpy.int64)
    numpy.cumsum(numpy.fromiter(map(len, encoded), numpy.int64, len(encoded)), out=bounds[1:])
    return record("texts", missing, encode_bounds(bounds), buffer(b"".join(encoded)))


def _dtype(walk: Walk, value: Any) -> bytes:
    import pandas

    if isinstance(value, pandas.CategoricalDtype):
        categories = b"N" if value.categories is None else walk.encode(value.categories)
        return record("categories", categories, walk.encode(value.ordered))
    foreign = type(value).__module__.partition(".")[0] not in {"pandas", "numpy"}
    own = [encode_class(walk, type(value))] if foreign else []
    return record("pandasdtype", text(type(value).__name__), text(str(value)), *own)


def _missing(walk: Walk, value: Any) -> bytes:
    return b"{na 0:"
