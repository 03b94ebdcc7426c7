"""What was found of one thing that a cache relies on, and what it means for those who use the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cachestore.storage import ConditionalPut

# Beyond these, people notice.
_SLOW = 0.25
_NARROW = 5_000_000
_CLOCK_DIFFERS = 60.0
# A collection takes what is seven days old for garbage.
_CLOCK_IS_WRONG = 86400.0


class Result(StrEnum):
    """Says how a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Says what was found of one thing that a cache relies on.

    Attributes
    ----------
    check
        What was checked.
    result
        `FAILURE` where something will go wrong, `WARNING` where it will only be slow or needs care.
    measured, unit
        The value, where there is one: seconds, bytes per second, or what a conditional put does.
    meaning
        What it means, and what to do.
    """

    check: str
    result: Result
    meaning: str
    measured: float | str | None = None
    unit: str | None = None


def judge_conditional_put(does: ConditionalPut) -> Diagnosis:
    """Say what it means what a store does with a conditional put."""
    result, meaning = {
        ConditionalPut.CREATES: (
            Result.OK,
            "Of several threads that create an object exactly one wins.",
        ),
        ConditionalPut.REFUSED: (
            Result.WARNING,
            "The store takes no conditional puts. Results are safe: a put of the same key replaces it whole. For "
            "what only one may do, name an index that the team shares (`--index postgresql://user@host/database`).",
        ),
        ConditionalPut.LIES: (
            Result.FAILURE,
            "The store accepts conditional puts and overwrites all the same, so several believe that they won. "
            "Results are safe: a put of the same key replaces it whole. For what only one may do, name an index "
            "that the team shares (`--index postgresql://user@host/database`), or upgrade the server.",
        ),
    }[does]
    return Diagnosis("conditional put", result, meaning, does.value)


def judge_latency(operation: str, seconds: float) -> Diagnosis:
    """Say what it means how long a small operation takes.

    Examples
    --------
    >>> judge_latency("get", 2.0).result.value
    'warning'
    """
    result = Result.OK
    meaning = "Each hit waits so long." if operation == "get" else "Each result that is stored waits so long."
    if seconds > _SLOW:
        result = Result.WARNING
        meaning = (
            "Only what takes much longer to compute is worth storing here. Use a store that is nearer, or look at "
            "the network."
        )
    return Diagnosis(f"latency of a {operation}", result, meaning, seconds, "seconds")


def judge_throughput(operation: str, rate: float) -> Diagnosis:
    """Say what it means how many bytes a second go through, in one request for 8 MiB.

    Examples
    --------
    >>> judge_throughput("get", 100e6).result.value
    'ok'
    """
    result = Result.OK
    meaning = "8 MiB go at this rate, latency counted in; of larger values several pieces may go at once."
    if rate < _NARROW:
        result = Result.WARNING
        meaning = (
            "Large values take long, and far below this they are given up. Use a store that is nearer, or look at "
            "the network."
        )
    return Diagnosis(f"throughput of a {operation}", result, meaning, rate, "bytes per second")


def judge_clock(seconds: float) -> Diagnosis:
    """Say what it means that the store's clock is so far ahead of ours.

    Examples
    --------
    >>> judge_clock(-90.0).result.value
    'warning'
    """
    result, meaning = Result.OK, "Ages can be compared; a difference of a second or two is that of rounding."
    if abs(seconds) > _CLOCK_IS_WRONG:
        result = Result.FAILURE
        meaning = (
            "`cachestore gc` may take what is new for old, and sweep it. Set the clocks before you run it: here, or "
            "that of the store."
        )
    elif abs(seconds) > _CLOCK_DIFFERS:
        result = Result.WARNING
        meaning = (
            "Ages are wrong by so much, and S3 refuses requests from 15 min on. Set the clocks: here, or that of the "
            "store."
        )
    return Diagnosis("clock offset", result, meaning, seconds, "seconds")
