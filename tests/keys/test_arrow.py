"""pyarrow: slices, offsets and chunks do not matter, elements do."""

import decimal

import pyarrow as pa
import pytest

from cachestore.keys import digest


class Unit(pa.ExtensionType):
    """Numbers of a unit, which the text of the type does not show."""

    def __init__(self, unit, storage=None):
        self.unit = unit
        super().__init__(storage or pa.int64(), "team.unit")

    def __arrow_ext_serialize__(self):
        return self.unit.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls(serialized.decode(), storage)


def in_unit(unit, values=(1, None, 3, 4), storage=None):
    return pa.ExtensionArray.from_storage(Unit(unit, storage), pa.array(values, storage or pa.int64()))


def dense(codes, offsets, *children):
    codes, offsets = pa.array(codes, pa.int8()), pa.array(offsets, pa.int32())
    return pa.UnionArray.from_dense(codes, offsets, [pa.array(child) for child in children])


def sparse(codes, *children):
    return pa.UnionArray.from_sparse(pa.array(codes, pa.int8()), [pa.array(child) for child in children])


ARRAYS = {
    "int": pa.array([1, 2, None, 4]),
    "float": pa.array([1.5, None, 2.5, 0.0]),
    "bool": pa.array([True, None, False, True]),
    "text": pa.array(["a", None, "", "dd"]),
    "bytes": pa.array([b"a", None, b"", b"dd"]),
    "fixed": pa.array([b"ab", None, b"cd", b"ef"], pa.binary(2)),
    "view": pa.array(["a", None, "", "dd"], pa.string_view()),
    "list": pa.array([[1], None, [], [2, 3]]),
    "struct": pa.array([{"a": 1}, None, {"a": None}, {"a": 2}]),
    "dictionary": pa.array(["u", None, "v", "u"]).dictionary_encode(),
    "time": pa.array([1, None, 2, 3], pa.timestamp("us", "UTC")),
    "decimal": pa.array([decimal.Decimal("1.1"), None, decimal.Decimal("2.2"), None]),
    "null": pa.nulls(4),
    "map": pa.array([[("a", 1)], None, [], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "list view": pa.array([[1], None, [], [2, 3]], pa.list_view(pa.int64())),
    "extension": in_unit("m"),
    "dense union": dense([0, 1, 1, 0], [0, 0, 1, 1], [1, 2], ["a", "b"]),
    "sparse union": sparse([0, 1, 1, 0], [1, 2, 3, 4], ["a", "b", "c", "d"]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_slices_and_chunks_do_not_matter(name):
    array = ARRAYS[name]
    twice = pa.chunked_array([array, array])
    assert digest(twice.slice(2, 4)) == digest(pa.chunked_array([array.slice(2), array.slice(0, 2)]))
    assert digest(pa.concat_arrays([array, array]).slice(4)) == digest(array)
    assert digest(pa.chunked_array([], array.type)) == digest(pa.chunked_array([array.slice(4)]))


@pytest.mark.parametrize("name", [name for name in ARRAYS if name not in {"null", "view"}])
def test_elements_count(name):
    array = ARRAYS[name]
    assert digest(array) != digest(array.take(pa.array([3, 1, 2, 0]))) or array[0] == array[3]
    assert digest(array) != digest(array.take(pa.array([1, 0, 2, 3])))
    assert digest(array) != digest(array.take(pa.array([0, 1, 1, 3])))


def test_slices_of_arrays_without_nulls():
    array = pa.array([1, 2, 3, 1, 2])
    assert digest(array.slice(1, 2)) == digest(pa.array([2, 3])) != digest(array.slice(0, 2))
    texts = pa.array(["a", "b", "c", "a"])
    assert digest(texts.slice(1, 2)) == digest(pa.array(["b", "c"])) != digest(texts.slice(0, 2))


def test_lengths_count():
    assert digest(pa.array(["ab", "c"])) != digest(pa.array(["a", "bc"]))
    assert digest(pa.array([[1, 2], [3]])) != digest(pa.array([[1], [2, 3]]))
    assert digest(pa.array(["", None])) != digest(pa.array([None, ""]))


@pytest.mark.parametrize("length", [1, 255, 256, 65_536])
def test_long_lengths_count(length):
    text = "a" * length
    orders = [["", text], [text, ""], [text[:1], text[1:]]]
    assert len({digest(pa.array(texts)) for texts in orders}) == 3 - (length == 1)


@pytest.mark.parametrize("place", [0, 32_767, 32_768, 69_999])
@pytest.mark.parametrize("missing", [[], [5, 40_000]])
def test_lengths_of_many_texts_count_however_they_are_cut(place, missing):
    texts = ["ab", "c"] * 35_000
    texts[place] = "long" * 100
    for gap in missing:
        texts[gap] = None
    array = pa.array(texts)
    moved = [*texts[:1_000], "a", "bc", *texts[1_002:]]
    assert digest(pa.array(["x", *texts]).slice(1)) == digest(array) != digest(pa.array(moved))
    cut = pa.chunked_array([array.slice(0, 40_001), array.slice(40_001, 1), array.slice(40_002)])
    assert (
        digest(cut) == digest(pa.chunked_array([array])) == digest(pa.chunked_array([cut.combine_chunks()]))
    )


def test_missing_elements_that_a_slice_leaves_out_do_not_count():
    for values in ([1, 2], ["a", "b"], [[1], [2]]):
        whole = pa.array([None, *values])
        assert digest(whole.slice(1)) == digest(pa.array(values)) != digest(whole)
        chunks = pa.chunked_array([whole.slice(0, 0), whole.slice(1)])
        assert digest(chunks) == digest(pa.chunked_array([pa.array(values)]))


def test_tables():
    table = pa.table(ARRAYS)
    assert digest(pa.concat_tables([table.slice(0, 1), table.slice(1)])) == digest(table)
    others = [
        table,
        table.drop_columns(["int"]),
        table.rename_columns([f"{name}_" for name in table.column_names]),
        table.slice(1),
        table.replace_schema_metadata({"a": "b"}),
        table.to_batches()[0],
    ]
    assert len(set(map(digest, others))) == len(others)


def test_what_the_text_of_a_type_does_not_show():
    types = [Unit("m"), Unit("s"), Unit("m", pa.int32()), pa.list_(Unit("m")), pa.list_(Unit("s"))]
    types += [pa.dictionary(pa.int8(), Unit("m")), pa.dictionary(pa.int8(), Unit("s"))]
    types += [pa.struct([("a", pa.map_(pa.string(), Unit(unit)))]) for unit in "ms"]
    assert len(set(map(digest, types))) == len(types)
    assert digest(Unit("m")) == digest(Unit("m"))
    arrays = [in_unit("m"), in_unit("s"), in_unit("m", [0] * 4), in_unit("m", [0.0] * 4, pa.float64())]
    assert len(set(map(digest, arrays))) == len(arrays)


def test_elements_of_a_union_count_with_their_types():
    unions = [
        sparse([0, 1], [1, 5], [5, 1]), sparse([1, 1], [5, 5], [1, 1]), sparse([0, 0], [1, 1], [5, 5]),
        dense([0, 1], [0, 0], [1], [1]), dense([1, 1], [0, 0], [1], [1]),
    ]  # fmt: skip
    assert len(set(map(digest, unions))) == len(unions)
    assert digest(dense([0, 1, 1], [0, 0, 1], [1], [2, 3]).slice(1)) == digest(
        dense([1, 1], [0, 1], [1], [2, 3])
    )
    assert digest(sparse([0, 1, 1], [1, 2, 3], [4, 5, 6]).slice(1)) == digest(sparse([1, 1], [2, 3], [5, 6]))
    hidden = sparse([0, 1], [1, 7], [8, 1])
    assert digest(unions[0]) == digest(hidden)


@pytest.mark.parametrize(
    "kind", [pa.time64("ns"), pa.duration("ns"), pa.timestamp("ns"), pa.timestamp("ns", "UTC")], ids=str
)
def test_nanoseconds_count(kind):
    def arrays(number):
        plain = pa.array([number], kind)
        entries = pa.array([[("a", number)]], pa.map_(pa.string(), pa.int64()))
        return [
            plain, plain[0], entries.cast(pa.map_(pa.string(), kind)), sparse([0], plain),
            pa.RunEndEncodedArray.from_arrays([2], plain),
        ]  # fmt: skip

    for one, other in zip(arrays(1), arrays(2), strict=True):
        assert digest(one) != digest(other)


@pytest.mark.parametrize("name", ARRAYS)
def test_scalars(name):
    array = ARRAYS[name]
    assert digest(array[0]) == digest(array.slice(0, 1)[0]) != digest(array)
    assert name == "null" or digest(array[0]) != digest(array[1])


def test_run_ends_do_not_matter():
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], [1, 2])
    assert digest(runs) == digest(pa.RunEndEncodedArray.from_arrays([1, 2, 3], [1, 1, 2]))
    assert digest(runs) != digest(pa.RunEndEncodedArray.from_arrays([1, 3], [1, 2]))
