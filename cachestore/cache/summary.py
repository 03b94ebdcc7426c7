"""A short text of a value, for people who compare two calls."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping

_LONGEST = 80


def summarise(value: object) -> str:
    """Say in a few words what a value is; never raises, and never walks a large one.

    Examples
    --------
    >>> summarise(2.5), summarise(list(range(1000)))
    ('2.5', '[0, 1, 2, 3, 4, 5, ...]')
    """
    try:
        shape, kind = getattr(value, "shape", None), type(value).__name__
        if isinstance(shape, tuple) and shape:
            # The text of an array or a frame takes long, and shows the wrong end of it.
            dtype = getattr(value, "dtype", None)
            size = " x ".join(map(str, shape))
            return f"{kind} of {size}" if dtype is None else f"{kind} of {size} {dtype}"
        text = " ".join(reprlib.repr(value).split())
    except Exception as error:  # noqa: BLE001 - whatever a value answers, the call goes on
        return f"({type(value).__name__}, whose text cannot be made: {type(error).__name__})"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def summarise_all(values: Mapping[str, object]) -> dict[str, str]:
    """Summarise the arguments of a call, by their names."""
    return {name: summarise(value) for name, value in values.items()}
