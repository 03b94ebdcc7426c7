from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from cachestore.errors import MissingExtra, SettingsError
from cachestore.index import Index, open_index, opening
from tests.contracts.index import entry


def opened(address: str | None, **changes: Any) -> Index:
    options: dict[str, Any] = {"directory": None, "store_id": never, "remote": False, "timeout": 5.0}
    return open_index(address, **{**options, **changes})


def never() -> str:
    raise AssertionError("the store was asked for its id")


@pytest.fixture
def on_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "network_filesystem", lambda path: "nfs4")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("/data/x.sqlite", "sqlite:////data/x.sqlite"),
        ("sqlite:////data/x.sqlite", "sqlite:////data/x.sqlite"),
        ("sqlite+pysqlite:////data/x.sqlite", "sqlite:////data/x.sqlite"),
        ("x.sqlite", "sqlite:///{cwd}/x.sqlite"),
        ("sqlite:///x.sqlite", "sqlite:///{cwd}/x.sqlite"),
        ("~/x.sqlite", "sqlite:///{home}/x.sqlite"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite://"),
        ("postgresql://ana:pa55@db/cache", "postgresql://ana@db/cache"),
        ("postgres://ana:pa55@db/cache", "postgresql://ana@db/cache"),
        ("postgresql+psycopg://db/cache?password=pa55", "postgresql://db/cache"),
    ],
)
def test_addresses(address: str, url: str) -> None:
    index = opened(address, directory=Path("/elsewhere"), remote=True)
    assert index.url == url.format(cwd=Path.cwd(), home=Path.home())
    assert not index.private


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("postgresql:/db/cache", "scheme that is not known"),
        ("mysql://db/cache", "scheme that is not known"),
        ("postgresql+psycopg2://ana:pa55@db/cache", "scheme that is not known"),
        ("sqlite://data/x.sqlite", "three slashes"),
        ("sqlite:////data/x.sqlite?mode=ro", "options"),
        ("postgresql://ana:pa55@db:port/cache", "cannot be read as an address.*'port'"),
        ("postgresql://ana:pa55@db", "names no database"),
        ("postgresql://", "names no database"),
    ],
)
def test_addresses_without_a_meaning(address: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        opened(address)
    assert "pa55" not in str(caught.value)


def test_postgresql_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'cachestore\[postgres\]'") as caught:
        opened("postgresql://ana:pa55@db/cache")
    assert "pa55" not in str(caught.value)
    assert importlib.util.find_spec("psycopg") is not None


def test_a_local_store_has_its_index_beside_the_blobs(tmp_path: Path) -> None:
    index = opened(None, directory=tmp_path)
    index.record([entry(1)])
    assert (tmp_path / "index.sqlite").is_file()
    assert (index.url, index.private) == (f"sqlite:///{tmp_path}/index.sqlite", False)
    index.close()


def test_a_store_in_memory_has_its_index_there() -> None:
    index = opened(None)
    assert (index.url, index.private) == ("sqlite://", False)


@pytest.mark.parametrize("directory", [None, "local"])
@pytest.mark.usefixtures("on_nfs")
def test_otherwise_the_index_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    index = opened(
        None, directory=directory and tmp_path / directory, remote=directory is None, store_id=lambda: "5e1f"
    )
    assert index.private
    assert "store id" in index.url
    index.record([entry(1)])
    assert (tmp_path / "cachestore" / "5e1f.sqlite").is_file()
    index.close()


@pytest.mark.parametrize("address", ["/data/x.sqlite", "sqlite:////data/x.sqlite"])
@pytest.mark.usefixtures("on_nfs")
def test_an_sqlite_file_on_a_network_filesystem_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match=r"network filesystem \(nfs4\).*postgresql://"):
        opened(address)
