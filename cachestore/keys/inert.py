"""Tools of the process, such as loggers and locks: no part of what is computed, wherever code reads them."""

from __future__ import annotations

from logging import Logger
from types import BuiltinMethodType, MethodType, MethodWrapperType

INERT = b"{inert 0:"
"""Stands for a tool of the process, which is no part of what is computed."""

# Only what is of one of these modules itself: a subclass of the team has code that may compute something.
_TOOLS = frozenset(
    {
        "_asyncio", "_contextvars", "_multiprocessing", "_queue", "_thread", "_weakrefset",
        "concurrent.futures.process", "concurrent.futures.thread", "contextvars", "multiprocessing.context",
        "multiprocessing.pool", "multiprocessing.queues", "multiprocessing.synchronize", "queue", "sched",
        "selectors", "threading",
    }
)  # fmt: skip
# These with all that is in them.
_PACKAGES = frozenset({"asyncio", "logging", "loguru", "structlog"})
# They may be empty at any time, so no result can rest on what they hold.
_WEAK = frozenset({"WeakKeyDictionary", "WeakValueDictionary"})
_BOUND = (MethodType, BuiltinMethodType, MethodWrapperType)


def is_inert(value: object) -> bool:
    """Say whether a value is a tool of the process, or a method of one, and no part of what is computed.

    Examples
    --------
    >>> import logging, threading
    >>> is_inert(logging.getLogger("sales").info), is_inert(threading.Lock())
    (True, True)
    >>> is_inert([].append)
    False
    """
    cls = type(value)
    return _is_tool(type(value.__self__) if cls in _BOUND else cls)  # type: ignore[attr-defined]


def _is_tool(cls: type) -> bool:
    module = str(cls.__module__)
    return (
        cls is object  # a sentinel, which holds nothing
        or issubclass(cls, Logger)
        or module in _TOOLS
        or module.partition(".")[0] in _PACKAGES
        or (module == "weakref" and cls.__qualname__ in _WEAK)
    )
