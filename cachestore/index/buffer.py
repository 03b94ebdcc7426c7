"""Notes of uses and misses on their way: gathered in memory, handed on in batches."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable

from cachestore.index.missed import Note, added

logger = logging.getLogger(__name__)

_CAPACITY = 256
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
        self._pending: dict[tuple[str, ...], Note] = {}
        self._count = 0
        self._since = 0.0
        self._complained = False
        self._lock = threading.Lock()
        self._delivering = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, note: Note) -> None:
        """Keep a note, and hand all on when it is time; this never raises."""
        now = time.monotonic()
        with self._lock:
            if not self._count:
                self._since = now
            self._count += 1
            subject = note.subject
            seen = self._pending.get(subject)
            if seen is not None:
                self._pending[subject] = added(seen, note)
            elif len(self._pending) < _MOST_KEPT:
                self._pending[subject] = note
            full = self._count >= _CAPACITY
            due = full or now - self._since >= _MAX_AGE
            if self._background and self._thread is None:
                self._start_thread()
        if self._background:
            if full:
                self._wake.set()
        elif due:
            self.flush_quietly()

    def flush(self) -> None:
        """Hand all notes on; if that fails, keep them and raise what `deliver` raised."""
        # One batch at a time: whoever flushes may rely on everything added before being delivered.
        with self._delivering:
            with self._lock:
                taken, self._pending, self._count = self._pending, {}, 0
            if not taken:
                return
            try:
                self._deliver(list(taken.values()))
            except BaseException:
                self._put_back(taken)
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

    def _put_back(self, taken: dict[tuple[str, ...], Note]) -> None:
        with self._lock:
            for subject, newer in self._pending.items():
                older = taken.get(subject)
                if older is not None:
                    taken[subject] = added(older, newer)
                elif len(taken) < _MOST_KEPT:
                    taken[subject] = newer
            self._pending = taken
            # Counts as new, so that a failing index is not tried again with every note.
            self._count = 1
            self._since = time.monotonic()

    def _start_thread(self) -> None:
        # The thread must not keep the buffer alive: it knows it weakly, and is woken when it goes.
        wake = self._wake
        self._thread = threading.Thread(
            target=_flush_regularly,
            args=(weakref.ref(self, lambda _: wake.set()), wake),
            name="cachestore-notes",
            daemon=True,
        )
        self._thread.start()


def _flush_regularly(known: weakref.ref[NoteBuffer], wake: threading.Event) -> None:
    while True:
        wake.wait(_MAX_AGE)
        wake.clear()
        buffer = known()
        if buffer is None:
            return
        buffer.flush_quietly()
        del buffer
