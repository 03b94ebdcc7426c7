"""Durations and sizes as people write them: `30d`, `12h`, `10GB`, `400GiB`."""

from __future__ import annotations

import re
from datetime import timedelta

from cachestore.errors import SettingsError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}

_DURATION = r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*"
_SIZE = r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?\s*"


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `90s`, `12h`, `30d` or `2w`.

    Raises
    ------
    SettingsError
        If the text is no number with one of the units s, m, h, d, w.

    Examples
    --------
    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    match = re.fullmatch(_DURATION, text, re.IGNORECASE)
    if match is None:
        raise SettingsError(
            f"{text!r} is not a duration. Write a number and a unit: 90s, 15m, 12h, 30d or 2w."
        )
    try:
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2].lower()])
    except OverflowError:
        raise SettingsError(
            f"{text!r} is longer than time goes back. Write at most some thousand years."
        ) from None


def parse_size(text: str) -> int:
    """Read a size in bytes such as `500`, `10GB` (powers of 1000) or `400GiB` (powers of 1024).

    A bare letter (`1G`, joblib's spelling) is a power of 1024, as it is there.

    Raises
    ------
    SettingsError
        If the text is no number with one of the units K, M, G, T, P, with or without B or iB.

    Examples
    --------
    >>> parse_size("10GB"), parse_size("1KiB"), parse_size("1K")
    (10000000000, 1024, 1024)
    """
    match = re.fullmatch(_SIZE, text, re.IGNORECASE)
    if match is None or (match[2] == "" and match[3] is not None and match[3].lower() == "ib"):
        raise SettingsError(
            f"{text!r} is not a size. Write bytes or a number and a unit: 500MB, 10GB or 400GiB."
        )
    units = _DECIMAL if match[3] is not None and match[3].lower() == "b" else _BINARY
    try:
        return int(float(match[1]) * units[match[2].upper()])
    except OverflowError:
        raise SettingsError(
            f"{text[:20]}... is more than any store holds. Write 500MB, 10GB or 400GiB."
        ) from None
