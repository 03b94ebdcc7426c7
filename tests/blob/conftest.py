"""Blobs in memory, and a source that remembers what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cachestore.blob import BlobReader, Metadata, Parent, encode
from cachestore.storage.stored_object import scatter


class RecordingSource:
    """Is an object in memory that keeps a list of the requests for its bytes."""

    def __init__(self, data: bytes, *, suffix_length: int = 2**20, at_once: int = 2) -> None:
        self.data = data
        self.suffix_length = suffix_length
        self.at_once = at_once
        self.requests: list[tuple[Any, ...]] = []

    def suffix(self, length: int) -> bytes:
        self.requests.append(("suffix", length))
        return self.data[-length:]

    def range(self, start: int, stop: int) -> bytes:
        self.requests.append(("range", start, stop))
        return self.data[start:stop]

    def read_into(self, start: int, outs: Sequence[memoryview]) -> int:
        stop = start + sum(out.nbytes for out in outs)
        self.requests.append(("read_into", start, stop))
        return scatter(self.data[start:stop], outs)


@pytest.fixture(scope="session")
def metadata() -> Metadata:
    return Metadata(
        key="ab" * 32,
        function="project.features.mean",
        code_version="cd" * 32,
        code_parts={"function:project.features:mean": "01" * 32, "package:numpy": "2.4"},
        arguments={"table": "23" * 32, "scale": "45" * 32},
        started_at=datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC),
        seconds=12.5,
        creator="ana",
        python="3.11.7",
        packages={"numpy": "2.4.6"},
        parents=(Parent("67" * 32, "89" * 32), Parent("ef" * 32, None)),
        epoch=3,
    )


@pytest.fixture(scope="session")
def write(metadata: Metadata) -> Callable[..., bytes]:
    def write(value: object, *, compress: Any = None, place: Any = "near", **changes: Any) -> bytes:
        return b"".join(encode(value, replace(metadata, **changes), compress=compress, place=place))

    return write


@pytest.fixture(scope="session")
def read(metadata: Metadata) -> Callable[..., Any]:
    def read(data: bytes, *, key: str | None = metadata.key) -> Any:
        return BlobReader.open(RecordingSource(data), key=key).value()

    return read


@pytest.fixture(scope="session")
def source() -> type[RecordingSource]:
    return RecordingSource
