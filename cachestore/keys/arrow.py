"""pyarrow arrays and tables: by what they hold, however it is sliced, offset or cut into chunks."""

from __future__ import annotations

from typing import Any

from cachestore.keys.arrays import flat
from cachestore.keys.encoding import buffer, record, text
from cachestore.keys.packages import package_of
from cachestore.keys.walk import Encoder, Walk

_LISTS = ("list<", "large_list<", "fixed_size_list<", "list_view<", "large_list_view<")


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of pyarrow, if it is one."""
    pyarrow = package_of(cls, "pyarrow")
    if pyarrow is None or not cls.__module__.startswith("pyarrow"):
        return None
    rules: tuple[tuple[Any, Encoder], ...] = (
        ((pyarrow.Table, pyarrow.RecordBatch), _table),
        ((pyarrow.Array, pyarrow.ChunkedArray), encode_arrow),
        (pyarrow.Schema, _schema),
        (pyarrow.Scalar, _scalar),
        (pyarrow.DataType, _type),
        (pyarrow.Buffer, _buffer),
    )
    return next((encoder for bases, encoder in rules if issubclass(cls, bases)), None)


def encode_arrow(walk: Walk, value: Any) -> bytes:
    """Encode an array or a chunked one by its type, its nulls and its elements."""
    import pyarrow

    tag = "arrow" if isinstance(value, pyarrow.Array) else "arrowchunks"
    return record(tag, _type(walk, value.type), arrow_elements(walk, value))


def arrow_elements(walk: Walk, value: Any) -> bytes:
    """Encode the elements of an arrow array, without its type."""
    import pyarrow
    import pyarrow.compute

    if isinstance(value, pyarrow.ChunkedArray):
        value = _in_one(value)
    if isinstance(value, pyarrow.ExtensionArray):
        return arrow_elements(walk, value.storage)
    kind, types = value.type, pyarrow.types
    if types.is_null(kind):
        return record("nulls", walk.encode(len(value)))
    nulls = encode_missing(value.is_null().to_numpy(zero_copy_only=False) if value.null_count else None)
    if types.is_dictionary(kind):
        return arrow_elements(walk, value.dictionary_decode())
    if _is_text(kind):
        return record("texts", nulls, *_text_buffers(value))
    if types.is_struct(kind):
        fields = [pyarrow.compute.struct_field(value, index) for index in range(kind.num_fields)]
        return record("structs", nulls, *(arrow_elements(walk, field) for field in fields))
    if types.is_map(kind):
        # Their Python objects round times to microseconds.
        entries = pyarrow.struct([kind.key_field, kind.item_field])
        return record("maps", arrow_elements(walk, value.cast(pyarrow.list_(entries))))
    if types.is_union(kind):
        return record("unions", *_union(walk, value))
    if str(kind).startswith("run_end_encoded<"):
        return arrow_elements(walk, pyarrow.compute.call_function("run_end_decode", [value]))
    if str(kind).startswith(_LISTS):
        lengths = pyarrow.compute.list_value_length(value).fill_null(0).cast("int64").to_numpy()
        return record("lists", nulls, buffer(flat(lengths)), arrow_elements(walk, value.flatten()))
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_temporal(kind):
        return record("numbers", nulls, *_numbers(value))
    return walk.members("elements", value.to_pylist())


def _union(walk: Walk, value: Any) -> list[bytes]:
    """Encode which type each element is of, and the elements of each type."""
    import numpy
    import pyarrow

    # pyarrow gives those of the whole array for a slice.
    here = slice(value.offset, value.offset + len(value))
    codes = numpy.frombuffer(value.buffers()[1] or b"", numpy.int8)[here]
    members = [buffer(flat(numpy.ascontiguousarray(codes)))]
    for place, code in enumerate(value.type.type_codes):
        child, wanted = value.field(place), codes == code
        if value.type.mode == "dense":
            offsets = numpy.frombuffer(value.buffers()[2] or b"", numpy.int32)[here]
            child = child.take(pyarrow.array(offsets[wanted]))
        else:
            child = child.filter(pyarrow.array(wanted))
        members.append(arrow_elements(walk, child))
    return members


def _in_one(value: Any) -> Any:
    """Return the elements of a chunked array as one array; a single chunk is not copied."""
    import pyarrow

    if value.num_chunks < 2:
        return value.chunk(0) if value.num_chunks else pyarrow.nulls(0, value.type)
    whole = value.combine_chunks()
    # Where it is more than pyarrow puts into one array of itself.
    return pyarrow.concat_arrays(whole.chunks) if isinstance(whole, pyarrow.ChunkedArray) else whole


def encode_missing(missing: Any) -> bytes:
    """Encode which elements are missing, as an array of bools; None, and no True in it, say that none is."""
    return b"N" if missing is None or not missing.any() else buffer(flat(missing))


def encode_bounds(bounds: Any) -> bytes:
    """Encode where texts begin and end, as integers of 64 bits, counted from where the first begins."""
    return buffer(flat(bounds - bounds[0] if bounds[0] else bounds))


def _text_buffers(value: Any) -> tuple[bytes, bytes]:
    """Encode the bounds and the bytes of an array of texts or bytes; a null is as long as an empty one."""
    import numpy
    import pyarrow

    large = "large_string" if value.type in (pyarrow.string(), pyarrow.large_string()) else "large_binary"
    if pyarrow.types.is_fixed_size_binary(value.type) or str(value.type).endswith("_view"):
        large = "large_string" if "string" in str(value.type) else "large_binary"
    filled = value.cast(large)
    if filled.null_count:
        filled = filled.fill_null("" if large == "large_string" else b"")
    offset, size = filled.offset, len(filled)
    _, offsets, data = filled.buffers()
    if not size:
        return encode_bounds(numpy.zeros(1, numpy.int64)), b"b0:"
    bounds = numpy.frombuffer(offsets, numpy.int64)[offset : offset + size + 1]
    texts = b"" if data is None else memoryview(data)[bounds[0] : bounds[size]]
    return encode_bounds(bounds), buffer(texts)


def _numbers(value: Any) -> list[bytes]:
    import numpy

    kind = value.type
    if value.null_count:
        # What lies under a null is an accident.
        present = value.drop_null()
    else:
        present = value
    width = getattr(kind, "bit_width", 64)
    if width == 1:
        return [buffer(flat(present.to_numpy(zero_copy_only=False)))]
    data = present.buffers()[1]
    if data is None or not len(present):
        return [b"b0:"]
    step = width // 8
    whole = numpy.frombuffer(data, dtype=numpy.uint8)
    return [buffer(flat(whole[present.offset * step : (present.offset + len(present)) * step]))]


def _is_text(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    names = {"string", "large_string", "binary", "large_binary", "string_view", "binary_view"}
    return str(kind) in names or types.is_fixed_size_binary(kind)


def _table(walk: Walk, value: Any) -> bytes:
    columns = [
        walk.named(f"[{name!r}]", column)
        for name, column in zip(value.schema.names, value.columns, strict=True)
    ]
    tag = "arrowtable" if hasattr(value, "combine_chunks") else "arrowbatch"
    return record(tag, _schema(walk, value.schema), walk.encode(value.num_rows), *columns)


def _schema(walk: Walk, value: Any) -> bytes:
    fields = []
    for field in value:
        fields += [
            text(field.name),
            _type(walk, field.type),
            walk.encode(field.nullable),
            walk.encode(field.metadata),
        ]
    return record("arrowschema", walk.encode(value.metadata), *fields)


def _type(walk: Walk, value: Any) -> bytes:
    return record("arrowtype", text(str(value)), *_extensions(walk, value))


def _extensions(walk: Walk, value: Any) -> list[bytes]:
    """Encode the extension types in a type, of which its text shows the names only."""
    import pyarrow

    if isinstance(value, pyarrow.BaseExtensionType):
        settled = getattr(value, "__arrow_ext_serialize__", bytes)()
        own = [text(value.extension_name), buffer(settled), _type(walk, value.storage_type)]
        return [record("extension", *own)]
    inner = [value.field(place).type for place in range(value.num_fields)]
    if pyarrow.types.is_dictionary(value):
        inner.append(value.value_type)
    return [encoding for kind in inner for encoding in _extensions(walk, kind)]


def _scalar(walk: Walk, value: Any) -> bytes:
    import pyarrow

    # Its Python object may be coarser, and another one where pandas is not installed.
    return record("arrowscalar", _type(walk, value.type), arrow_elements(walk, pyarrow.repeat(value, 1)))


def _buffer(walk: Walk, value: Any) -> bytes:
    return record("arrowbuffer", buffer(memoryview(value)))
