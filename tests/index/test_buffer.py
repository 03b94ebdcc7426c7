from __future__ import annotations

import gc
import logging
import sys
import threading
import time
import weakref

import pytest

from cachestore.index import Touch, buffer
from cachestore.index.buffer import NoteBuffer
from tests.contracts.index import touch


class Sink:
    def __init__(self) -> None:
        self.batches: list[list[Touch]] = []
        self.broken = False
        self.came = threading.Event()

    def __call__(self, touches: list[Touch]) -> None:
        if self.broken:
            raise OSError("broken")
        self.batches.append(touches)
        self.came.set()

    @property
    def hits(self) -> int:
        return sum(touch.hits for batch in self.batches for touch in batch)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(buffer.time, "monotonic", lambda: now[0])
    return now


def test_touches_leave_when_there_are_many(sink: Sink) -> None:
    touches = NoteBuffer(sink, background=False)
    for number in range(buffer._CAPACITY - 1):
        touches.add(touch(number))
    assert sink.batches == []
    touches.add(touch(buffer._CAPACITY - 1))
    assert sink.batches == [[touch(number) for number in range(buffer._CAPACITY)]]


def test_touches_of_one_entry_by_one_user_leave_as_one(sink: Sink) -> None:
    touches = NoteBuffer(sink, background=False)
    for _ in range(3):
        touches.add(touch(1, "ben", saved=2.0))
    touches.add(touch(1, "cleo"))
    touches.flush()
    assert [(t.user, t.hits, t.seconds_saved) for t in sink.batches[0]] == [("ben", 3, 6.0), ("cleo", 1, 2.5)]


def test_touches_leave_when_they_are_two_seconds_old(sink: Sink, clock: list[float]) -> None:
    touches = NoteBuffer(sink, background=False)
    touches.add(touch(1))
    clock[0] += 1.9
    touches.add(touch(1))
    assert sink.hits == 0
    clock[0] += 0.2
    touches.add(touch(1))
    assert sink.hits == 3


def test_what_cannot_be_delivered_is_kept_and_tried_again_later(
    sink: Sink, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    touches = NoteBuffer(sink, background=False)
    sink.broken = True
    with caplog.at_level(logging.WARNING):
        for _ in range(600):
            touches.add(touch(1))
        clock[0] += 3
        touches.add(touch(2))
    assert [record.message for record in caplog.records] == [
        "Uses and misses of the cache could not be noted, and are kept for later: broken"
    ]
    with pytest.raises(OSError, match="broken"):
        touches.flush()
    sink.broken = False
    clock[0] += 3
    touches.add(touch(1))
    assert sink.hits == 602
    touches.flush()
    assert len(sink.batches) == 1


def test_a_buffer_nobody_empties_stays_small(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "_MOST_KEPT", 300)
    sink.broken = True
    touches = NoteBuffer(sink, background=False)
    for number in range(2000):
        touches.add(touch(number))
    sink.broken = False
    touches.flush()
    assert sink.hits == 300


def test_in_the_background_another_thread_delivers(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "_MAX_AGE", 0.01)
    delivered_by: list[int] = []

    def deliver(touches: list[Touch]) -> None:
        delivered_by.append(threading.get_ident())
        sink(touches)

    touches = NoteBuffer(deliver, background=True)
    touches.add(touch(1))
    assert sink.came.wait(10)
    assert delivered_by == [touches._thread.ident]  # type: ignore[union-attr]


def test_a_full_buffer_wakes_the_thread(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "_MAX_AGE", 1000.0)
    touches = NoteBuffer(sink, background=True)
    for number in range(buffer._CAPACITY):
        touches.add(touch(number))
    assert sink.came.wait(10)


def test_the_thread_ends_with_its_buffer(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "_MAX_AGE", 1000.0)
    touches = NoteBuffer(sink, background=True)
    touches.add(touch(1))
    thread, known = touches._thread, weakref.ref(touches)
    assert thread is not None
    del touches
    gc.collect()
    assert known() is None
    thread.join(10)
    assert not thread.is_alive()


def test_flushing_waits_for_a_batch_on_its_way() -> None:
    started, go, order = threading.Event(), threading.Event(), list[str]()

    def deliver(touches: list[Touch]) -> None:
        started.set()
        go.wait(10)
        order.append("delivered")

    touches = NoteBuffer(deliver, background=False)
    touches.add(touch(1))
    first = threading.Thread(target=touches.flush)
    first.start()
    started.wait(10)
    second = threading.Thread(target=lambda: (touches.flush(), order.append("flushed")))
    second.start()
    second.join(0.1)
    go.set()
    second.join()
    first.join()
    assert order == ["delivered", "flushed"]


def test_what_threads_add_at_once_is_all_delivered(sink: Sink) -> None:
    touches = NoteBuffer(sink, background=False)

    def add() -> None:
        for number in range(3000):
            touches.add(touch(number % 7))

    adding = [threading.Thread(target=add) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in adding:
            thread.start()
        for thread in adding:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    touches.flush()
    assert sink.hits == 12_000


def test_nothing_piles_up_while_a_delivery_takes_long(sink: Sink) -> None:
    started, go = threading.Event(), threading.Event()

    def deliver(touches: list[Touch]) -> None:
        started.set()
        go.wait(10)
        sink(touches)

    touches = NoteBuffer(deliver, background=True)
    for _ in range(buffer._CAPACITY):
        touches.add(touch(1))
    assert started.wait(10)
    for number in range(5000):
        touches.add(touch(number % 7))
    assert len(touches._added) + len(touches._kept) < buffer._CAPACITY + 7
    go.set()
    touches.flush()
    assert sink.hits == 5000 + buffer._CAPACITY


def test_adding_is_cheap(sink: Sink) -> None:
    touches = NoteBuffer(sink, background=True)
    start = time.perf_counter()
    for number in range(1000):
        touches.add(touch(number % 100))
    assert time.perf_counter() - start < 0.2


def test_a_delivery_in_which_the_index_is_collected_does_not_wait_for_itself() -> None:
    taken: list[list[Touch]] = []

    def deliver(touches: list[Touch]) -> None:
        taken.append(touches)
        touches_of_index.add(touch(2))
        touches_of_index.flush_quietly()  # as the finalizer of the index does

    touches_of_index = NoteBuffer(deliver, background=False)
    touches_of_index.add(touch(1))
    thread = threading.Thread(target=touches_of_index.flush, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert taken == [[touch(1)]]
    touches_of_index.flush()
    assert taken == [[touch(1)], [touch(2)]]


def test_where_no_thread_is_to_be_had_notes_are_kept_for_the_exit(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    touches = NoteBuffer(sink, background=True)
    for number in range(300):
        touches.add(touch(number))
    touches.flush()
    assert sink.hits == 300
