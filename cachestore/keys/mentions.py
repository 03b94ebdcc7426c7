"""What is said once, as a warning, of code that does not count as its reader may think."""

from __future__ import annotations

import threading
import warnings

from cachestore.errors import CachestoreWarning
from cachestore.keys.walk import Refusal

_told: set[str] = set()
_lock = threading.Lock()


def mention_left_out(module: str, name: str, value: object, refusal: Refusal) -> None:
    """Say that a global is no part of the version of the functions that read it, or not all of it."""
    kind = type(value)
    way = "".join(reversed(refusal.steps))
    reason = f"at {name}{way} is a {refusal.what}, and {refusal.reason}" if way else refusal.reason
    _mention(
        f"left out {module}.{name}",
        f"{module}.{name}, a {kind.__module__}.{kind.__qualname__}, is read by a function whose results are kept, and "
        f"does not count for its version: {reason}. To have it count, name it in depends_on=[{name}], or what it is "
        f"made from; where it changes no result, say so by ignore_globals=[{name!r}].",
    )


def mention_other_source(name: str, file: str) -> None:
    """Say that the source of a function is not that of the code that runs."""
    _mention(
        f"other source {file} {name}",
        f"{name} runs as it was imported, and {file} was changed since: its results are kept under the version of the "
        "code that runs. Import it anew (restart the process or the notebook) to share results with others again.",
    )


def _mention(topic: str, message: str) -> None:
    with _lock:
        if topic in _told:
            return
        _told.add(topic)
    # No line of the user's own leads here that would tell more than the names do.
    warnings.warn(message, CachestoreWarning, stacklevel=2)
