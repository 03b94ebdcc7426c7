"""What pandas objects are made of: blocks of columns, arrays of its own kinds, and indexes."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any, Final

from cachestore.blob.arrow_parts import NotExact, PartsReader, PartsWriter
from cachestore.errors import BlobError

# Objects that are not all texts are written one by one, as the labels of columns are: there are few of these.
_FEW: Final = 4096
_LABELS: Final = frozenset({type(None), bool, int, float, str, bytes, tuple})
_NUMBERS: Final = "biufc"
_UNITS: Final = frozenset({"s", "ms", "us", "ns"})


def write_pandas(value: Any, parts: PartsWriter) -> dict[str, Any] | None:
    """Write a DataFrame, a Series or an Index of exactly these types."""
    import pandas

    kind = type(value)
    if kind is pandas.DataFrame:
        content = _write_frame(value, parts)
    elif kind is pandas.Series:
        content = {
            "is": "pandas.Series",
            "values": _write_array(value._values, parts),
            "name": parts.plain(value.name),
        }
    elif isinstance(value, pandas.Index):
        return {"is": "pandas.Index", "index": _write_index(value, parts)}
    else:
        return None
    if not value.flags.allows_duplicate_labels:
        raise NotExact
    return {**content, "index": _write_index(value.index, parts), "attrs": parts.plain(value.attrs)}


def read_pandas(what: str, parts: PartsReader) -> object:
    """Return what `write_pandas` was given; whatever is wrong with it is an Exception of some kind."""
    import pandas

    content = parts.content
    if what == "pandas.Index":
        return _read_index(content["index"], parts)
    if what == "pandas.Series":
        values = _read_array(content["values"], parts)
        if values.ndim != 1:
            raise ValueError("a series has one dimension")
        index = _read_index(content["index"], parts)
        value: Any = pandas.Series(
            values, index=index, dtype=values.dtype, name=parts.plain(content["name"]), copy=False
        )
    elif what == "pandas.DataFrame":
        value = _read_frame(content, parts)
    else:
        raise ValueError(f"there is no {what!r}")
    attrs = parts.plain(content["attrs"])
    if attrs:
        value.attrs = attrs
    return value


def _write_frame(frame: Any, parts: PartsWriter) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    for block in frame._mgr.blocks:
        places = block.mgr_locs.as_array.tolist()
        values = block.values
        if values.ndim == 2 and values.dtype == object:  # each column has nulls of its own kind
            blocks.extend(
                {"places": [place], "values": _write_array(row, parts)}
                for place, row in zip(places, values, strict=True)
            )
        else:
            blocks.append({"places": places, "values": _write_array(values, parts)})
    return {"is": "pandas.DataFrame", "columns": _write_index(frame.columns, parts), "blocks": blocks}


def _read_frame(content: dict[str, Any], parts: PartsReader) -> Any:
    columns, index = _read_index(content["columns"], parts), _read_index(content["index"], parts)
    blocks: list[tuple[Any, list[int]]] = []
    missing = set(range(len(columns)))
    for block in content["blocks"]:
        places, values = block["places"], _read_array(block["values"], parts)
        if values.ndim == 1 and _is_stacked(values):
            values = values.reshape(1, -1)
        shape = (len(places), len(index))
        if values.shape != (shape if values.ndim == 2 else shape[1:]) or (
            values.ndim == 1 and len(places) != 1
        ):
            raise ValueError(f"a block of shape {values.shape} is in the place of one of {shape}")
        if not all(type(place) is int for place in places):
            raise TypeError("places are no numbers")
        for place in places:
            missing.remove(place)
        blocks.append((values, places))
    if missing:
        raise ValueError(f"{len(missing)} columns are missing")
    return _join(blocks, index, columns)


def _is_stacked(values: Any) -> bool:
    """Whether pandas keeps several columns of this kind in one array."""
    import numpy
    import pandas

    return isinstance(values, numpy.ndarray | pandas.arrays.DatetimeArray | pandas.arrays.TimedeltaArray)


def _join(blocks: list[tuple[Any, list[int]]], index: Any, columns: Any) -> Any:
    import numpy
    import pandas

    try:
        from pandas.api.internals import (  # type: ignore[import-not-found]
            create_dataframe_from_blocks,
        )
    except ImportError:  # before pandas 3: a block for each column
        by_place = {
            place: values[row] if values.ndim == 2 else values
            for values, places in blocks
            for row, place in enumerate(places)
        }
        data = {
            place: pandas.Series(each, index=index, dtype=each.dtype, copy=False)
            for place, each in sorted(by_place.items())
        }
        frame = pandas.DataFrame(data, index=index, copy=False)
        frame.columns = columns
        return frame
    placed = [(values, numpy.array(places, numpy.intp)) for values, places in blocks]
    return create_dataframe_from_blocks(placed, index=index, columns=columns)


def _write_array(values: Any, parts: PartsWriter) -> dict[str, Any]:
    import numpy
    import pandas

    kind, arrays = type(values), pandas.arrays
    if kind is numpy.ndarray:
        if values.dtype == object:
            return _write_objects(values, parts)
        if values.dtype.kind not in _NUMBERS:
            raise NotExact
        return {"is": "numpy", **parts.array(values)}
    if kind in (arrays.DatetimeArray, arrays.TimedeltaArray):
        zone = _write_zone(getattr(values, "tz", None))
        return {"is": "dates", "tz": zone, **parts.array(values._ndarray)}
    if kind is arrays.PeriodArray:
        freq = values.freq.freqstr
        if pandas.PeriodDtype(freq) != values.dtype:
            raise NotExact
        return {"is": "periods", "freq": freq, **parts.array(values._ndarray)}
    if kind is arrays.IntervalArray:
        left, right = (_write_index(each, parts) for each in (values.left, values.right))
        return {"is": "intervals", "closed": values.closed, "left": left, "right": right}
    if kind is pandas.Categorical:
        categories = _write_index(values.categories, parts)
        return {
            "is": "categories",
            "categories": categories,
            "ordered": values.ordered,
            **parts.array(values._codes),
        }
    if kind in (arrays.IntegerArray, arrays.FloatingArray, arrays.BooleanArray):
        return {"is": "masked", "data": parts.array(values._data), "mask": parts.array(values._mask)}
    if isinstance(values.dtype, pandas.StringDtype):
        return _write_texts(values, parts)
    if isinstance(values.dtype, pandas.ArrowDtype) and kind is arrays.ArrowExtensionArray:
        return {"is": "arrow", **_write_arrow(values._pa_array, parts)}
    raise NotExact


def _read_array(part: dict[str, Any], parts: PartsReader) -> Any:
    import pandas

    what, arrays = part["is"], pandas.arrays
    if what == "numpy":
        array = parts.array(part)
        if array.dtype.kind not in _NUMBERS or not 1 <= array.ndim <= 2:
            raise ValueError(f"{array.dtype} of {array.ndim} dimensions are no column")
        return array
    if what == "objects":
        return _read_objects(part, parts)
    if what == "dates":
        return _dated(parts.array(part), _read_zone(part["tz"]))
    if what == "periods":
        return arrays.PeriodArray(parts.array(part), dtype=pandas.PeriodDtype(part["freq"]))
    if what == "intervals":
        left, right = (_read_index(part[side], parts) for side in ("left", "right"))
        return arrays.IntervalArray.from_arrays(left, right, closed=part["closed"])
    if what == "categories":
        categories = _read_index(part["categories"], parts)
        dtype = pandas.CategoricalDtype(categories, ordered=part["ordered"])
        return pandas.Categorical.from_codes(parts.array(part), dtype=dtype)
    if what == "masked":
        data, mask = parts.array(part["data"]), parts.array(part["mask"])
        masked = {"b": arrays.BooleanArray, "f": arrays.FloatingArray}.get(
            data.dtype.kind, arrays.IntegerArray
        )
        if data.ndim != 1:
            raise ValueError("a masked column has one dimension")
        return masked(data, mask)
    if what == "texts":
        return _read_texts(part, parts)
    if what == "arrow":
        return arrays.ArrowExtensionArray(parts.arrow(part))
    raise ValueError(f"there is no column of {what!r}")


def _dated(array: Any, zone: Any) -> Any:
    import numpy
    import pandas

    arrays: Any = pandas.arrays
    unit: Any = numpy.datetime_data(array.dtype)
    if array.dtype.kind not in "mM" or unit[0] not in _UNITS or unit[1] != 1 or not array.dtype.isnative:
        raise ValueError(f"{array.dtype} is no type of dates in pandas")
    if array.dtype.kind == "m":
        return arrays.TimedeltaArray._simple_new(array, dtype=array.dtype)
    dtype = array.dtype if zone is None else pandas.DatetimeTZDtype(unit[0], zone)
    return arrays.DatetimeArray._simple_new(array, dtype=dtype)


def _write_zone(zone: Any) -> str | None:
    if zone is None:
        return None
    if zone is datetime.UTC:
        return "utc"
    if type(zone) is zoneinfo.ZoneInfo and zone.key and zoneinfo.ZoneInfo(zone.key) is zone:
        return f"zoneinfo:{zone.key}"
    raise NotExact


def _read_zone(text: str | None) -> Any:
    if text is None:
        return None
    kind, _, key = text.partition(":")
    if text == "utc":
        return datetime.UTC
    if kind != "zoneinfo":
        raise ValueError(f"there is no time zone {text!r}")
    try:
        return zoneinfo.ZoneInfo(key)
    except zoneinfo.ZoneInfoNotFoundError as error:
        raise BlobError(
            f"The value has times of the zone {key[:100]!r}, which is not known here: install the zones "
            "(pip install tzdata), or recompute the value."
        ) from error


def _write_arrow(values: Any, parts: PartsWriter) -> dict[str, Any]:
    import pyarrow

    return parts.arrow(pyarrow.field("", values.type), values.chunks)


def _write_objects(values: Any, parts: PartsWriter) -> dict[str, Any]:
    """Write objects that are all texts, or missing in one and the same way; or a few labels."""
    kinds = set(map(type, values))
    if len(values) <= _FEW and kinds <= _LABELS:
        return {"is": "objects", "plain": parts.plain(values.tolist())}
    missing = kinds - {str}
    null = _null_of(values, missing)
    return {"is": "objects", "null": null, **_write_arrow(_texts(values), parts)}


def _null_of(values: Any, missing: set[type]) -> str | None:
    import pandas

    if not missing:
        return None
    if missing == {type(None)}:
        return "None"
    if missing == {type(pandas.NA)}:
        return "NA"
    if missing == {float} and all(each != each for each in values if type(each) is float):  # noqa: PLR0124
        return "nan"
    raise NotExact


def _read_objects(part: dict[str, Any], parts: PartsReader) -> Any:
    import numpy
    import pandas

    if "plain" in part:
        items = parts.plain(part["plain"])
        if type(items) is not list:
            raise TypeError("labels are no list")
        values = numpy.empty(len(items), object)
        for place, item in enumerate(items):  # item by item: numpy would take tuples apart
            values[place] = item
        return values
    null = {None: None, "None": None, "nan": numpy.nan, "NA": pandas.NA}[part["null"]]
    return _objects(parts.arrow(part), null)


def _texts(values: Any) -> Any:
    import pyarrow

    try:
        column = pyarrow.array(values, pyarrow.large_string(), from_pandas=True)
    except (pyarrow.ArrowException, UnicodeError):  # halves of surrogate pairs
        raise NotExact from None
    return pyarrow.chunked_array([column])


def _objects(column: Any, null: Any) -> Any:
    import numpy
    import pyarrow

    if column.type != pyarrow.large_string():
        raise TypeError(f"{column.type} are no texts")
    values = column.to_numpy(zero_copy_only=False)
    if not values.flags.writeable:
        values = numpy.array(values)
    if column.null_count and null is not None:
        values[column.is_null().to_numpy()] = null
    return values


def _write_texts(values: Any, parts: PartsWriter) -> dict[str, Any]:
    import pandas

    dtype = values.dtype
    head = {
        "is": "texts",
        "storage": dtype.storage,
        "missing": "NA" if dtype.na_value is pandas.NA else "nan",
    }
    if dtype.storage == "pyarrow":
        if not hasattr(values, "_pa_array"):
            raise NotExact
        return {**head, **_write_arrow(values._pa_array, parts)}
    return {**head, **_write_arrow(_texts(values._ndarray), parts)}


def _read_texts(part: dict[str, Any], parts: PartsReader) -> Any:
    import numpy
    import pandas
    import pyarrow

    # Before pandas 2.3 nothing but NA is missing, and nothing else can be asked for.
    missing: Any = {"NA": {}, "nan": {"na_value": numpy.nan}}[part["missing"]]
    column = parts.arrow(part)
    if column.type not in (pyarrow.string(), pyarrow.large_string()):
        raise TypeError(f"{column.type} are no texts")
    dtype: Any = pandas.StringDtype(part["storage"], **missing)
    return dtype.__from_arrow__(column)


def _write_index(index: Any, parts: PartsWriter) -> dict[str, Any]:
    import pandas

    kind = type(index)
    if kind is pandas.RangeIndex:
        return {
            "is": "range",
            "range": [index.start, index.stop, index.step],
            "name": parts.plain(index.name),
        }
    if kind is pandas.MultiIndex:
        return {
            "is": "levels",
            "levels": [_write_index(level, parts) for level in index.levels],
            "codes": [
                parts.array(codes._values if hasattr(codes, "_values") else codes) for codes in index.codes
            ],
            "names": parts.plain(list(index.names)),
        }
    if kind not in (
        pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex, pandas.PeriodIndex, pandas.CategoricalIndex,
        pandas.IntervalIndex,
    ):  # fmt: skip
        raise NotExact
    written = {"is": "index", "values": _write_array(index._data, parts), "name": parts.plain(index.name)}
    freq = index.freq if kind in (pandas.DatetimeIndex, pandas.TimedeltaIndex) else None
    if freq is not None:
        if not _is_named(freq):
            raise NotExact
        written["freq"] = freq.freqstr
    return written


def _is_named(freq: Any) -> bool:
    from pandas.tseries.frequencies import to_offset

    try:
        return bool(to_offset(freq.freqstr) == freq and type(to_offset(freq.freqstr)) is type(freq))
    except ValueError:
        return False


def _read_index(part: dict[str, Any], parts: PartsReader) -> Any:
    import pandas

    if part["is"] == "range":
        start, stop, step = part["range"]
        return pandas.RangeIndex(start, stop, step, name=parts.plain(part["name"]))
    if part["is"] == "levels":
        codes: list[Any] = [parts.array(each) for each in part["codes"]]
        return pandas.MultiIndex(
            levels=[_read_index(level, parts) for level in part["levels"]],
            codes=codes,
            names=parts.plain(part["names"]),
            copy=False,
        )
    if part["is"] != "index":
        raise ValueError(f"there is no index of {part['is']!r}")
    values = _read_array(part["values"], parts)
    if values.ndim != 1:
        raise ValueError("an index has one dimension")
    index = pandas.Index(values, dtype=values.dtype, name=parts.plain(part["name"]), copy=False)
    if "freq" in part:
        index.freq = part["freq"]
    return index
