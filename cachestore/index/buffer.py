"""Notes of uses and misses on their way: gathered in memory, handed on in batches."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachestore.index.missed import Note

logger = logging.getLogger(__name__)

_CAPACITY = 1024
_MAX_AGE = 2.0
# When nobody takes the notes, so many pairs of key and user are kept for better times.
_MOST_KEPT = 10_000


class NoteBuffer:
    """Gathers notes and hands them on when there are many, or when they are old.

    Parameters
    ----------
    deliver
        Takes a batch, whole or not at all.
    background
        Whether batches leave from a thread of their own: then adding a note never waits for `deliver`.
    """

    def __init__(self, deliver: Callable[[list[Note]], None], *, background: bool) -> None:
        self._deliver = deliver
        self._background = background
        self._renew()

    def _renew(self) -> None:
        # Adding to a deque, and taking from it, is one step that no other thread comes between.
        self._added: deque[Note] = deque()
        # What was added, by its subject; guarded by the lock.
        self._kept: dict[tuple[str, ...], Note] = {}
        self._lock = threading.Lock()
        self._since = 0.0
        self._complained = False
        self._delivering = threading.RLock()
        self._busy = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, note: Note) -> None:
        """Keep a note, and hand all on when it is time; this never raises."""
        now = time.monotonic()
        if not self._added and not self._kept:
            self._since = now
        self._added.append(note)
        full = len(self._added) >= _CAPACITY
        if self._background:
            if self._thread is None:
                self._start_thread()
            if full:
                # Delivering may take long: what is added meanwhile must not pile up.
                with self._lock:
                    self._gather()
                self._wake.set()
        elif full or now - self._since >= _MAX_AGE:
            self.flush_quietly()

    def flush(self) -> None:
        """Hand all notes on; if that fails, keep them and raise what `deliver` raised."""
        # One batch at a time: whoever flushes may rely on everything added before being delivered.
        with self._delivering:
            if self._busy:
                return  # the index is collected just now, by the thread that hands its notes on
            self._busy = True
            try:
                self._hand_on()
            finally:
                self._busy = False

    def _hand_on(self) -> None:
        with self._lock:
            self._gather()
            taken, self._kept = self._kept, {}
        if not taken:
            return
        # Counts from now, so that a failing index is not tried again with every note.
        self._since = time.monotonic()
        try:
            self._deliver(list(taken.values()))
        except BaseException:
            with self._lock:
                _keep(taken, self._kept.values())
                self._kept = taken
            raise

    def flush_quietly(self) -> None:
        """Hand all notes on; if that fails, keep them and log it the first time."""
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001 - bookkeeping must not stop a computation that is well
            level = logging.DEBUG if self._complained else logging.WARNING
            self._complained = True
            logger.log(
                level, "Uses and misses of the cache could not be noted, and are kept for later: %s", error
            )

    def after_fork(self) -> None:
        """Forget what the parent process gathered: it will hand it on itself."""
        self._renew()

    def _gather(self) -> None:
        # Not more than there are now: others go on adding.
        _keep(self._kept, [self._added.popleft() for _ in range(len(self._added))])

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            # The thread must not keep the buffer alive: it knows it weakly, and is woken when it goes.
            wake = self._wake
            self._thread = threading.Thread(
                target=_flush_regularly,
                args=(weakref.ref(self, lambda _: wake.set()), wake),
                name="cachestore-notes",
                daemon=True,
            )
            # Where none is to be had, as when the process ends, notes leave at exit.
            with suppress(RuntimeError):
                self._thread.start()


def _keep(kept: dict[tuple[str, ...], Note], notes: Iterable[Note]) -> None:
    # All of a subject are added up at once: hits of a loop are many of few keys.
    together: dict[tuple[str, ...], list[Any]] = {}
    for note in notes:
        together.setdefault(note.subject, []).append(note)
    for subject, (first, *others) in together.items():
        seen = kept.get(subject)
        if seen is not None:
            kept[subject] = seen.plus(first, *others)
        elif len(kept) < _MOST_KEPT:
            kept[subject] = first.plus(*others) if others else first


def _flush_regularly(known: weakref.ref[NoteBuffer], wake: threading.Event) -> None:
    while True:
        wake.wait(_MAX_AGE)
        wake.clear()
        buffer = known()
        if buffer is None:
            return
        buffer.flush_quietly()
        del buffer
