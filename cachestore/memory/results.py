"""References to results: small, picklable, loaded when asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from cachestore.cache import Cache, Miss
from cachestore.errors import BlobError
from cachestore.memory.validation import joblib_metadata

if TYPE_CHECKING:
    import numpy

    from cachestore.cache import Metadata
    from cachestore.cache.lazy_array import LazyArray


class MemorizedResult:
    """Refers to a stored result.

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

    def __init__(self, cache: Cache, metadata: Metadata, *, mmap_mode: str | None = None) -> None:
        self.store_backend = cache
        self.mmap_mode = mmap_mode
        self.key = metadata.key
        self.func_id = metadata.function
        self.duration = metadata.seconds
        self.created_at: datetime = metadata.started_at
        self.metadata = joblib_metadata(metadata)
        self.parents = tuple(parent.key for parent in metadata.parents)

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

    def _repr_html_(self) -> str | None:
        from cachestore.memory.notebook import result_html

        return result_html(self)

    def _load(self, load: Callable[[Any], object] | None) -> Any:
        found = self.store_backend.get(self.key, load=load)
        if isinstance(found, Miss):
            raise KeyError(
                f"The result {self.key[:12]} of {self.func_id} cannot be loaded from {self.store_backend.location}: "
                f"it is {found.reason}. Call the function again to compute it."
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
