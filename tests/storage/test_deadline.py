from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from cachestore.storage.deadline import allowance, deadline, expect, moved, remaining


def test_without_a_deadline_the_wish_counts():
    assert remaining(3.0) == 3.0


def test_the_nearer_one_counts():
    with deadline(10.0):
        assert remaining(3.0) == 3.0
        assert 9.0 < remaining(30.0) <= 10.0


def test_an_inner_deadline_never_lengthens_the_outer_one():
    with deadline(1.0):
        with deadline(100.0):
            assert remaining(50.0) <= 1.0
        with deadline(0.5):
            assert remaining(50.0) <= 0.5
        assert 0.5 < remaining(50.0) <= 1.0
    assert remaining(50.0) == 50.0


def test_a_deadline_that_has_passed():
    with deadline(0.0):
        assert remaining(5.0) <= 0.0


def test_another_thread_has_its_own():
    with deadline(0.0), ThreadPoolExecutor(1) as pool:
        assert pool.submit(remaining, 5.0).result() == 5.0


def test_more_bytes_more_time():
    assert allowance(0) == 0.0
    assert allowance(10 * 2**20) == 10.0


def test_bytes_that_move_put_it_off():
    with deadline(5.0):
        moved(2**20)
        assert 20.0 < remaining(1e9) <= 21.0
        expect(2**20)
        assert 21.0 < remaining(1e9) <= 22.0
    moved(2**30)
    assert remaining(1e9) == 1e9


def test_bytes_that_move_do_not_put_the_outer_one_off():
    with deadline(1.0):
        with deadline(0.5):
            moved(2**30)
            assert remaining(1e9) <= 1.0
        assert remaining(1e9) <= 1.0


def test_bytes_that_other_threads_move_count_where_the_context_is_given():
    with deadline(5.0), ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, moved, 2**20).result()
        assert remaining(1e9) > 20.0


def test_one_that_has_passed_stays_so():
    with deadline(0.0):
        moved(2**30)
        expect(2**30)
        assert remaining(5.0) <= 0.0
