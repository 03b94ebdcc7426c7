"""Entries that joblib makes here by its own keys, and the code that it compares before it uses them.

joblib names a result by a function and by a digest of the arguments. It writes the function's source down, and where
that is another one now it clears what the function has: two programs with two versions of a function clear each
other's results in turns. That is so here too. But each entry says of which source it is, and answers for no other: what
one of them stores behind the back of the other is never taken for its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cachestore.cache.cache import Cache, Hit, Load, Miss
from cachestore.errors import CachestoreError, ObjectNotFound, StorageError
from cachestore.keys import Arguments, CallKey, digest
from cachestore.storage import JOBLIB_CODE, joblib_code_path

if TYPE_CHECKING:
    from cachestore.blob import Metadata
    from cachestore.cache.eviction import Limits
    from cachestore.index import Entry

_FORMAT = 1
# So that nobody takes them for entries of the same function that have our keys.
_PREFIX = "joblib:"


class JoblibEntries:
    """Keeps what joblib stores in a cache, each function in one version of its code.

    Parameters
    ----------
    cache
        Where the entries are.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        # What joblib last compared with: it does so once in a process, and holds the function for unchanged from then.
        self._codes: dict[str, str] = {}

    # ---- the code of a function

    def read_code(self, function: str) -> str:
        """Read the code that a function had.

        Raises
        ------
        ObjectNotFound
            If none was written down.
        StorageError
            If it cannot be read.
        """
        path = joblib_code_path(digest(function))
        try:
            code = json.loads(self._cache.store.get(path))["code"]
        except (ValueError, KeyError, TypeError):
            code = None
        if not isinstance(code, str):
            raise ObjectNotFound(f"{self._cache.location}/{path} says nothing of the code of {function}.")
        self._codes[function] = code
        return code

    def write_code(self, function: str, code: str) -> None:
        """Write down the code that a function has; where that cannot be, it counts in this process."""
        self._codes[function] = code
        if not self._cache.mode.writes:
            return
        content = {"format": _FORMAT, "function": function, "code": code}
        try:
            self._cache.store.put(joblib_code_path(digest(function)), [json.dumps(content).encode()])
        except StorageError as error:
            self._tell(function, error)

    # ---- single entries

    def find(self, function: str, arguments: str) -> Metadata | Miss:
        """Look a call up without loading its value."""
        call = self._call(function, arguments)
        if call is None:
            return Miss("unavailable")
        return self._cache.peek(call.key, accept=lambda metadata: metadata.code_version == call.code_version)

    def get(self, function: str, arguments: str, load: Load | None = None) -> Hit | Miss:
        """Look a call up and load its value."""
        call = self._call(function, arguments)
        if call is None:
            return Miss("unavailable")
        return self._cache.get(
            call.key, accept=lambda metadata: metadata.code_version == call.code_version, load=load
        )

    def put(
        self,
        function: str,
        arguments: str,
        value: object,
        *,
        seconds: float,
        summaries: Mapping[str, str],
        raw: bool = False,
    ) -> None:
        """Store the value of a call that ended just now.

        Parameters
        ----------
        function, arguments
            joblib's name of the function, and its digest of the arguments.
        seconds
            How long computing took.
        summaries
            A text of each argument.
        raw
            Whether it is stored as it is, unless the settings say how to compress.
        """
        call = self._call(function, arguments)
        if call is not None:
            self._cache.put(
                call,
                value,
                started_at=datetime.now(UTC) - timedelta(seconds=seconds),
                seconds=seconds,
                summaries=summaries if self._cache.settings.value_summaries else {},
                raw=raw,
            )

    def drop(self, function: str, arguments: str) -> None:
        """Remove the entry of a call; where that cannot be, it stays until the call is computed again."""
        self._remove(function, lambda: self._cache.drop([_key(function, arguments)]))

    # ---- many entries

    def entries(self) -> list[Entry]:
        """List all that joblib has here, as far as the index knows.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        from cachestore.index import Selection

        self._cache.merge_uses()
        return [entry for entry in self._cache.index.select(Selection()) if _is_joblibs(entry)]

    def clear_function(self, function: str) -> None:
        """Drop the entries of a function; where that cannot be, they stay, and answer for their own code only."""
        from cachestore.cache.clearing import clear_entries

        self._remove(
            function,
            lambda: clear_entries(self._cache, lambda entry: entry.function == _entry_name(function)),
        )

    def clear(self) -> None:
        """Drop all that joblib has here, and nothing else.

        Raises
        ------
        CachestoreError
            If others may use the cache, or it cannot be cleared.
        """
        from cachestore.cache.clearing import clear_entries

        cache = self._cache
        if cache.store.remote or cache.settings.index is not None:
            raise CachestoreError(
                f"{cache.location} is a cache that others may use, and joblib's memory.clear() would clear everybody's "
                "results. Clear one function with its own clear(), or collect the old ones with `cachestore gc "
                "--function 'joblib:*' --older-than 30d`."
            )
        clear_entries(cache, _is_joblibs)
        cache.store.delete([info.path for info in cache.store.list(JOBLIB_CODE)])
        self._codes.clear()

    def reduce(self, limits: Limits) -> None:
        """Drop the least recently used of joblib's entries until they fit.

        Raises
        ------
        SettingsError
            If the index is a private one of a shared store.
        IndexUnavailable, SchemaMismatch, StorageError
            If the entries cannot be listed or removed.
        """
        from cachestore.cache import gc
        from cachestore.cache.eviction import choose

        gc.refuse_private(self._cache)
        chosen = choose(self.entries(), limits, datetime.now(UTC))
        reasons = {eviction.entry.key: eviction.reason for eviction in chosen}
        self._cache.drop(reasons, command="reduce_size", reasons=reasons)

    # ---- how

    def _call(self, function: str, arguments: str) -> CallKey | None:
        """Name a call in the version of the code that joblib holds for the present one; None where none is known."""
        code = self._codes.get(function)
        if code is None:
            # joblib compared in this process, but through another Memory.
            try:
                code = self.read_code(function)
            except ObjectNotFound:
                code = ""  # it was cleared since; whoever compares next computes anew
            except StorageError as error:
                self._tell(function, error)
                return None
        version = digest((function, _without_line(code)))
        return CallKey(
            key=_key(function, arguments),
            function=_entry_name(function),
            code_version=version,
            code_parts={f"joblib's code of {function}": version},
            arguments=Arguments({"args_id": arguments.encode()}),
        )

    def _remove(self, function: str, remove: Callable[[], object]) -> None:
        if not self._cache.mode.writes:
            return  # whose code is another one clears what the others have: not who only reads
        try:
            remove()
        except CachestoreError as error:
            # joblib clears inside of a memorised call too, and that must go on.
            self._cache.trouble.tell(
                f"clear {function}", f"Results of {function} could not be cleared, and are kept.", error
            )

    def _tell(self, function: str, error: StorageError) -> None:
        self._cache.trouble.tell(
            f"code of {function}", f"The results of {function} are not shared for now.", error
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle where the entries are; another process compares anew."""
        return {"_cache": self._cache, "_codes": {}}


def _key(function: str, arguments: str) -> str:
    return digest(("joblib", function, arguments))


def _entry_name(function: str) -> str:
    # joblib's names are paths of folders.
    return _PREFIX + function.replace("\\", "/").replace("/", ".")


def _is_joblibs(entry: Entry) -> bool:
    return entry.function.startswith(_PREFIX)


def _without_line(code: str) -> str:
    # The first line says where in its file the function begins, which is no change.
    return code.partition("\n")[2] if code.startswith("# first line:") else code
