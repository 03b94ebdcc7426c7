from __future__ import annotations

from cachestore.storage.breaker import Breaker


def test_two_failures_are_forgiven():
    breaker = Breaker(clock=lambda: 0.0)
    breaker.failed("a")
    breaker.failed("b")
    assert breaker.refuses() == 0.0


def test_a_probe_that_never_reports_does_not_close_it_for_ever():
    now = [0.0]
    breaker = Breaker(clock=lambda: now[0])
    for _ in range(3):
        breaker.failed("a")
    now[0] = 10.0
    assert breaker.refuses() == 0.0
    assert breaker.refuses() == 10.0
    now[0] = 20.0
    assert breaker.refuses() == 0.0


def test_a_success_opens_it():
    breaker = Breaker(clock=lambda: 0.0)
    for _ in range(5):
        breaker.failed("a")
    assert breaker.refuses() > 0
    breaker.succeeded()
    assert breaker.refuses() == 0.0
