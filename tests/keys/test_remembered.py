"""What is remembered of functions and classes lives as long as they do."""

import gc
import weakref

from cachestore.keys import encode
from cachestore.keys.remembered import Remembered


def test_equal_objects_are_told_apart():
    class Equal(type):
        def __eq__(cls, other):
            return True

        def __hash__(cls):
            return 1

    one, other = Equal("One", (), {}), Equal("Other", (), {})
    known = Remembered()
    known.set(one, 1)
    assert known.get(one) == 1
    assert known.get(other) is None


def test_what_died_is_forgotten_and_another_in_its_place_is_not_it():
    known = Remembered()
    for number in range(100):
        function = eval("lambda: None")
        assert known.get(function) is None
        known.set(function, number)
        assert known.get(function) == number
        del function
    gc.collect()
    assert len(known._found) == 0


def test_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr("cachestore.keys.remembered._MOST", 3)
    known = Remembered()
    functions = [eval("lambda: None") for _ in range(10)]
    for number, function in enumerate(functions):
        known.set(function, number)
        assert known.get(function) == number
    assert len(known._found) <= 3


def test_a_closure_among_the_arguments_is_not_kept_alive():
    class Data(list):
        pass

    def make():
        data = Data([1])
        return (lambda: data), weakref.ref(data)

    function, data = make()
    encode(function)
    del function
    gc.collect()
    assert data() is None
