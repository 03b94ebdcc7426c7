"""A team's own types: its functions are asked, their mistakes are named, and so is who is missing."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import cachestore
from cachestore.blob import serializers
from cachestore.blob.bodies import body_of, value_of
from cachestore.blob.body import BodyKind
from cachestore.errors import BlobError, CorruptBlob


class Mesh:
    def __init__(self, name: str, points: Any, faces: Any) -> None:
        self.name, self.points, self.faces = name, points, faces


def dump(mesh: Any) -> Any:
    return mesh.name.encode(), [mesh.points, mesh.faces]


def load(raw: memoryview, buffers: list[memoryview]) -> Mesh:
    points, faces = buffers
    return Mesh(bytes(raw).decode(), numpy.frombuffer(points, "f8"), array("i", faces.tobytes()))


MESH = Mesh("cow", numpy.arange(5.0), array("i"))


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(serializers, "_by_type", {})
    monkeypatch.setattr(serializers, "_by_name", {})
    cachestore.register_serializer(Mesh, name="acme.Mesh", dump=dump, load=load)
    return


def test_a_value_comes_back_through_the_functions_of_its_type() -> None:
    body = body_of(MESH)
    assert body.kind == BodyKind.REGISTERED
    assert [(len(buffer.raw), buffer.item_size) for buffer in body.buffers] == [
        (40, 8)
    ]  # an empty one is none
    read: Any = value_of(body.kind, body.raw, [bytearray(body.buffers[0].raw)], policy="data")
    assert (read.name, read.points.tolist(), len(read.faces)) == ("cow", [0, 1, 2, 3, 4], 0)
    read.points[0] = 7


def test_it_is_asked_before_anything_else_but_not_for_subclasses() -> None:
    class Cow(Mesh):
        pass

    cachestore.register_serializer(
        numpy.ndarray, name="mine", dump=lambda a: (b"", [a]), load=lambda r, b: b[0]
    )
    assert body_of(numpy.arange(3)).kind == BodyKind.REGISTERED
    assert body_of(Cow("a", b"", b"")).kind == BodyKind.PICKLE


def test_a_name_that_is_not_registered_is_named() -> None:
    body = body_of(MESH)
    serializers._by_name.clear()
    with pytest.raises(BlobError, match=r"'acme\.Mesh'.*register_serializer\(") as caught:
        value_of(body.kind, body.raw, [bytearray(40)], policy="any")
    assert not isinstance(caught.value, CorruptBlob)


def test_a_class_that_is_defined_again_takes_its_place() -> None:
    again = type("Mesh", (), {"__module__": Mesh.__module__, "__qualname__": Mesh.__qualname__})
    cachestore.register_serializer(again, name="acme.Mesh", dump=dump, load=load)
    assert serializers._by_name["acme.Mesh"].kind is again


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"kind": "Mesh"}, TypeError, "takes a class, not 'Mesh'"),
        ({"kind": dict}, TypeError, "'dict' is stored is fixed"),
        ({"kind": object}, TypeError, "fixed"),
        ({"kind": type}, TypeError, "fixed"),
        ({"name": 3}, TypeError, "is a text, not 3"),
        ({"name": ""}, ValueError, "'' is no name"),
        ({"name": "x" * 201}, ValueError, "1 to 200"),
        ({"name": "a\n"}, ValueError, "printable"),
        ({"name": "acme.Mesh"}, ValueError, "is that of .*Mesh"),
        ({"dump": None}, TypeError, "dump is None"),
        ({"load": "json"}, TypeError, "load is 'json'"),
    ],
)
def test_bad_input_is_refused_at_once(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    class Other:
        pass

    arguments = {"kind": Other, "name": "other", "dump": dump, "load": load, **wrong}
    with pytest.raises(error, match=words):
        cachestore.register_serializer(arguments.pop("kind"), **arguments)
    assert list(serializers._by_name) == ["acme.Mesh"]


@pytest.mark.parametrize(
    "result",
    [None, b"only bytes", ("text", []), (b"", None), (b"", [3]), (b"", [numpy.arange(9)[::2]]), 1 / 3],
)
def test_a_dump_that_returns_something_else_is_named(result: Any) -> None:
    cachestore.register_serializer(Mesh, name="acme.Mesh", dump=lambda mesh: result, load=load)
    with pytest.raises(BlobError, match=r"acme\.Mesh.*cannot store a .*Mesh"):
        body_of(MESH)


def test_failures_of_its_functions_keep_their_cause() -> None:
    body = body_of(MESH)
    fail: Any = lambda *_: 1 / 0  # noqa: E731
    cachestore.register_serializer(Mesh, name="acme.Mesh", dump=fail, load=fail)
    for act in (lambda: body_of(MESH), lambda: value_of(body.kind, body.raw, [bytearray(40)], policy="any")):
        with pytest.raises(BlobError, match="ZeroDivisionError") as caught:
            act()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\5\0\0",
        b"\xff\xff\xff\xff{}",
        b"\2\0\0\0{}",
        b"\2\0\0\0[]",
        b"\1\0\0\0{",
        b'\x18\0\0\0{"name":"a","sizes":[-1]}',
        b"\x2e\0\0\0" + '{"name":"a","sizes":[]}'.encode("utf-16-le"),
    ],
)
def test_what_it_did_not_write_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptBlob):
        value_of(BodyKind.REGISTERED, memoryview(raw), [], policy="any")


def test_other_buffers_are_corrupt() -> None:
    body = body_of(MESH)
    for buffers in ([], [bytearray(39)], [bytearray(40), bytearray(1)]):
        with pytest.raises(CorruptBlob):
            value_of(body.kind, body.raw, buffers, policy="any")
