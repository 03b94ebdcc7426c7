"""References to results: small, picklable, loaded when asked."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from cachestore.cache import Cache, Miss
from cachestore.memory.validation import joblib_metadata

if TYPE_CHECKING:
    from cachestore.cache import Metadata


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

    def __init__(self, cache: Cache, metadata: Metadata) -> None:
        self.store_backend = cache
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
        found = self.store_backend.get(self.key)
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
