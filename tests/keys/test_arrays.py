"""numpy arrays: every dtype, any strides, and nothing that cannot be seen."""

import copy
import os
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cachestore.errors import KeyingError
from cachestore.keys import KeyedFunction, digest

DTYPES = [
    "?", "i1", "<i8", "u2", "f2", "f4", "f8", "longdouble",
    "c8", "c16", "M8[ns]", "M8[D]", "m8[s]", "S3", "U3", "V5", "O",
    "i4,f8", [("a", "i1"), ("b", "f8", (2,)), ("c", "O")],
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(dtype):
    array = np.zeros((2, 3), dtype=dtype)
    assert digest(array) == digest(array.copy()) == digest(pickle.loads(pickle.dumps(array)))
    assert digest(array) == digest(copy.deepcopy(array))
    assert digest(array) != digest(array[:, :2])
    assert digest(array.ravel()) != digest(array)
    assert digest(array[0, 0]) == digest(copy.deepcopy(array)[0, 0])


def test_byte_order_does_not_count():
    array = np.arange(3, dtype=">i8")
    assert digest(array) == digest(pickle.loads(pickle.dumps(array))) == digest(np.arange(3, dtype="<i8"))


def test_dtypes_differ():
    made = [np.zeros(2, dtype=dtype) for dtype in DTYPES]
    assert len(set(map(digest, made))) == len(made)
    assert len({digest(array[:0]) for array in made}) == len(made)


@settings(max_examples=80, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from(["i2", "f8", "U2", "?"]),
        arrays.array_shapes(min_dims=0, max_dims=3),
        elements=None,
        fill=st.nothing(),
    ).filter(lambda array: array.size),
    st.data(),
)
def test_one_changed_element_differs(array, data):
    other = array.copy()
    place = data.draw(st.integers(0, array.size - 1))
    old = other.flat[place]
    changes = {"i": (0, 1), "f": (1.5, 2.5), "U": ("x", "y"), "b": (False, True)}
    one, two = changes[array.dtype.kind]
    other.flat[place] = two if old == one else one
    assert digest(other) != digest(array)
    assert digest(array.copy()) == digest(array)


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([1, 2, -1])] * 3))
def test_views_equal_their_c_copies(axes, steps):
    array = np.arange(60.0).reshape(3, 4, 5).transpose(axes)[tuple(slice(None, None, step) for step in steps)]
    expected = array if array.flags.f_contiguous else np.ascontiguousarray(array)
    assert digest(array) == digest(expected) == digest(copy.deepcopy(expected))


def test_large_views_are_digested_in_blocks():
    big = np.random.default_rng(0).random((3000, 2000))
    assert digest(big[:, ::2]) == digest(big[:, ::2].copy())
    wide = np.random.default_rng(0).random((2, 3, 2_000_000))[:, :, ::2]
    assert digest(wide) == digest(np.ascontiguousarray(wide))


def test_no_dimension_is_not_one():
    assert len({digest(np.array(5)), digest(np.array([5])), digest(np.int64(5)), digest(5)}) == 4
    assert digest(np.zeros((0, 3))) != digest(np.zeros((3, 0)))


def test_arrays_are_not_their_bytes():
    assert digest(np.array([1.5])) != digest(np.array([1.5]).tobytes()) != digest(memoryview(np.array([1.5])))


def test_scalars():
    assert digest(np.float32("nan")) == digest(-np.float32("nan")) != digest(np.float64("nan"))
    assert len(set(map(digest, [np.float64(1), 1.0, np.int64(1), np.int32(1), 1, np.bool_(True), True]))) == 7
    assert digest(np.float64(0.0)) != digest(np.float64(-0.0))


def test_padding_does_not_count():
    array = np.zeros(3, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))
    other = array.copy()
    other.view(np.uint8)[3] = 7
    assert digest(other) == digest(array)
    other["b"][1] = 1
    assert digest(other) != digest(array)


def test_padding_inside_and_behind_fields_does_not_count_in_arrays_of_any_size():
    inside = np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2", (3,))], align=True)
    behind = np.dtype({"names": ["a", "b"], "formats": ["<f8", "u1"], "itemsize": 16})
    swapped = np.dtype({"names": ["a", "b"], "formats": ["u1", "<f8"], "offsets": [8, 0], "itemsize": 16})
    places = {inside: 3, behind: 12, swapped: 12}
    for dtype, place in places.items():
        for size in (1, 5, 5000, 500_000):
            array = np.zeros(size, dtype)
            other = array.copy()
            other.view(np.uint8).reshape(size, -1)[:, place] = 7
            assert digest(other) == digest(array)
            assert digest(np.array([other, other]).T) == digest(np.array([array, array]).T)
            assert digest(other[::-1]) == digest(array[::-1])
            other["b"][size // 2] = 1
            assert digest(other) != digest(array)


def test_where_the_fields_lie_does_not_count():
    plain = np.dtype([("a", "<i8"), ("b", "<f8")])
    turned = np.dtype({"names": ["a", "b"], "formats": ["<i8", "<f8"], "offsets": [8, 0]})
    for size in (1, 5000, 500_000):
        array = np.zeros(size, plain)
        array["a"] = 1
        assert digest(array.astype(turned)) == digest(array)
        assert digest(array.view("<i8").view(turned)) != digest(array)


@pytest.mark.parametrize("dtype", ["longdouble", "clongdouble"])
def test_bytes_that_fill_up_long_numbers_do_not_count(dtype):
    array = np.arange(3).astype(dtype)
    if np.finfo(dtype).nmant != 63:
        pytest.skip("every byte of a long number counts here")
    other = array.copy()
    other.view(np.uint8)[10] ^= 7
    assert digest(other) == digest(array)
    assert digest(other[0]) == digest(array[0])
    assert digest(np.array((1, other[0]), [("a", "i1"), ("b", dtype)])) == digest(
        np.array((1, array[0]), [("a", "i1"), ("b", dtype)])
    )
    other.view(np.uint8)[9] ^= 1
    assert digest(other) != digest(array)


def test_titles_of_fields_count():
    dtypes = [[("a", "i4")], [(("t", "a"), "i4")], [(("u", "a"), "i4")], [("s", [(("t", "a"), "i4")])]]
    assert len({digest(np.zeros(2, dtype)) for dtype in dtypes}) == len(dtypes)
    assert len({digest(np.dtype(dtype)) for dtype in dtypes}) == len(dtypes)


def test_dtypes_as_values_count_with_their_offsets():
    fields = [("a", "i1"), ("b", "f8")]
    assert digest(np.dtype(fields)) != digest(np.dtype(fields, align=True))


def test_orders_and_sizes_are_told_apart_whatever_rule_takes_them():
    for size in (1, 4, 64, 128, 2000, 3000):
        array = np.arange(size * size, dtype="i4").reshape(size, size)
        arrays = [array, array.T, array[:, ::-1], array[::-1], array.ravel(), array[None], array.astype("i8")]
        arrays += [
            array.astype("f4"),
            array.view("u4"),
            array.view("S4"),
            array.view("M8[s]") if size % 2 == 0 else 0,
        ]
        if size > 1:
            assert len(set(map(digest, arrays))) == len(arrays)
        assert digest(array[:, ::-1]) == digest(array[:, ::-1].copy())
        assert digest(array.T) == digest(np.asfortranarray(array.T.copy()))


def test_small_values_are_the_same_before_and_after_numpy_was_met(monkeypatch):
    values = [np.arange(4.0), np.float32(1.5), np.complex128("nan"), np.int8(3), np.bool_(True), np.zeros(0)]
    after = list(map(digest, values))
    monkeypatch.setattr("cachestore.keys.walk.SMALL", {})
    monkeypatch.setattr("cachestore.keys.hasher.SMALL", {})
    assert list(map(digest, values)) == after


def test_a_view_is_copied_in_pieces():
    view = np.random.default_rng(0).random((4000, 4000))[:, ::2]
    expected = digest(view.copy())
    tracemalloc.start()
    try:
        assert digest(view) == expected
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < view.nbytes / 2


def test_an_object_array_that_holds_itself():
    def ring():
        ring = np.empty(2, dtype=object)
        ring[:] = [1, None]
        ring[1] = ring
        return ring

    assert digest(ring()) == digest(ring())
    other = ring()
    other[1] = [other]
    assert digest(other) != digest(ring())


def test_masked_arrays():
    one = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    hidden = np.ma.array([1, 9, 3], mask=[0, 1, 0])
    assert digest(one) == digest(hidden)
    others = [one, one.data, np.ma.array([1, 2, 3], mask=[0, 1, 1]), np.ma.array([1, 2, 4], mask=[0, 1, 0])]
    assert len(set(map(digest, others))) == 4


def test_masks_of_structured_arrays_and_subclasses():
    dtype = [("a", "i4"), ("b", [("c", "f8"), ("d", "i2", 2)])]
    one = np.ma.array([(1, (2.0, [1, 2]))], mask=[(0, (1, [0, 1]))], dtype=dtype)
    hidden, seen = one.copy(), one.copy()
    hidden.data["b"]["c"][0] = 9
    hidden.data["b"]["d"][0, 1] = 9
    seen.data["b"]["d"][0, 0] = 9
    assert digest(one) == digest(hidden) != digest(seen)

    class Masked(np.ma.MaskedArray):
        pass

    assert digest(np.ma.array([1]).view(Masked)) != digest(np.ma.array([1]))
    assert digest(np.ma.array([1.0, 2.0])) == digest(np.ma.array([1.0, 2.0], mask=[False, False]))
    assert digest(np.ma.masked) != digest(np.ma.array(0.0, mask=True))


@pytest.mark.parametrize("dtype", ["g", "G", [("a", "i1"), ("b", "g", 2)]], ids=str)
def test_the_padding_of_long_doubles_does_not_count(dtype):
    one, other = np.ones((2, 2), dtype), np.empty((2, 2), dtype)
    other.view(np.uint8)[:] = 255
    np.add(np.ones((2, 2), "g"), 0, out=other["b"][..., 0] if other.dtype.names else other)
    if other.dtype.names:
        other["a"] = 1
        np.add(np.ones((2, 2), "g"), 0, out=other["b"][..., 1])
    assert digest(one) == digest(other)
    assert digest(one.T) == digest(other.T)
    assert digest(one[0, 0]) == digest(other[0, 0])
    assert digest(one) != digest(np.zeros((2, 2), dtype))


def test_void_scalars_and_gaps():
    assert digest(np.void(b"abc")) == digest(np.void(b"abc")) != digest(np.void(b"abd"))
    dtype = np.dtype({"names": ["a", "b"], "formats": ["i1", "i4"], "offsets": [0, 8], "itemsize": 16})
    one = np.zeros(2, dtype)
    other = one.copy()
    other.view(np.uint8)[4] = 9
    assert digest(one) == digest(other)
    assert digest(one[0]) == digest(other[0])


def test_nothing_and_broadcasts():
    assert digest(np.zeros((0, 3))) == digest(np.zeros((0, 3))[::2])
    assert digest(np.array(None, dtype=object)) != digest(np.array([None], dtype=object))
    assert digest(np.broadcast_to(np.float64(1), (3, 4))) == digest(np.ones((3, 4)))
    locked = np.arange(3)
    locked.setflags(write=False)
    assert digest(locked) == digest(np.arange(3))


def test_a_memmap_is_its_array(tmp_path):
    array = np.arange(10.0)
    np.save(tmp_path / "a.npy", array)
    assert digest(np.load(tmp_path / "a.npy", mmap_mode="r")) == digest(array)


def test_subclasses_count():
    values = [np.array([[1, 2]]), np.matrix([[1, 2]]), np.array([[1, 2]]).view(np.recarray)]
    assert len(set(map(digest, values))) == 3


def test_objects_inside_arrays():
    array = np.array([1, "a", None, [1]], dtype=object)
    other = np.array([1, "a", None, [2]], dtype=object)
    assert digest(array) == digest(copy.deepcopy(array)) != digest(other)


def test_texts_of_any_length():
    dtype = np.dtypes.StringDType()
    assert digest(np.array(["a", "bb"], dtype)) == digest(np.array(["a", "bb"], dtype))
    assert digest(np.array(["a", "bb"], dtype)) != digest(np.array(["ab", "b"], dtype))
    assert digest(np.array(["a", "b", "a"], dtype)[::2]) == digest(np.array(["a", "a"], dtype))
    dtypes = [dtype, *(np.dtypes.StringDType(na_object=none) for none in (None, np.nan, ""))]
    dtypes += [np.dtypes.StringDType(coerce=False), object, "U1"]
    assert len({digest(np.array(["a"], dtype)) for dtype in dtypes}) == len(dtypes)


def test_random_generators_count_by_their_state():
    one, two = np.random.default_rng(1), np.random.default_rng(1)
    assert digest(one) == digest(two) != digest(np.random.default_rng(2))
    one.random()
    assert digest(one) != digest(two)
    assert (
        digest(np.random.RandomState(1))
        == digest(np.random.RandomState(1))
        != digest(np.random.RandomState(2))
    )
    # The generators that it will spawn are a part of it.
    used = np.random.default_rng(1)
    used.spawn(1)
    assert digest(used) != digest(np.random.default_rng(1))
    assert digest(used) == digest(copy.deepcopy(used)) == digest(pickle.loads(pickle.dumps(used)))
    kinds = [
        np.random.default_rng(1),
        np.random.Generator(np.random.MT19937(1)),
        np.random.RandomState(1),
        np.random.PCG64(1),
    ]
    assert len(set(map(digest, kinds))) == len(kinds)
    drawn = np.random.RandomState(1)
    drawn.standard_normal()
    drawn.standard_normal()
    assert digest(drawn) != digest(np.random.RandomState(1))


class Metres(np.float64):
    pass


class Seconds(np.float64):
    pass


def test_subclasses_of_scalars_count():
    noted = Metres(1)
    noted.source = "map"
    values = [Metres(1), Metres(2), Seconds(1), noted, np.float64(1), Metres("nan"), Seconds("nan")]
    assert len(set(map(digest, values))) == len(values)
    assert digest(Metres(1)) == digest(values[0])


class Marked(np.ma.MaskedArray):
    pass


def test_how_a_masked_array_behaves_counts():
    noted = np.ma.array([1, 2]).view(Marked)
    noted.source = "map"
    values = [
        np.ma.array([1, 2]), np.ma.array([1, 2], hard_mask=True), np.ma.array(np.matrix([1, 2])), np.ma.array([[1, 2]]),
        np.ma.array([1, 2]).view(Marked), noted,
    ]  # fmt: skip
    assert len(set(map(digest, values))) == len(values)
    assert digest(values[0]) == digest(np.ma.array([1, 2], mask=[False, False]))


def test_universal_functions():
    import scipy.special

    values = [np.add, np.subtract, scipy.special.expit, scipy.special.logit]
    assert len(set(map(digest, values))) == len(values)
    assert digest(np.add) == digest(copy.deepcopy(np.add))
    # What it calls cannot be seen.
    with pytest.raises(KeyingError, match="does not show what it was made of"):
        digest(np.frompyfunc(lambda x: x + 1, 1, 1))


def test_a_memmap_is_its_array_inside_of_lists_and_in_keys(tmp_path):
    array = np.arange(10.0)
    np.save(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert digest([mapped]) == digest([array])
    keyed = KeyedFunction(lambda x: x)
    assert keyed.key((mapped,), {}).key == keyed.key((array,), {}).key


def test_the_first_array_of_a_process_is_as_the_second(run):
    printed = run("""
        import numpy as np
        from cachestore.keys import digest
        print(*(digest([np.arange(3), {"a": np.float32(1)}]) for _ in range(2)))
    """)
    first, second = printed.split()
    assert first == second == digest([np.arange(3), {"a": np.float32(1)}])


def test_threads_meet_numpy_at_once(run):
    printed = run("""
        import sys, threading
        import numpy as np
        from cachestore.keys import digest
        sys.setswitchinterval(1e-6)
        start, found = threading.Barrier(8), []
        def look():
            start.wait()
            found.append(digest([np.arange(3)]))
        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(*found)
    """)
    assert set(printed.split()) == {digest([np.arange(3)])}


def test_both_parts_of_a_complex_number_that_is_none_count():
    nan = float("nan")
    numbers = [complex(nan, 1), complex(nan, 2), complex(1, nan), complex(nan, nan)]
    assert len({digest(dtype(number)) for dtype in (np.complex64, np.complex128) for number in numbers}) == 8
    assert digest(np.complex64(complex(nan, 1))) == digest(np.complex64(complex(-nan, 1)))


class Measured(np.ndarray):
    __slots__ = ("unit",)


def test_slots_of_subclasses_count():
    def measured(unit):
        made = np.arange(3.0).view(Measured)
        made.unit = unit
        return made

    assert digest(measured("m")) == digest(measured("m")) != digest(measured("km"))
    assert digest(np.arange(3.0).view(Measured)) != digest(measured("m"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_large_arrays_after_a_fork(run):
    printed = run("""
        import os, signal
        import numpy as np
        from cachestore.keys import digest
        numbers = np.arange(1_000_000)
        def both(): return digest(numbers), digest(numbers[::2]), digest(numbers.tobytes())
        expected = both()
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(both() != expected)
        print(os.waitpid(child, 0)[1])
    """)
    assert printed == "0"


def test_views_of_pointers_are_refused():
    with pytest.raises(KeyingError, match="places in the memory"):
        digest(memoryview(np.array([1, "a"], object)))
    named = np.zeros(2, [("Price", "i4"), ("O", "f8")])
    assert digest(memoryview(named)) == digest(memoryview(named.copy()))


def test_a_record_is_more_than_its_fields():
    rows = np.zeros(2, [("a", "i4")])
    assert digest(rows[0]) == digest(rows[1]) != digest(rows.view(np.recarray)[0])
