"""FORMAT.md: a second reader, written from it alone, reads what the writer writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest

import cachestore.blob
from cachestore.blob import BlobReader
from tests.blob import second_reader
from tests.blob.second_reader import read_blob
from tests.golden.blob_values import KINDS, MESH, load_mesh, same

FORMAT = (Path(cachestore.blob.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")
NUMBERS = {"pickle": 0, "array": 1, "arrow": 2, "plain": 3, "registered": 4}
VALUES = [(kind.__name__, name) for kind in KINDS for name in kind()]

second_reader.SERIALIZERS[MESH] = load_mesh


@pytest.fixture(scope="module")
def values() -> dict[str, dict[str, Any]]:
    return {kind.__name__: kind() for kind in KINDS}


@pytest.mark.parametrize(("kind", "name"), VALUES)
@pytest.mark.parametrize(
    ("compress", "place"),
    [(None, "near"), (None, "far"), (False, "near"), (("zlib", 9, "noshuffle"), "near")],
)
def test_a_second_reader_reads_each_kind_of_blob(
    kind: str, name: str, compress: Any, place: Any, values: Any, write: Callable[..., bytes], source: Any
) -> None:
    value = values[kind][name]
    data = write(value, compress=compress, place=place)
    blob = read_blob(data, key="ab" * 32)
    assert blob.kind == NUMBERS[kind]
    assert same(value, blob.value())
    assert same(value, BlobReader.open(source(data)).value())
    assert blob.metadata["kind"] == f"{type(value).__module__}.{type(value).__qualname__}"


def test_a_second_reader_reads_what_a_blob_says_of_itself(write: Callable[..., bytes]) -> None:
    moment = datetime(2031, 2, 3, tzinfo=UTC)
    blob = read_blob(write(1, value_digest="01" * 32, expires_at=moment, summaries={"x": "3"}))
    assert (blob.key, blob.value_digest) == ("ab" * 32, "01" * 32)
    assert (blob.seconds, blob.expires, blob.epoch) == (12.5, int(moment.timestamp()) * 10**6, 3)
    assert blob.metadata["parents"] == [["67" * 32, "89" * 32], ["ef" * 32, None]]
    assert blob.metadata["started_at"] == "2026-03-04T05:06:07.000890+00:00"
    assert blob.metadata["arguments"] == {"table": "23" * 32, "scale": "45" * 32}
    assert blob.metadata["summaries"] == {"x": "3"}
    bare = read_blob(write(1, key=""))
    assert (bare.key, bare.value_digest, bare.expires) == (None, None, None)


def test_chunks_lie_as_is_specified(write: Callable[..., bytes]) -> None:
    value = [numpy.arange(300_000.0), numpy.frombuffer(numpy.random.default_rng(0).bytes(2**20 + 8), "V24")]
    blob = read_blob(write(value))
    assert blob.item_sizes == [8, 24, 1]
    assert blob.chunk_sizes[0] == [2**20, 2**20, 2_400_000 - 2 * 2**20]
    assert blob.chunk_sizes[1] == [1_048_560, 24]
    assert [set(codecs) for codecs in blob.codecs] == [{1}, {0}, {0}]
    assert all(offsets[0] % 64 == 0 for offsets in blob.offsets)


def test_another_key_than_asked_for_is_corrupt(write: Callable[..., bytes]) -> None:
    with pytest.raises(second_reader.Corrupt, match="another key"):
        read_blob(write(1), key="12" * 32)


@pytest.mark.parametrize(
    "value", [{"a": 1}, [numpy.arange(3000.0), numpy.arange(2500)]], ids=["plain", "arrays"]
)
def test_both_readers_find_every_flipped_bit(value: Any, write: Callable[..., bytes]) -> None:
    data = write(value)
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] ^= 1 << index % 8
        with pytest.raises(second_reader.Corrupt):
            read_blob(bytes(damaged))


def test_each_member_of_the_metadata_is_specified(write: Callable[..., bytes]) -> None:
    section = FORMAT.split("## Metadata")[1].split("## Table")[0]
    specified = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert specified == set(read_blob(write(1, encoding="00")).metadata)


def test_each_kind_of_body_is_specified() -> None:
    section = FORMAT.split("## Bodies")[1]
    rows = re.findall(r"^\| (\d) \| ([a-z]+) \|", section, re.MULTILINE)
    assert {name: int(number) for number, name in rows} == NUMBERS
    from cachestore.blob.body import BodyKind

    assert {kind.name.lower(): int(kind) for kind in BodyKind} == NUMBERS


def test_the_bytes_of_a_blob_are_those_of_the_specification(write: Callable[..., bytes]) -> None:
    blob = write(None)
    assert blob[:24].hex(" ", 4) == "93435342 0d0a1a0a 01000000 00000000 00000000 00000000"
    assert blob[24:64] == bytes(40)
    assert blob[64:69] == b"=null"
    assert blob[69:70] == b"{"
    assert blob[-8:].hex() == "0a1a0d0a42534393"
    assert blob[-12:-8] == bytes(4)


def test_the_second_reader_shares_nothing_with_the_first() -> None:
    tree = ast.parse(Path(second_reader.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not [module for module in modules if module and module.startswith(("cachestore", "tests"))]
