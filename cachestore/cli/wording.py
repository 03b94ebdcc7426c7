"""Numbers and times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime


def say_size(size: int) -> str:
    """Say a number of bytes, in powers of 1000.

    Examples
    --------
    >>> say_size(812), say_size(10_240_000)
    ('812 B', '10.2 MB')
    """
    if abs(size) < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if abs(amount) < 999.95:  # above, it would be rounded to 1000.0
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} PB"


def say_duration(seconds: float) -> str:
    """Say how long something took, or how much was saved: that may be less than nothing.

    Examples
    --------
    >>> say_duration(2.08), say_duration(200), say_duration(-0.25)
    ('2.1 s', '3 min', '-250 ms')
    """
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 0.0005:
        return "0 s"
    if seconds < 0.9995:
        return f"{sign}{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{sign}{seconds:.1f} s"
    if seconds < 59.5 * 60:
        return f"{sign}{seconds / 60:.0f} min"
    if seconds < 47.95 * 3600:
        return f"{sign}{seconds / 3600:.1f} h"
    return f"{sign}{seconds / 86400:.1f} days"


def say_age(moment: datetime, now: datetime) -> str:
    """Say how long ago a moment was.

    Examples
    --------
    >>> from datetime import UTC
    >>> say_age(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 4, 7, tzinfo=UTC))
    '3 days ago'
    """
    seconds = int((now - moment).total_seconds())
    if seconds < 60:  # clocks of two machines differ: what is a little ahead of ours is of now
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    for unit, length, until in (("hour", 3600, 2), ("day", 86400, 60), ("month", 30 * 86400, 24)):
        if seconds < (until * 86400 if unit == "hour" else until * length):
            return f"{say_count(seconds // length, unit)} ago"
    return f"{say_count(seconds // (365 * 86400), 'year')} ago"


def say_moment(moment: datetime) -> str:
    """Say when something was, in UTC, and how long ago that is."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {say_age(moment, datetime.now(UTC))}"


def say_count(number: int, noun: str, plural: str | None = None) -> str:
    """Say how many there are.

    Examples
    --------
    >>> say_count(1, "entry", "entries"), say_count(1200, "entry", "entries")
    ('1 entry', '1,200 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
