"""Callbacks that decide whether a stored result may still be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachestore.cache import Metadata

ValidationCallback = Callable[[Mapping[str, Any]], Any]


def joblib_metadata(metadata: Metadata, input_args: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Say of an entry what joblib's callbacks and `call` are told.

    Parameters
    ----------
    input_args
        The texts of the arguments of the call that asks. They are never stored: they may hold secrets.
    """
    return {
        "duration": metadata.seconds,
        "input_args": dict(input_args or {}),
        "time": metadata.started_at.timestamp() + metadata.seconds,
    }


def expires_after(
    days: float = 0,
    seconds: float = 0,
    microseconds: float = 0,
    milliseconds: float = 0,
    minutes: float = 0,
    hours: float = 0,
    weeks: float = 0,
) -> ValidationCallback:
    """Make a `cache_validation_callback` that has results computed again after a while.

    Examples
    --------
    >>> fresh = expires_after(days=1)
    >>> import time
    >>> fresh({"time": time.time() - 3600}), fresh({"time": time.time() - 2 * 86400})
    (True, False)
    """
    age = timedelta(
        days=days,
        seconds=seconds,
        microseconds=microseconds,
        milliseconds=milliseconds,
        minutes=minutes,
        hours=hours,
        weeks=weeks,
    ).total_seconds()

    def cache_validation_callback(metadata: Mapping[str, Any]) -> bool:
        return bool(time.time() - metadata["time"] < age)

    # What it refuses has expired, and is said to have.
    cache_validation_callback.expires = True  # type: ignore[attr-defined]
    return cache_validation_callback
