from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from cachestore.errors import MissingExtra, SettingsError, StorageError
from cachestore.storage import LocalStore, open_store
from cachestore.storage.guarded_store import GuardedStore


@pytest.mark.parametrize("spell", [str, lambda path: f"file://{path}", lambda path: f"local://{path}"])
def test_a_directory(tmp_path, spell):
    store = open_store(spell(tmp_path / "store"))
    assert isinstance(store, LocalStore)
    assert store.directory() == tmp_path / "store"
    assert not (tmp_path / "store").exists()


def test_a_relative_directory_and_a_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_store("store").directory() == tmp_path / "store"
    assert open_store("~/store").directory() == tmp_path / "home/store"
    assert open_store("file://~/store").directory() == tmp_path / "home/store"


def test_remote_stores_are_guarded_and_local_ones_are_not():
    assert isinstance(open_store("s3://bucket/prefix"), GuardedStore)
    assert open_store("s3://bucket/prefix").remote
    assert not isinstance(open_store("memory://x"), GuardedStore)


def test_opening_asks_nobody_and_imports_little():
    code = (
        "import sys\n"
        "from cachestore.storage import open_store\n"
        "store = open_store('s3://bucket/prefix', storage_options={'endpoint_url': 'http://127.0.0.1:1'})\n"
        "assert store.url == 's3://bucket/prefix'\n"
        "assert not {'s3fs', 'botocore', 'aiohttp'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("", "is no location"),
        ("  ", "is no location"),
        ("a\0b", "is no location"),
        ("nonsense://x", "Nobody knows the protocol nonsense://"),
        ("s3:/bucket/prefix", "with two slashes"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://ab/prefix", "names no bucket"),
        ("s3://key:hidden@bucket/prefix", "names no bucket"),
        ("file://", "names no directory"),
        ("simplecache::s3://bucket/x", "chains filesystems"),
        ("filecache://x::s3://bucket/x", "chains filesystems"),
    ],
)
def test_a_location_that_means_nothing(location, said):
    with pytest.raises(SettingsError, match=said) as caught:
        open_store(location)
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="is a file, and a store is a directory"):
        open_store(str(tmp_path / "file"))


def test_a_name_too_long_is_a_failure_of_the_store(tmp_path):
    store = open_store(str(tmp_path / (300 * "x")))
    with pytest.raises(StorageError, match="File name too long"):
        store.get("marks/a")


def test_a_missing_package(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name in {"s3fs", "gcsfs"} else real(name, *rest),
    )
    from fsspec.registry import _registry

    for protocol in ("s3", "s3a", "gs"):
        monkeypatch.delitem(_registry, protocol, raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'cachestore\[s3\]'"):
        open_store("s3://bucket/prefix")
    with pytest.raises(MissingExtra, match="pip install gcsfs"):
        open_store("gs://bucket/prefix")


def test_the_protocol_may_be_in_capitals():
    open_store("memory://capitals").put("marks/a", [b"1"])
    assert open_store("MEMORY://capitals").get("marks/a") == b"1"


def test_a_path_with_a_colon_is_a_path(tmp_path):
    assert open_store(f"{tmp_path}/a:b").directory() == Path(f"{tmp_path}/a:b")
