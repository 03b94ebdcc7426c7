"""Slices to bytes: whatever numpy selects of an array is found in the runs, and little else."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cachestore.blob import array_slice
from cachestore.blob.array_slice import ArraySlice


def selected(array: numpy.ndarray[Any, Any], index: Any) -> Any:
    """Select from the bytes of an array, as a reader does."""
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    part = ArraySlice.of(index, array.shape)
    assert part is not None
    runs = part.runs(array.shape, array.itemsize, order)
    data = array.tobytes(order="A")
    assert runs.starts == sorted(runs.starts)
    assert all(0 <= start <= len(data) - runs.length for start in runs.starts)
    joined = b"".join(data[start : start + runs.length] for start in runs.starts)
    assert len(joined) == runs.size
    return numpy.ndarray(runs.shape, array.dtype, joined, strides=runs.strides)[part.finish]


@st.composite
def arrays_and_indices(draw: st.DrawFn) -> tuple[Any, Any]:
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    dtype = draw(st.sampled_from(["u1", "<i4", ">f8", "S3"]))
    array = numpy.asarray(numpy.arange(math.prod(shape)), "u1").astype(dtype).reshape(shape)
    if draw(st.booleans()):
        array = numpy.asfortranarray(array)
    index = draw(
        npst.basic_indices(shape, max_dims=8, allow_newaxis=True, allow_ellipsis=True),
    )
    return array, index


@given(arrays_and_indices(), st.sampled_from([0, 3, 20, 4096]))
def test_a_slice_is_that_of_numpy(given: tuple[Any, Any], gap: int) -> None:
    array, index = given
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_slice, "_GAP", gap)
        mine = selected(array, index)
    theirs = array[index]
    assert type(mine) is type(theirs)
    assert numpy.shape(mine) == numpy.shape(theirs)
    numpy.testing.assert_array_equal(mine, theirs)


@given(arrays_and_indices())
def test_halves_are_the_whole(given: tuple[Any, Any]) -> None:
    array, index = given
    part = ArraySlice.of(index, array.shape)
    assert part is not None
    for order in ("C", "F"):
        halves = part.halves(order)
        if halves is None:
            assert max(part.shape, default=1) <= 1 or 0 in part.shape
            continue
        first, second, where = halves
        assert first.shape == numpy.empty(part.shape)[where].shape
        axis = len(where) - 1
        assert [*first.axes[axis], *second.axes[axis]] == list(part.axes[axis])
        assert second.axes[axis]


@pytest.mark.parametrize(
    ("shape", "index", "count", "length"),
    [
        ((1000, 1000), slice(10, 20), 1, 80_000),  # whole rows follow each other
        ((1000, 1000), slice(None, None, 10), 100, 8_000),  # rows in between are left out
        ((1000, 1000), (slice(None), 3), 1000, 8),  # far from each other: one run for each row
        ((1000, 10), (slice(None), 3), 1, 999 * 80 + 8),  # near: what is between is read as well
        ((10, 3, 10**5), (slice(None), slice(None, None, 2)), 20, 800_000),
        ((10, 3, 10**5), (slice(None), slice(2)), 10, 1_600_000),
        ((50, 50, 50), (7, 8, 9), 1, 8),
        ((50, 50), (slice(0), 8), 0, 0),
    ],
)
def test_runs_are_few_and_leave_out_what_is_large(
    shape: tuple[int, ...], index: Any, count: int, length: int
) -> None:
    part = ArraySlice.of(index, shape)
    assert part is not None
    runs = part.runs(shape, 8, "C")
    assert (len(runs.starts), runs.length) == (count, length)
    turned = index if isinstance(index, tuple) else (index,)
    turned += (slice(None),) * (len(shape) - len(turned))
    part = ArraySlice.of(turned[::-1], shape[::-1])
    assert part is not None
    runs = part.runs(shape[::-1], 8, "F")
    assert (len(runs.starts), runs.length) == (count, length)


@pytest.mark.parametrize("index", [4, -5, (0, 5), (0, 0, 0), (..., ...), numpy.int64(7)])
def test_what_leads_out_is_refused_as_by_numpy(index: Any) -> None:
    with pytest.raises(IndexError) as theirs:
        numpy.zeros((4, 5))[index]
    with pytest.raises(IndexError) as mine:
        ArraySlice.of(index, (4, 5))
    assert str(mine.value) == str(theirs.value)


@pytest.mark.parametrize(
    "index", [[0, 1], numpy.array([True] * 4), True, (0, [1, 2]), "field", 1.5, numpy.bool_(1)]
)
def test_other_indices_are_left_to_numpy(index: Any) -> None:
    assert ArraySlice.of(index, (4, 5)) is None
