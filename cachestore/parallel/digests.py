"""The digests of one `Parallel` call: what all its tasks share is digested once."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from cachestore.keys import KeyedFunction, Rules, encode

# Digesting these costs less than remembering them.
_PLAIN = (type(None), bool, int, float, str, bytes)


class Digests:
    """Remembers the digests of objects by identity, and holds the objects so that identities stay theirs.

    Parameters
    ----------
    rules
        How code among them is looked at.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._known: dict[int, tuple[object, tuple[bytes, dict[str, str]]]] = {}
        self._functions: dict[int, tuple[object, KeyedFunction]] = {}
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def keyed(self, function: Callable[..., Any]) -> KeyedFunction:
        """Return what makes the keys of a function's calls: its code is looked for once, for all tasks."""
        known = self._functions.get(id(function))
        if known is None:
            known = self._functions[id(function)] = function, KeyedFunction(function, rules=self.rules)
        return known[1]

    def of(self, value: object, *, name: str = "value") -> tuple[bytes, dict[str, str]]:
        """Return the encoding of a value and the code parts met inside.

        Parameters
        ----------
        name
            What error messages call the value.

        Raises
        ------
        KeyingError
            If it has no stable digest.
        """
        if isinstance(value, _PLAIN):
            return encode(value, name=name, rules=self.rules)
        with self._lock:
            own = self._locks[id(value)]
        # Many tasks ask for the same large array at once: one digests it, the others wait.
        with own:
            known = self._known.get(id(value))
            if known is None:
                known = self._known[id(value)] = value, encode(value, name=name, rules=self.rules)
            return known[1]
