"""References to results: small, picklable, loaded when asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cachestore.cache import Cache, Miss, cache_at, located, opened
from cachestore.errors import BlobError
from cachestore.memory.logged import Logged
from cachestore.memory.validation import joblib_metadata

if TYPE_CHECKING:
    import numpy

    from cachestore.cache import Metadata
    from cachestore.cache.lazy_array import LazyArray


class MemorizedResult(Logged):
    """Refers to a stored result.

    Its `repr` makes an equal one.

    Parameters
    ----------
    location
        A directory or URL, taken as it is, or an open cache.
    call_id
        The function's name and the digest of the call; `func` and `args_id` are the same.
    backend
        Kept for joblib's sake.
    mmap_mode
        How large arrays are mapped from files; None loads them.
    verbose
        Above 1 it is printed that the value is loaded, from 10 where from too.
    timestamp
        When the program began, which is printed then.
    metadata
        In place of what the cache says of the result.

    Attributes
    ----------
    key
        The digest of the call.
    func, func_id
        The function's name.
    args_id
        The digest of the call: an entry is named by it alone.
    duration
        Seconds that the computation took.
    parents
        The keys of the entries that were used to make the value.
    """

    duration: float | None
    metadata: dict[str, Any]

    def __init__(
        self,
        location: Cache | str | Path,
        call_id: Sequence[str] | None = None,
        backend: str = "local",
        mmap_mode: str | None = None,
        verbose: float = 0,
        timestamp: float | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        func: str | None = None,
        args_id: str | None = None,
    ) -> None:
        if call_id is not None:
            func, args_id = call_id
        if func is None or args_id is None:
            raise TypeError("A reference to a result needs call_id, or func and args_id.")
        cache = _open_one(location)
        found = cache.peek(args_id)
        self._refer(cache, func, args_id, None if isinstance(found, Miss) else found)
        self.mmap_mode = mmap_mode
        self.verbose = verbose
        self.timestamp = timestamp
        if metadata is not None:
            self.metadata = metadata
            self.duration = metadata.get("duration")

    @classmethod
    def of(
        cls,
        cache: Cache,
        metadata: Metadata,
        *,
        mmap_mode: str | None = None,
        verbose: float = 0,
        timestamp: float | None = None,
    ) -> Self:
        """Refer to an entry that is known."""
        result = cls.__new__(cls)
        result._refer(cache, metadata.function, metadata.key, metadata)
        result.mmap_mode = mmap_mode
        result.verbose = verbose
        result.timestamp = timestamp
        return result

    def _refer(self, cache: Cache, function: str, key: str, metadata: Metadata | None) -> None:
        self.store_backend = cache
        self.key = key
        self.func_id = function
        self.duration = None if metadata is None else metadata.seconds
        self.created_at: datetime | None = None if metadata is None else metadata.started_at
        self.metadata = {} if metadata is None else joblib_metadata(metadata)
        self.parents = () if metadata is None else tuple(parent.key for parent in metadata.parents)

    @property
    def _call_id(self) -> tuple[str, str]:
        return self.func_id, self.key

    @property
    def func(self) -> str:
        """The function's name."""
        return self.func_id

    @property
    def args_id(self) -> str:
        """The digest of the call."""
        return self.key

    def get(self) -> Any:
        """Load the value.

        Raises
        ------
        KeyError
            If it is not there any more, or cannot be read.
        """
        self._print_loading(self.func_id.rpartition(".")[2], self.store_backend.location, self.verbose)
        return self._load(mapping(self.store_backend, self.mmap_mode))

    @property
    def array(self) -> LazyArray:
        """The value, an array, without loading it: a slice of it fetches what holds it.

        Raises
        ------
        KeyError
            If it is not there any more, or cannot be read.
        BlobError
            If it is no array.
        """
        from cachestore.cache.lazy_array import LazyArray, load_lazily

        value = self._load(partial(load_lazily, self.store_backend))
        if not isinstance(value, LazyArray):
            raise _no_array(self.func_id, value)
        return value

    def _load(self, load: Callable[[Any], object] | None) -> Any:
        found = self.store_backend.get(self.key, load=load)
        if isinstance(found, Miss):
            what = "corrupted" if found.reason == "corrupt" else found.reason
            raise KeyError(
                f"The result {self.key[:12]} of {self.func_id} cannot be loaded from {self.store_backend.location}: "
                f"it is {what}. Call the function again to compute it."
            )
        return found.value

    def clear(self) -> None:
        """Remove the value from the cache."""
        self.store_backend.drop([self.key])

    def __repr__(self) -> str:
        """Show what the reference is to."""
        return (
            f'{type(self).__name__}(location="{self.store_backend.location}", '
            f'func="{self.func_id}", args_id="{self.args_id}")'
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the time: equal references have equal pickles."""
        return {**self.__dict__, "timestamp": None}


class NotMemorizedResult:
    """Holds a value itself, where there is no cache or the value could not be stored."""

    __slots__ = ("valid", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.valid = True

    def get(self) -> Any:
        """Return the value.

        Raises
        ------
        KeyError
            If it was cleared.
        """
        if self.valid:
            return self.value
        raise KeyError("No value stored.")

    @property
    def array(self) -> numpy.ndarray[Any, Any]:
        """The value, an array.

        Raises
        ------
        KeyError
            If it was cleared.
        BlobError
            If it is no array.
        """
        import numpy

        value = self.get()
        if not isinstance(value, numpy.ndarray):
            raise _no_array("the function", value)
        return value

    def clear(self) -> None:
        """Let go of the value."""
        self.valid = False
        self.value = None

    def __repr__(self) -> str:
        """Show the value."""
        if self.valid:
            return f"{type(self).__name__}({self.value!r})"
        return f"{type(self).__name__} with no value"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what the slots hold."""
        return {"valid": self.valid, "value": self.value}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what the slots held."""
        self.valid = state["valid"]
        self.value = state["value"]


def _open_one(location: Cache | str | Path) -> Cache:
    """Return the cache that this process has open at a place: it may have been opened with more than its name."""
    if isinstance(location, str | Path):
        place = located(location)
        location = next((cache for cache in opened() if cache.location == place), location)
    return cache_at(location)


def mapping(cache: Cache, mmap_mode: str | None) -> Callable[[Any], object] | None:
    """Return what maps results into memory; None where they are loaded."""
    if mmap_mode is None:
        return None
    from cachestore.cache.mapping import load_mapped

    return partial(load_mapped, cache, mode=mmap_mode)


def _no_array(function: str, value: object) -> BlobError:
    return BlobError(
        f"The result of {function} is no array that can be sliced in the store but a {type(value).__qualname__}. "
        "Load it with get()."
    )
