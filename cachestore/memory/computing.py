"""What happens around a computation: it is announced, and its value is stored with what is known of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cachestore.cache import Cache, CallKey, Parent
from cachestore.errors import CachestoreWarning
from cachestore.keys import KeyedFunction
from cachestore.memory import call_stack
from cachestore.memory.keeping import Keeping

if TYPE_CHECKING:
    from cachestore.cache.single_flight import Computed


class Computing:
    """Announces computations of a memorised function, and stores what comes of them."""

    __slots__ = ()

    func: Callable[..., Any]
    store_backend: Cache
    mmap_mode: str | None
    keeping: Keeping
    _keyed: KeyedFunction
    _check_arguments: bool | None
    _verbose: float

    def _summaries(self, args: Any, kwargs: Any) -> dict[str, str]:
        if not self.store_backend.settings.value_summaries:
            return {}
        from cachestore.cache.summary import summarise_all

        return summarise_all(self._keyed.bind(args, kwargs))

    def _store(
        self,
        call: CallKey,
        value: Any,
        started_at: datetime,
        seconds: float,
        parents: Iterable[Parent],
        summaries: dict[str, str],
        args: Any,
        kwargs: Any,
    ) -> Computed:
        from cachestore.cache.single_flight import Computed

        metadata = None
        if not self._changed_its_arguments(call, args, kwargs):
            metadata = self.store_backend.put(
                call,
                value,
                started_at=started_at,
                seconds=seconds,
                parents=parents,
                function=self.func,
                summaries=summaries,
                raw=self.mmap_mode is not None,
                expires_at=self.keeping.end(started_at + timedelta(seconds=seconds)),
                min_seconds=self.keeping.min_seconds,
            )
        if metadata is not None:
            call_stack.note(metadata)
        if self._verbose > 0:
            self._print_duration(seconds)
        return Computed(value, metadata)

    def _changed_its_arguments(self, call: CallKey, args: Any, kwargs: Any) -> bool:
        asked = self._check_arguments
        if asked is None:
            # A pipeline of scikit-learn has its transformer fitted in place, and takes the one of the result.
            asked = self.store_backend.settings.checks_arguments and not self._keyed.is_internal()
        if not asked:
            return False
        changed = self._keyed.changed(call, args, kwargs)
        if changed:
            warnings.warn(
                f"{call.function} changed its argument {', '.join(map(repr, changed))} in place: a hit would not, so "
                "its result is not stored. Have it work on a copy.",
                CachestoreWarning,
                stacklevel=_level_of_caller(),
            )
        return bool(changed)

    def _print_call(self, args: Any, kwargs: Any) -> None:
        if self._verbose > 0:
            from joblib.func_inspect import format_call

            print(format_call(self.func, args, kwargs))

    def _print_duration(self, seconds: float, context: str = "") -> None:
        from joblib.func_inspect import get_func_name
        from joblib.logger import format_time

        message = f"{get_func_name(self.func)[1]} {context}- {format_time(seconds)}"
        print(message.rjust(80, "_"))


def _level_of_caller() -> int:
    """Return how far above its caller the code is that called into this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "cachestore":
        level, frame = level + 1, frame.f_back
    return level
