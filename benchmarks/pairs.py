"""Two ways to do one thing, timed in turn, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def print_header(peer: str = "joblib") -> None:
    """Print what the columns are."""
    print(f"{'':52} {peer:>14} {'cachestore':>10}   ratio ({peer} / cachestore, pair by pair)")


def compare(name: str, theirs: Callable[[], object], ours: Callable[[], object], *, pairs: int = 15) -> None:
    """Time both in turn after a warm-up each; print the medians and the quartiles of the ratio."""
    theirs(), ours()
    measured = [(_seconds(theirs), _seconds(ours)) for _ in range(pairs)]
    ratios = sorted(their / our for their, our in measured)
    their, our = (median(column) for column in zip(*measured, strict=True))
    low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
    print(f"{name:52} {_said(their):>14} {_said(our):>10}   {median(ratios):6.2f}  ({low:.2f} to {high:.2f})")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _said(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"
