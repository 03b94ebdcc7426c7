from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore.storage.gathering import PART, gathered, size_of_part


@given(st.lists(st.binary(max_size=12)), st.integers(1, 7))
def test_nothing_is_lost_and_all_but_the_last_are_full(parts, size):
    pieces = list(gathered(iter(parts), size=size))
    assert b"".join(pieces) == b"".join(parts)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces)


def test_who_makes_a_part_may_use_its_memory_again():
    memory = bytearray(2)

    def parts():
        for number in range(5):
            memory[:] = bytes([number, number])
            yield memoryview(memory)

    assert list(gathered(parts(), size=3)) == [
        bytes([0, 0, 1]),
        bytes([1, 2, 2]),
        bytes([3, 3, 4]),
        bytes([4]),
    ]


def test_items_of_any_size_count_as_bytes():
    assert list(gathered([memoryview(b"abcdefgh").cast("I")], size=5)) == [b"abcde", b"fgh"]


def test_a_piece_is_given_as_soon_as_it_is_full():
    taken = []

    def parts():
        for number in range(4):
            taken.append(number)
            yield b"ab"

    pieces = gathered(parts(), size=4)
    assert next(pieces) == b"abab"
    assert taken == [0, 1]


def test_the_largest_object_has_parts_that_a_server_takes():
    sizes = [size_of_part(number) for number in range(1, 10_001)]
    assert sum(sizes) >= 5 * 2**40
    assert max(sizes[: next(n for n in range(10_001) if sum(sizes[:n]) >= 5 * 2**40)]) <= 5 * 2**30
    assert set(sizes[:2000]) == {PART}
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("number", [2001, 2800, 2801])
def test_later_parts_are_larger(number):
    assert size_of_part(number) == PART * (2 if number <= 2800 else 4)
