"""Golden blobs: what was ever written is read for ever, by both readers, to the last bit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from blake3 import blake3

from cachestore.blob import BlobReader
from cachestore.errors import BlobError, CorruptBlob
from tests.blob import second_reader
from tests.golden import blobs
from tests.golden.blob_values import MESH, load_mesh, same

DIGESTS = json.loads(blobs.DIGESTS.read_text())
second_reader.SERIALIZERS[MESH] = load_mesh


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return blobs.values()


def test_each_value_has_a_blob_and_each_blob_a_value(values: dict[str, Any]) -> None:
    assert values.keys() == DIGESTS.keys(), (
        "Golden values and blobs differ. A new value gets its blob by `make golden`; none may go, nor change its name."
    )
    files = {str(file.relative_to(blobs.FOLDER)) for file in blobs.FOLDER.rglob("*.blob")}
    assert files == {str(blobs.file_of(name).relative_to(blobs.FOLDER)) for name in DIGESTS}
    assert len({name.partition("/")[0] for name in DIGESTS}) == 5


@pytest.mark.parametrize("name", DIGESTS)
def test_a_golden_blob_is_read(name: str, values: dict[str, Any], source: Any) -> None:
    data = blobs.file_of(name).read_bytes()
    assert blake3(data).hexdigest() == DIGESTS[name], "A golden blob was changed: take the old one back."
    metadata, _ = blobs.described(name)
    for suffix_length in (2**20, 300):
        reader = BlobReader.open(source(data, suffix_length=suffix_length), key=metadata.key or None)
        reader.verify()
        assert same(values[name], reader.value()), (
            "A golden blob is read as another value. If blobs of before cannot be read any more, results of "
            "teams are lost: take the change back."
        )
        assert reader.size == len(data)
        found = reader.metadata
        assert found == replace(metadata, kind=found.kind, raw_size=found.raw_size)


@pytest.mark.parametrize("name", DIGESTS)
def test_a_second_reader_reads_it_too(name: str, values: dict[str, Any]) -> None:
    blob = second_reader.read_blob(blobs.file_of(name).read_bytes())
    metadata, _ = blobs.described(name)
    assert same(values[name], blob.value())
    assert (blob.key or "", blob.value_digest) == (metadata.key, metadata.value_digest)
    assert (blob.seconds, blob.epoch) == (metadata.seconds, metadata.epoch)
    expires = metadata.expires_at
    assert blob.expires == (None if expires is None else int(expires.timestamp()) * 10**6)
    assert blob.metadata["function"] == metadata.function


@pytest.mark.parametrize("name", DIGESTS)
def test_only_pickles_need_unpickling(name: str, values: dict[str, Any], source: Any) -> None:
    reader = BlobReader.open(source(blobs.file_of(name).read_bytes()))
    if name.startswith("pickle/"):
        with pytest.raises(BlobError, match="load_policy") as caught:
            reader.value(policy="data")
        assert not isinstance(caught.value, CorruptBlob)
    else:
        assert same(values[name], reader.value(policy="data"))


def test_golden_blobs_are_of_all_forms() -> None:
    codecs, filters, chunks, aligned = set(), set(), [], 0
    for name in DIGESTS:
        data = blobs.file_of(name).read_bytes()
        blob = second_reader.read_blob(data)
        for offsets, stored in zip(blob.offsets, blob.codecs, strict=True):
            chunks.append(len(offsets))
            aligned += offsets[:1] != [] and offsets[0] % 64 == 0
            for offset, codec in zip(offsets, stored, strict=True):
                codecs.add(data[offset + 22] if codec else "raw")
                filters |= set(data[offset + 16 : offset + 22]) if codec else set()
    assert codecs == {"raw", 0, 1, 2, 4, 5}
    assert filters == {0, 1, 2}
    assert max(chunks) > 2
    assert aligned == len(chunks)


def test_a_golden_blob_is_never_written_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(blobs, "FOLDER", tmp_path)
    monkeypatch.setattr(blobs, "DIGESTS", tmp_path / "digests.json")
    monkeypatch.setattr(blobs, "values", lambda: {"plain/none": None})
    blobs.main()
    first = blobs.file_of("plain/none").read_bytes()
    monkeypatch.setattr(blobs, "values", lambda: {"plain/none": "changed", "plain/new one": 1})
    blobs.main()
    assert blobs.file_of("plain/none").read_bytes() == first
    assert blobs.file_of("plain/new one").exists()
    assert list(json.loads(blobs.DIGESTS.read_text())) == ["plain/new one", "plain/none"]
