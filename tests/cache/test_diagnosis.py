from dataclasses import replace

import pytest

from cachestore.cache.diagnosis import (
    Result,
    judge_clock,
    judge_conditional_put,
    judge_latency,
    judge_throughput,
)
from cachestore.storage import ConditionalPut


def test_what_is_measured_is_judged():
    assert judge_conditional_put(ConditionalPut.CREATES).result is Result.OK
    assert judge_latency("put", 0.2).result is Result.OK
    assert judge_latency("put", 0.3).result is Result.WARNING
    assert judge_throughput("put", 6e6).result is Result.OK
    assert judge_throughput("put", 4e6).result is Result.WARNING
    assert [judge_clock(seconds).result for seconds in (59, 61, 86401)] == list(Result)
    found = judge_clock(0.0)
    with pytest.raises(AttributeError):
        found.check = "another"
    assert replace(found, check="another") != found
