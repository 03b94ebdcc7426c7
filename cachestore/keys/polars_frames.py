"""polars frames and series: column by column, by the same digests as arrow's."""

from __future__ import annotations

from typing import Any

from cachestore.keys.arrow import arrow_elements
from cachestore.keys.encoding import record, text
from cachestore.keys.functions import encode_class
from cachestore.keys.packages import package_of
from cachestore.keys.walk import Encoder, Refusal, Walk


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of polars, if it is one."""
    polars = package_of(cls, "polars")
    if polars is None or not hasattr(polars, "DataFrame"):
        return None
    rules: tuple[tuple[Any, Encoder], ...] = (
        (polars.DataFrame, _frame),
        (polars.Series, _series),
        (polars.LazyFrame, _refuse),
        (polars.Expr, _refuse),
    )
    return next((encoder for base, encoder in rules if issubclass(cls, base)), None)


def _refuse(walk: Walk, value: Any) -> bytes:
    # A serialised plan names the functions in it, and differs from one version of polars to the next.
    raise Refusal(
        f"<{type(value).__qualname__}>", "it is a plan, nothing that was computed (give a frame: .collect())"
    )


def _frame(walk: Walk, value: Any) -> bytes:
    columns = [walk.named(f"[{series.name!r}]", series) for series in value.get_columns()]
    return record("polarsframe", *_subclass(walk, value), walk.encode(value.height), *columns)


def _series(walk: Walk, value: Any) -> bytes:
    members = [text(value.name), _dtype(walk, value.dtype), _elements(walk, value)]
    return record("polars", *_subclass(walk, value), *members)


def _elements(walk: Walk, value: Any) -> bytes:
    if _is_unknown_to_arrow(value.dtype):
        return walk.members("elements", value.to_list())
    try:
        return arrow_elements(walk, value.to_arrow())
    except ModuleNotFoundError as error:
        raise Refusal("<Series>", "pyarrow is not installed, and polars' columns are read by it") from error


def _is_unknown_to_arrow(dtype: Any) -> bool:
    inner = [field.dtype for field in getattr(dtype, "fields", ())]
    if hasattr(dtype, "inner"):
        inner.append(dtype.inner)
    return type(dtype).__name__ in {"Object", "Int128", "UInt128"} or any(map(_is_unknown_to_arrow, inner))


def _dtype(walk: Walk, value: Any) -> bytes:
    return record("polarsdtype", text(str(value)))


def _subclass(walk: Walk, value: Any) -> list[bytes]:
    cls = type(value)
    if cls.__module__.partition(".")[0] == "polars":
        return []
    return [encode_class(walk, cls)]
