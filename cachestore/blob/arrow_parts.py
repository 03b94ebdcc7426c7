"""The parts of a body that is made of many arrays: small ones stay in the body, large ones are buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cachestore.blob.array_body import ArrayLayout, write_array
from cachestore.blob.body import Body, BodyKind, Buffer
from cachestore.blob.plain_body import plain_body, plain_value

if TYPE_CHECKING:
    import numpy

# Smaller parts stay in the body: a frame of their own would cost more than the copy.
_SMALL: Final = 4096
_BUFFERS_LIMIT: Final = 2**14
_DEPTH_LIMIT: Final = 20
_ALIGNED: Final = 64
_LENGTH: Final = struct.Struct("<I")


class NotExact(Exception):
    """Says that a value might not come back as it is: it is for pickle."""


class PartsWriter:
    """Collects the parts of one value."""

    def __init__(self) -> None:
        self._buffers: list[Buffer] = []
        self._small = bytearray()
        self._fields: list[Any] = []

    def array(self, array: numpy.ndarray[Any, Any]) -> dict[str, Any]:
        """Add an array of numbers, dates or bytes; its memory is not copied unless it has gaps."""
        written = write_array(array)
        if written is None:
            raise NotExact
        description, buffer = written
        return {**description, "at": None if buffer is None else self._memory(*buffer)}

    def arrow(self, field: Any, chunks: Sequence[Any]) -> dict[str, Any]:
        """Add an arrow column as its field and chunks; memory is copied only of what is a slice of something."""
        self._fields.append(field)
        return {
            "field": len(self._fields) - 1,
            "chunks": [self._node(chunk, _DEPTH_LIMIT) for chunk in chunks],
        }

    def plain(self, value: object) -> str:
        """Add a name, a label or a mapping of such, which must be plain all through."""
        body = plain_body(value)
        if body is None or body.buffers:
            raise NotExact
        return str(body.raw, "utf-8", "surrogatepass")

    def body(self, content: dict[str, Any], metadata: Any = None) -> Body:
        """Return the body of all that was added."""
        if self._fields:
            import pyarrow

            schema = memoryview(pyarrow.schema(self._fields, metadata).serialize())
            content = {**content, "schema": self._inside(schema)}
        head = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        start = _LENGTH.size + len(head)
        raw = b"".join((_LENGTH.pack(len(head)), head, bytes(-start % _ALIGNED), self._small))
        return Body(BodyKind.ARROW, memoryview(raw), self._buffers)

    def _memory(self, raw: memoryview, item_size: int) -> Any:
        if raw.nbytes < _SMALL:
            return self._inside(raw)
        if len(self._buffers) == _BUFFERS_LIMIT:
            raise NotExact
        self._buffers.append(Buffer(raw, item_size))
        return len(self._buffers) - 1

    def _inside(self, raw: memoryview) -> list[int]:
        self._small.extend(bytes(-len(self._small) % _ALIGNED))
        start = len(self._small)
        self._small.extend(raw)
        return [start, raw.nbytes]

    def _node(self, array: Any, depth: int) -> dict[str, Any]:
        import pyarrow

        if not depth:
            raise NotExact
        if pyarrow.types.is_dictionary(array.type):
            return {
                **self._node(array.indices, depth - 1),
                "dictionary": self._node(array.dictionary, depth - 1),
            }
        kind = _kind(array.type)
        if array.offset or _begins_inside(array, kind):
            array = pyarrow.concat_arrays([array, array.slice(0, 0)])
            if array.offset or _begins_inside(array, kind):
                raise NotExact
        count, nulls, buffers = len(array), array.null_count, array.buffers()
        at = [self._bits(buffers[0], count) if nulls and kind != "null" else None]
        children: list[dict[str, Any]] = []
        if kind == "bits":
            at.append(self._bits(buffers[1], count))
        elif kind == "fixed":
            width = array.type.bit_width // 8
            at.append(self._some(buffers[1], count * width, width))
        elif kind in ("text", "list", "map"):
            end, width = _end(array)
            at.append(self._some(buffers[1], (count + 1) * width if count else 0, width))
            if kind == "text":
                at.append(self._some(buffers[2], end, 1))
            elif kind == "list":
                children.append(self._node(array.values.slice(0, end), depth - 1))
            else:
                pair = [self._node(each.slice(0, end), depth - 1) for each in (array.keys, array.items)]
                children.append({"count": end, "nulls": 0, "at": [None], "children": pair})
        elif kind == "fixed list":
            end = count * array.type.list_size
            children.append(self._node(array.values.slice(0, end), depth - 1))
        elif kind == "struct":
            fields = range(array.type.num_fields)
            children.extend(self._node(array.field(place).slice(0, count), depth - 1) for place in fields)
        node = {"count": count, "nulls": nulls, "at": at}
        return {**node, "children": children} if children else node

    def _bits(self, buffer: Any, count: int) -> Any:
        return self._some(buffer, (count + 7) // 8, 1)

    def _some(self, buffer: Any, length: int, item_size: int) -> Any:
        if not length:
            return None
        return self._memory(memoryview(buffer)[:length].cast("B"), item_size)


class PartsReader:
    """Finds the parts of one value again; whatever is wrong with them is an Exception of some kind."""

    def __init__(self, raw: memoryview, buffers: Sequence[Any]) -> None:
        (length,) = _LENGTH.unpack_from(raw)
        start = _LENGTH.size + length
        if start > len(raw):
            raise ValueError(f"its head has {length} bytes")
        self.content: dict[str, Any] = json.loads(str(raw[_LENGTH.size : start], "utf-8", "surrogatepass"))
        self._small = raw[start + -start % _ALIGNED :]
        self._small_left = len(self._small)
        self._buffers = buffers
        self._unused = set(range(len(buffers)))

    @cached_property
    def schema(self) -> Any:
        """The schema of all arrow columns."""
        import pyarrow

        at = self.content.get("schema")
        return (
            pyarrow.schema([]) if at is None else pyarrow.ipc.read_schema(pyarrow.py_buffer(self._memory(at)))
        )

    def array(self, part: dict[str, Any]) -> numpy.ndarray[Any, Any]:
        """Return an array, in the memory of its buffer."""
        at = part["at"]
        buffers = [] if at is None else [self._memory(at)]
        return ArrayLayout.parse(part).array(*buffers)

    def arrow(self, part: dict[str, Any]) -> Any:
        """Return a chunked arrow array, every value of which has been looked at: arrow itself trusts its memory."""
        import pyarrow

        kind = self.schema.field(_whole(part["field"])).type
        chunks = [self._node(kind, node, _DEPTH_LIMIT) for node in part["chunks"]]
        for chunk in chunks:
            chunk.validate(full=True)
        return pyarrow.chunked_array(chunks, kind)

    def plain(self, text: str) -> Any:
        """Return a name, a label or a mapping of such."""
        return plain_value(memoryview(text.encode("utf-8", "surrogatepass")), ())

    def _memory(self, at: Any) -> Any:
        if type(at) is int:
            self._unused.remove(at)
            return self._buffers[at]
        import numpy

        start, length = map(_whole, at)
        # Were bytes to be had twice, a short head could ask for more memory than the blob has.
        self._small_left -= length
        if self._small_left < 0 or start + length > len(self._small):
            raise ValueError(f"{length} bytes at {start} are not in the body")
        memory = numpy.empty(length, numpy.uint8)  # aligned, and may be written to
        memory[:] = self._small[start : start + length]
        return memory.data

    def _node(self, kind: Any, node: dict[str, Any], depth: int) -> Any:
        import pyarrow

        if not depth:
            raise ValueError("it nests too deeply")
        if pyarrow.types.is_dictionary(kind):
            indices = self._node(kind.index_type, node, depth - 1)
            indices.validate(full=True)
            dictionary = self._node(kind.value_type, node["dictionary"], depth - 1)
            dictionary.validate(full=True)
            return pyarrow.DictionaryArray.from_arrays(indices, dictionary, ordered=kind.ordered)
        shape = _kind(kind)
        count, nulls = _whole(node["count"]), _whole(node["nulls"])
        at = node["at"]
        if nulls > count or len(at) != _OWN_BUFFERS[shape]:
            raise ValueError(f"{nulls} of {count} values are missing, in {len(at)} buffers")
        own = [None if each is None else pyarrow.py_buffer(self._memory(each)) for each in at]
        own[1:] = [pyarrow.py_buffer(b"") if each is None else each for each in own[1:]]
        if shape == "null":
            if nulls != count or count > 2**40:
                raise ValueError(f"{nulls} of {count} values are missing")
            return pyarrow.nulls(count)
        children = [
            self._node(child, each, depth - 1)
            for child, each in zip(_children(kind, shape), node.get("children", ()), strict=True)
        ]
        return pyarrow.Array.from_buffers(kind, count, own, nulls, 0, children or None)


_OWN_BUFFERS: Final = {
    "null": 1,
    "bits": 2,
    "fixed": 2,
    "text": 3,
    "list": 2,
    "map": 2,
    "fixed list": 1,
    "struct": 1,
}

# pyarrow's names of the types whose arrays lie so; the first that fits counts, for booleans are primitive as well.
_TYPES: Final = {
    "null": ("null",),
    "bits": ("boolean",),
    "fixed": ("primitive", "decimal", "fixed_size_binary", "interval"),
    "text": ("string", "large_string", "binary", "large_binary"),
    "list": ("list", "large_list"),
    "map": ("map",),
    "fixed list": ("fixed_size_list",),
    "struct": ("struct",),
}


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 2**48:
        raise ValueError(f"{number!r} is no place or number")
    return number


def _kind(kind: Any) -> str:
    """Return how arrays of a type lie in memory."""
    from pyarrow import types

    for shape, names in _TYPES.items():
        if any(getattr(types, f"is_{name}")(kind) for name in names):
            if shape == "fixed" and not kind.bit_width:
                break
            return shape
    raise NotExact


def _children(kind: Any, shape: str) -> list[Any]:
    import pyarrow

    if shape in ("list", "fixed list"):
        return [kind.value_type]
    if shape == "map":
        return [pyarrow.struct([kind.key_field, kind.item_field])]
    return [kind.field(place).type for place in range(kind.num_fields)] if shape == "struct" else []


def _offsets(array: Any) -> Any:
    import numpy
    from pyarrow import types

    wide = (
        types.is_large_string(array.type)
        or types.is_large_binary(array.type)
        or types.is_large_list(array.type)
    )
    return numpy.frombuffer(array.buffers()[1], numpy.int64 if wide else numpy.int32)


def _begins_inside(array: Any, kind: str) -> bool:
    """Whether the first of its texts or lists is not the first in memory."""
    return kind in ("text", "list", "map") and len(array) > 0 and bool(_offsets(array)[array.offset])


def _end(array: Any) -> tuple[int, int]:
    if not len(array):
        return 0, 4
    offsets = _offsets(array)
    return int(offsets[len(array)]), offsets.itemsize
