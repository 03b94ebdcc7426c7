"""A function whose calls are answered from a cache where it has them."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cachestore.cache import Cache, CallKey, Hit, Miss, cache_at
from cachestore.errors import KeyingError
from cachestore.keys import Declared, FunctionIdentity, KeyedFunction
from cachestore.memory import call_stack
from cachestore.memory.computing import Computing
from cachestore.memory.keeping import Keeping
from cachestore.memory.logged import Logged
from cachestore.memory.results import MemorizedResult, NotMemorizedResult, mapping
from cachestore.memory.validation import ValidationCallback, joblib_metadata
from cachestore.memory.wrapped import Wrapped, refuse_generators

if TYPE_CHECKING:
    from cachestore.cache import Metadata
    from cachestore.cache.explain import Explanation
    from cachestore.cache.single_flight import Computed


class NotMemorizedFunc(Wrapped):
    """Calls a function, where there is no cache."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self._stand_for(func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.func(*args, **kwargs)

    def call_and_shelve(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function and hold its value."""
        return NotMemorizedResult(self.func(*args, **kwargs))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; nothing is known of the call."""
        return self.func(*args, **kwargs), {}

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.func(*args, **kwargs)

    def check_call_in_cache(self, *args: Any, **kwargs: Any) -> bool:
        """Say that nothing is in a cache that is not there."""
        return False

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say that there is no cache."""
        from cachestore.cache.entries import KnownCall
        from cachestore.cache.explain import Explanation

        name = getattr(self.func, "__qualname__", type(self.func).__qualname__)
        return Explanation("miss", "no cache", KnownCall("", name, ""), datetime.now(UTC))

    def clear(self, warn: bool = True, *, all_versions: bool = False) -> None:
        """Do nothing: nothing is stored."""

    def __repr__(self) -> str:
        """Show the function."""
        return f"{type(self).__name__}(func={self.func})"


class MemorizedFunc(Wrapped, Logged, Computing):
    """Calls a function, or loads what an equal call gave before.

    Parameters
    ----------
    func
        The function.
    location
        Where its results are: an open cache, or a directory or URL, taken as it is.
    backend
        Kept for joblib's sake.
    ignore
        Names of arguments that do not tell calls apart; `*` and `**` are those of variable number.
    mmap_mode
        How large arrays are mapped from files; None loads them.
    compress
        How results are compressed in a cache that is opened here.
    verbose
        joblib's verbosity: above 0 a computation is printed, above 1 a load too, above 4 how long it took, above 10
        where to; from 20 each question is logged.
    timestamp
        When the program began, for what is printed.
    cache_validation_callback
        Told of each entry found; where it says no, the call is computed again and its entry replaced.
    declared
        What the author says of the version, and of single arguments.
    check_arguments
        Whether arguments are digested again after a computation: a result of a function that changed them is not
        stored. None leaves it to the settings.
    lazy
        Whether results that are arrays stay in the store.
    keeping
        Which results are kept, and for how long.

    Attributes
    ----------
    func
        The function; `__wrapped__` too.
    func_id
        Its name.
    func_code_info
        Its source, the file and the first line.
    store_backend
        The cache.
    """

    # Not of the state that is copied and compared.
    __slots__ = ("_keyed",)

    def __init__(
        self,
        func: Callable[..., Any],
        location: Cache | str | Path,
        backend: str = "local",
        ignore: Iterable[str] | None = None,
        mmap_mode: str | None = None,
        compress: Any = None,
        verbose: float = 1,
        timestamp: float | None = None,
        cache_validation_callback: ValidationCallback | None = None,
        *,
        declared: Declared | None = None,
        check_arguments: bool | None = None,
        lazy: bool = False,
        keeping: Keeping | None = None,
    ) -> None:
        refuse_generators(func)
        # First, as it copies the attributes of the function too.
        self._stand_for(func)
        self.store_backend = cache_at(location, compress=compress, verbose=verbose)
        self.timestamp = time.time() if timestamp is None else timestamp
        self.compress = compress
        self.ignore = list(ignore or ())
        self.cache_validation_callback = cache_validation_callback
        self._verbose = verbose
        self.declared = Declared.of() if declared is None else declared
        self._check_arguments = check_arguments
        self.mmap_mode = mmap_mode
        self.lazy = lazy
        self.keeping = Keeping() if keeping is None else keeping
        self._keyed = self._key_function(None)

    @property
    def func_id(self) -> str:
        """The name of the function."""
        return self._keyed.name

    @property
    def func_code_info(self) -> tuple[str, str | None, int]:
        """The source of the function, its file and its first line there; -1 where there is none."""
        from joblib.func_inspect import get_func_code

        found: tuple[str, str | None, int] = get_func_code(self.func)
        return found

    # ---- joblib's methods

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns, computed at most once."""
        started = time.perf_counter()
        call = self._keyed.key(args, kwargs)
        found = self._load(call, args, kwargs, since=started)
        if isinstance(found, Hit):
            return found.value
        from cachestore.cache.single_flight import once  # a hit does without

        compute = functools.partial(self._compute, call, args, kwargs)
        ask = functools.partial(self._load, call, args, kwargs, counts=False)
        return self._value(once(self._flight(call), found, compute=compute, ask=ask))

    def call_and_shelve(self, *args: Any, **kwargs: Any) -> Any:
        """Return a reference to the result, computed if need be.

        Returns
        -------
        MemorizedResult or NotMemorizedResult
            The latter, holding the value, where it could not be stored.
        """
        started = time.perf_counter()
        call = self.call_key(*args, **kwargs)
        found = self._peek(call, args, kwargs, counts=True, since=started)
        if not isinstance(found, Miss):
            return self._shelved(found)
        from cachestore.cache.single_flight import once

        compute = functools.partial(self._compute, call, args, kwargs)
        ask = functools.partial(self._peek, call, args, kwargs)
        return self._shelved(once(self._flight(call), found, compute=compute, ask=ask))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, store and return `(value, metadata)`, whatever is stored already."""
        computed = self._compute(self.call_key(*args, **kwargs), args, kwargs)
        return self._value(computed), self._told(computed.metadata, args, kwargs)

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Compute and return the value, and put it in the place of one that is stored."""
        return self._value(self._compute(self.call_key(*args, **kwargs), args, kwargs))

    def check_call_in_cache(self, *args: Any, **kwargs: Any) -> bool:
        """Say whether a call would be answered from the cache, without loading the answer."""
        return not isinstance(self._peek(self.call_key(*args, **kwargs), args, kwargs), Miss)

    def clear(self, warn: bool = True, *, all_versions: bool = False) -> None:
        """Drop the entries of this version of the function.

        Parameters
        ----------
        warn
            Whether that is logged, where `verbose` is above 0.
        all_versions
            Drop those of every version, older and newer: results that colleagues with another checkout use too.

        Raises
        ------
        IndexUnavailable, SchemaMismatch, StorageError
            If they cannot be removed; then they are kept.
        """
        from cachestore.cache.clearing import clear_function

        identity = self._keyed.identity()
        if warn and self._verbose > 0:
            self.warn(f"Clearing the results of {identity.name}")
        clear_function(self.store_backend, identity, all_versions=all_versions)

    # ---- ours

    def call_key(self, *args: Any, **kwargs: Any) -> CallKey:
        """Return the key of a call, and the digests that it is made of.

        Raises
        ------
        KeyingError
            If an argument has no stable digest.
        TypeError
            If the function cannot be called so.
        """
        return self._keyed.key(args, kwargs)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say whether a call would be answered from the cache, and if not, why.

        Nothing is computed, stored or counted.

        Raises
        ------
        KeyingError
            If an argument has no stable digest.
        TypeError
            If the function cannot be called so.

        Examples
        --------
        >>> from cachestore import Memory
        >>> @Memory("memory://explained", verbose=0).cache
        ... def double(x): return 2 * x
        >>> double.explain(3).reason, double(3), double.explain(3).reason
        ('never computed', 6, 'hit')
        >>> print(double.explain(4))  # doctest: +ELLIPSIS
        a miss because argument 'x' differs: ... (..., today) -> ...
        """
        from cachestore.cache.why import explain_call

        return explain_call(
            self.store_backend,
            self.call_key(*args, **kwargs),
            function=self.func,
            summaries=self._summaries(args, kwargs),
            **self._validation(args, kwargs),
        )

    def _repr_html_(self) -> str | None:
        from cachestore.memory.notebook import function_html

        return function_html(self)

    def __cachestore_lookup__(self, *args: Any, **kwargs: Any) -> Hit | Miss:
        """Look a call up without ever computing it; the parallel backend asks so."""
        # Whoever computes it then asks again, and that counts.
        return self._load(self.call_key(*args, **kwargs), args, kwargs, counts=False)

    def __repr__(self) -> str:
        """Show the function and where its results are."""
        return f"{type(self).__name__}(func={self.func}, location={self.store_backend.location})"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle a function that is pickled by value with its version: elsewhere its source is not at hand."""
        state = super().__getstate__()
        state["timestamp"] = None
        state["carried"] = None
        if not self._is_found_by_name():
            with suppress(KeyingError):  # is said where it is called
                state["carried"] = self._keyed.identity()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle; a function that is found by its name has the version of the code that is here."""
        state = dict(state)
        carried = state.pop("carried")
        super().__setstate__(state)
        self._keyed = self._key_function(carried)

    # ---- how

    def _bound_to(self, instance: object) -> Self:
        bound = super()._bound_to(instance)
        bound._keyed = self._keyed.bound_to(instance)
        return bound

    def _key_function(self, carried: FunctionIdentity | None) -> KeyedFunction:
        return KeyedFunction(
            self.func,
            ignore=self.ignore,
            rules=self.store_backend.rules,
            declared=self.declared,
            carried=carried,
        )

    def _load(
        self, call: CallKey, args: Any, kwargs: Any, *, counts: bool = True, since: float | None = None
    ) -> Hit | Miss:
        if self._verbose >= 20:
            self._tell_question(call, args, kwargs)
        started = time.perf_counter() if since is None else since
        plain = self.cache_validation_callback is None and self.mmap_mode is None and not self.lazy
        if plain:
            found = self.store_backend.look_up(call, counts=counts, since=started)  # as nearly all are
            expires = self.keeping.expires
            # What was stored when more was allowed does not know that its time is over.
            plain = expires is None or isinstance(found, Miss) or not found.outlasts(expires)
        if not plain:
            found = self.store_backend.look_up(
                call,
                counts=counts,
                load=self._loading(),
                since=started,
                **self._validation(args, kwargs),
            )
        if isinstance(found, Hit):
            call_stack.note(found)
            if self._verbose > 1:
                self._print_loading(
                    self.func_id.rpartition(".")[2], self.store_backend.location, self._verbose
                )
            if self._verbose > 4:
                self._print_duration(time.perf_counter() - started, "cache loaded ")
        else:
            self._tell_miss(call, found)
        return found

    def _peek(
        self, call: CallKey, args: Any, kwargs: Any, *, counts: bool = False, since: float | None = None
    ) -> Metadata | Miss:
        if self._verbose >= 20 and counts:
            self._tell_question(call, args, kwargs)
        found = self.store_backend.look_at(call, counts=counts, since=since, **self._validation(args, kwargs))
        if isinstance(found, Miss) and counts:
            self._tell_miss(call, found)
        return found

    def _tell_question(self, call: CallKey, args: Any, kwargs: Any) -> None:
        from joblib.func_inspect import format_signature

        # As with joblib: who asks for so much wants to see it.
        logging.basicConfig(level=logging.INFO)
        _, signature = format_signature(self.func, *args, **kwargs)
        self.info(f"Querying {signature}: key {call.key} in {self.store_backend.location}")

    def _tell_miss(self, call: CallKey, found: Miss) -> None:
        # What the policy forbids to load is the user's choice, which was told.
        if found.reason == "corrupt" or (
            found.reason == "unreadable" and self.store_backend.settings.load_policy == "any"
        ):
            self.warn(
                f"Exception while loading results for {call.function}: the entry {call.key[:12]} is {found.reason}. It "
                "is computed again."
            )
        if self._verbose > 10:
            self.warn(f"Computing {call.function}, key {call.key}, in {self.store_backend.location}")

    def _loading(self) -> Callable[[Any], object] | None:
        """Say what a hit makes of a blob, where it is not the value in memory."""
        if self.lazy:
            from cachestore.cache.lazy_array import load_lazily

            return functools.partial(load_lazily, self.store_backend)
        return mapping(self.store_backend, self.mmap_mode)

    def _value(self, found: Hit | Computed) -> Any:
        """Return the value; what was computed as a hit will give it, so that the first call is like all others."""
        if isinstance(found, Hit) or found.metadata is None:
            return found.value
        load = self._loading()
        if load is None:
            return found.value
        taken = self.store_backend.take(found.metadata.key, load)
        return found.value if isinstance(taken, Miss) else taken.value

    def _validation(self, args: Any, kwargs: Any) -> dict[str, Any]:
        """Say how a cache is to ask the callback, if there is one."""
        callback = self.cache_validation_callback
        if callback is None and self.keeping.expires is None:
            return {}

        def accept(metadata: Metadata) -> bool:
            return not self.keeping.is_over(metadata) and (
                callback is None or bool(callback(self._told(metadata, args, kwargs)))
            )

        return {
            "accept": accept,
            "refusal": "expired" if callback is None or getattr(callback, "expires", False) else "refused",
        }

    def _told(self, metadata: Metadata | None, args: Any, kwargs: Any) -> dict[str, Any]:
        if metadata is None:
            return {}
        bound = self._keyed.bind(args, kwargs)
        return joblib_metadata(metadata, {name: repr(value) for name, value in bound.items()})

    def _flight(self, call: CallKey) -> tuple[object, ...]:
        """Return what tells computations apart of which one at a time is enough."""
        # Where one is not to be stored, the next one may be.
        return self.store_backend.location, self.store_backend.mode, call.key

    def _compute(self, call: CallKey, args: Any, kwargs: Any) -> Computed:
        self._print_call(args, kwargs)
        summaries = self._summaries(args, kwargs)
        started_at, started = datetime.now(UTC), time.perf_counter()
        with call_stack.computing() as used:
            call_stack.note_arguments((*args, *kwargs.values()))
            value = self.func(*args, **kwargs)
        seconds = time.perf_counter() - started
        return self._store(call, value, started_at, seconds, used.values(), summaries, args, kwargs)

    def _shelved(self, found: Metadata | Computed) -> MemorizedResult | NotMemorizedResult:
        if not isinstance(found, tuple):
            call_stack.note(found)
            return self._reference(found)
        # What this process may not load is stored for others.
        if found.metadata is None or not self.store_backend.may_load(found.metadata.key):
            return NotMemorizedResult(found.value)
        return self._reference(found.metadata)

    def _reference(self, metadata: Metadata) -> MemorizedResult:
        return MemorizedResult.of(
            self.store_backend,
            metadata,
            mmap_mode=self.mmap_mode,
            verbose=self._verbose - 1,
            timestamp=self.timestamp,
        )
