"""An opened file: it stays the same object whatever becomes of its name."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import opened_file
from cachestore.storage.local_store import LocalStore
from cachestore.storage.opened_file import OpenedFile

DATA = os.urandom(300_000)


class Failure(StorageError):
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "object"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def opened(path: Path) -> OpenedFile:
    return OpenedFile(str(path), lambda error: Failure(str(error)))


def outs(*sizes: int) -> list[memoryview]:
    return [memoryview(bytearray(b"\xee" * size)) for size in sizes]


@pytest.mark.parametrize("length", [1, 65_536, 299_999, 300_000, 300_001, 10**7])
def test_a_suffix_is_the_end_or_everything(opened: OpenedFile, length: int) -> None:
    assert opened.suffix(length) == DATA[-length:]


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385])
def test_files_about_as_long_as_what_is_asked_for_first(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(DATA[:size])
    opened = OpenedFile(str(tmp_path / "a"), Failure)  # type: ignore[arg-type]
    assert opened.suffix_length == 16_384
    assert opened.suffix(opened.suffix_length) == DATA[:size][-16_384:]


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 10), (7, 7), (0, 300_000), (299_990, 10**12), (300_000, 300_001), (10**12, 10**13)],
)
def test_a_range_ends_where_the_file_does(opened: OpenedFile, start: int, stop: int) -> None:
    assert opened.range(start, stop) == DATA[start:stop]


def short_reads(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let the system return no more than `most` bytes a time, and note how many buffers each call was given."""
    calls: list[int] = []
    pread, preadv = os.pread, os.preadv

    def less(file: int, length: int, start: int) -> bytes:
        calls.append(1)
        return pread(file, min(length, most), start)

    def less_of_many(file: int, buffers: Any, start: int) -> int:
        calls.append(len(buffers))
        room, given = most, []
        for buffer in buffers:
            given.append(buffer[:room])
            room -= len(given[-1])
        return preadv(file, given, start)

    monkeypatch.setattr(os, "pread", less)
    monkeypatch.setattr(os, "preadv", less_of_many)
    return calls


def test_a_range_that_comes_in_pieces_is_whole(opened: OpenedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = short_reads(monkeypatch, 70_000)
    assert opened.range(10, 299_000) == DATA[10:299_000]
    assert len(calls) == 5


@pytest.mark.parametrize("sizes", [(), (0,), (10, 0, 20), (300_000,), (1, 2, 3, 100_000, 0, 5)])
@pytest.mark.parametrize("most", [10**9, 40, 1000])
def test_bytes_are_read_into_one_memory_after_the_other(
    opened: OpenedFile, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], most: int
) -> None:
    short_reads(monkeypatch, most)
    views = outs(*sizes)
    assert opened.read_into(0, views) == sum(sizes)
    assert b"".join(views) == DATA[: sum(sizes)]


@pytest.mark.parametrize("count", [1023, 1024, 1025, 2048, 5000])
@pytest.mark.parametrize("most", [10**9, 7001])
def test_as_many_memories_as_there_are(
    opened: OpenedFile, monkeypatch: pytest.MonkeyPatch, count: int, most: int
) -> None:
    """One system call takes 1024 of them."""
    calls = short_reads(monkeypatch, most)
    views = outs(*[1 + number % 50 for number in range(count)])
    total = sum(view.nbytes for view in views)
    assert opened.read_into(33, views) == total
    assert b"".join(views) == DATA[33 : 33 + total]
    assert max(calls) <= 1024


def test_what_is_not_there_is_not_filled(opened: OpenedFile) -> None:
    views = outs(10, 10, 10)
    assert opened.read_into(len(DATA) - 15, views) == 15
    assert b"".join(views) == DATA[-15:] + b"\xee" * 15
    views = outs(*[1] * 3000)
    assert opened.read_into(len(DATA) - 1500, views) == 1500
    assert opened.read_into(len(DATA) + 5, outs(10)) == 0


@pytest.mark.parametrize("meanwhile", ["replaced", "removed"])
def test_it_stays_the_same_object(path: Path, opened: OpenedFile, meanwhile: str) -> None:
    assert opened.suffix(10) == DATA[-10:]
    if meanwhile == "replaced":
        other = path.with_name("other")
        other.write_bytes(b"something else" * 100_000)
        other.replace(path)
    else:
        path.unlink()
    views = outs(1000, 2000)
    assert opened.suffix(10**6) == DATA
    assert opened.range(5, 1000) == DATA[5:1000]
    assert opened.read_into(7, views) == 3000
    assert b"".join(views) == DATA[7:3007]


def test_a_file_that_is_cut_off_meanwhile_gives_less(path: Path, opened: OpenedFile) -> None:
    os.truncate(path, 1000)
    assert opened.range(0, 5000) == DATA[:1000]
    assert opened.read_into(0, outs(600, 600)) == 1000


def test_it_is_closed_with_its_last_user(path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    held = [OpenedFile(str(path), Failure) for _ in range(5)]  # type: ignore[arg-type]
    assert descriptors() == before + 5
    del held
    assert descriptors() == before
    with pytest.raises(FileNotFoundError):
        OpenedFile(str(path) + "-", Failure)  # type: ignore[arg-type]
    assert descriptors() == before


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EBADF])
def test_errors_of_the_system_are_those_of_the_store(
    opened: OpenedFile, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def failing(*_: Any) -> Any:
        raise OSError(code, os.strerror(code))

    for name in ("pread", "preadv", "fstat"):
        with monkeypatch.context() as patch:
            patch.setattr(opened_file.os, name, failing)
            read = {"pread": lambda: opened.suffix(10), "preadv": lambda: opened.read_into(0, outs(3))}
            with pytest.raises(Failure, match=os.strerror(code)):
                read.get(name, lambda: opened.range(0, 10))()
    assert opened.range(0, 10) == DATA[:10]


def test_what_a_store_says_of_files_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ObjectNotFound):
        store.open("not/here")
    with pytest.raises(StorageError):
        store.open("folder").suffix(10)
    (tmp_path / "a").write_bytes(b"abc")
    opened = store.open("a")

    def failing(*_: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(opened_file.os, "pread", failing)
    with pytest.raises(StorageError, match="read") as caught:
        opened.suffix(10)
    assert not isinstance(caught.value, ObjectNotFound)
