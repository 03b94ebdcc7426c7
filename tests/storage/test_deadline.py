from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cachestore.storage.deadline import allowance, deadline, remaining


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
