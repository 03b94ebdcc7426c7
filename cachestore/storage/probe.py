"""What a store does with a conditional put, found out by trying: no name and no documentation says."""

from __future__ import annotations

import threading
from contextlib import suppress
from enum import StrEnum

from cachestore.errors import StorageError
from cachestore.storage.object_store import ObjectStore
from cachestore.storage.paths import probe_path

# Few: on some servers the losers of a race wait for seconds.
_RACERS = 3


class ConditionalPut(StrEnum):
    """Says what became of puts that were to make what is absent."""

    CREATES = "creates"
    REFUSED = "refused"
    LIES = "lies"


def probe_conditional_put(store: ObjectStore) -> ConditionalPut:
    """Find out whether exactly one of several creates of an object wins.

    The racers are threads of this process. A store whose client decides by looking first, as fsspec does for
    file servers, has them take turns: there, the answer holds within one process only.

    Returns
    -------
    ConditionalPut
        `CREATES` if each time exactly one won, `REFUSED` if the store takes puts and no conditional ones, `LIES`
        if several won, none did, or what the winner put is not there.

    Raises
    ------
    StorageError
        If the store does not answer, or nobody may write: nothing was found out, and nothing is to be remembered.

    Examples
    --------
    >>> from cachestore.storage.opening import open_store
    >>> probe_conditional_put(open_store("memory://probed")).value
    'creates'
    """
    paths = [probe_path(), probe_path()]
    try:
        return _probe(store, *paths)
    finally:
        # Who may put need not be allowed to delete. The names are temporary: a collection sweeps what stays.
        with suppress(StorageError):
            remove_probes(store, paths)


def remove_probes(store: ObjectStore, paths: list[str]) -> None:
    """Remove what a look at a store has put there, also when Ctrl-C comes in the middle.

    Raises
    ------
    StorageError
        If the store does not answer, or refuses.
    """
    try:
        store.delete(paths)
    except KeyboardInterrupt:
        store.delete(paths)
        raise


def _probe(store: ObjectStore, alone: str, contested: str) -> ConditionalPut:
    try:
        first = store.create(alone, b"first")
    except StorageError as error:
        if error.transient:
            raise
        # Where this fails as well it was not the condition that was refused.
        store.put(alone, [b"first"])
        return ConditionalPut.REFUSED
    if not first or store.create(alone, b"second") or store.get(alone) != b"first":
        return ConditionalPut.LIES
    # Who looks before it puts hides from one caller that it overwrites. Not from several.
    return ConditionalPut.CREATES if _one_wins(store, contested) else ConditionalPut.LIES


def _one_wins(store: ObjectStore, path: str) -> bool:
    from concurrent.futures import ThreadPoolExecutor

    gate = threading.Barrier(_RACERS)

    def race(name: int) -> bool:
        gate.wait()
        return store.create(path, b"racer %d" % name)

    with ThreadPoolExecutor(_RACERS) as pool:
        try:
            won = list(pool.map(race, range(_RACERS)))
        except BaseException:
            # Interrupted before all have started: those at the gate would wait for ever.
            gate.abort()
            raise
    return won.count(True) == 1 and store.get(path) == b"racer %d" % won.index(True)
