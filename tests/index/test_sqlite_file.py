from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cachestore.errors import IndexUnavailable
from cachestore.index import Selection
from tests.contracts.index import entry, key
from tests.index.test_index import finish, open_at


def test_the_file_is_in_wal_mode(tmp_path: Path) -> None:
    index = open_at(None, tmp_path)
    index.record([entry(1)])
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with index._place.database().reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    index.close()


@pytest.mark.parametrize("content", [b"this is no database, and it is longer than a header" * 100, b"SQLite"])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "index.sqlite"
    file.write_bytes(content)
    index = open_at(None, tmp_path)
    for act in (lambda: index.get(key(1)), lambda: index.record([entry(1)]), index.version, index.merge):
        with pytest.raises(IndexUnavailable) as caught:
            act()
        text = str(caught.value)
        assert str(file) in text
        assert "may be deleted" in text
        assert "cachestore rebuild" in text
    assert file.read_bytes() == content
    file.unlink()
    index.record([entry(1)])
    assert index.get(key(1)) == entry(1)
    index.close()


def test_a_file_in_a_folder_of_others_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is then read without journals; what others write meanwhile is seen all the same."""
    writer, reader = open_at(None, tmp_path), open_at(None, tmp_path)

    def read() -> list[str]:
        with monkeypatch.context() as patched:
            patched.setattr(os, "access", lambda path, mode: False)
            found = sorted(each.key for each in reader.select(Selection()))
        assert not (tmp_path / "index.sqlite-wal").exists()
        return found

    for number in (1, 2):
        writer.record([entry(number)])
        writer.close()
        assert read() == [key(n) for n in range(1, number + 1)]
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(IndexUnavailable, match="may be written"):
            reader.record([entry(3)])
    reader.record([entry(3)])
    assert reader.get(key(3)) == entry(3)
    reader.close()


def test_a_damaged_database(tmp_path: Path) -> None:
    index = open_at(None, tmp_path)
    index.record(entry(number) for number in range(200))
    index.close()
    file = tmp_path / "index.sqlite"
    data = bytearray(file.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 200] = b"\xee" * 200
    file.write_bytes(data)
    with pytest.raises(IndexUnavailable, match="may be deleted"):
        open_at(None, tmp_path).select(Selection())


def test_an_empty_file_becomes_an_index(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").touch()
    index = open_at(None, tmp_path)
    assert index.select(Selection()) == []
    index.record([entry(1)])
    assert index.get(key(1)) == entry(1)
    index.close()


def test_journals_of_a_deleted_index_do_no_harm(tmp_path: Path) -> None:
    index = open_at(None, tmp_path)
    index.record(entry(number) for number in range(100))
    copies = {suffix: (tmp_path / f"index.sqlite{suffix}").read_bytes() for suffix in ("-wal", "-shm")}
    index.close()
    (tmp_path / "index.sqlite").unlink()
    for suffix, data in copies.items():
        (tmp_path / f"index.sqlite{suffix}").write_bytes(data)
    index = open_at(None, tmp_path)
    index.record([entry(1)])
    assert index.find("") == [entry(1)]
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    index.close()


def test_a_locked_index_is_unavailable_within_the_timeout(tmp_path: Path) -> None:
    index = open_at(None, tmp_path, timeout=0.3)
    index.record([entry(1)])
    other = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(IndexUnavailable, match=r"locked by another process for more than 0\.3 s"):
        index.record([entry(2)])
    assert 0.25 < time.monotonic() - start < 1.5
    # Readers do not wait for writers.
    assert index.get(key(1)) == entry(1)
    other.execute("ROLLBACK")
    index.record([entry(2)])
    other.close()
    index.close()


def test_a_folder_that_may_not_be_written() -> None:
    script = """
import os, sys
from pathlib import Path
import cachestore.index.rows, cachestore.index.sqlite_file
from cachestore.errors import IndexUnavailable
from tests.index.test_index import open_at, entry, touch
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
index = open_at(None, Path(sys.argv[1]))
index.touch(touch(1))
for act in (lambda: index.record([entry(1)]), index.flush):
    try:
        act()
    except IndexUnavailable as error:
        assert sys.argv[1] in str(error), error
    else:
        raise AssertionError("it was written")
"""
    # Not below pytest's folders, which nobody else may enter.
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "store"
        folder.mkdir()
        Path(above).chmod(0o755)
        folder.chmod(0o555)
        finish(
            subprocess.Popen(
                [sys.executable, "-c", script, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        assert list(folder.iterdir()) == []
        folder.chmod(0o755)


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    index = open_at(None, tmp_path)
    index.record([entry(1)])
    with index._place.database().reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(IndexUnavailable, match="the disk is full"):
        index.record(entry(number) for number in range(2000))
    assert index.find("") == [entry(1)]
    index.close()
