from __future__ import annotations

import itertools
import resource
import tempfile
import threading
import time
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone

import aiohttp
import fsspec
import pytest
import requests
from fsspec.implementations.local import LocalFileSystem

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import is_temporary
from cachestore.storage.deadline import deadline
from cachestore.storage.fsspec_store import Capabilities, FsspecStore, modified_of
from cachestore.storage.guarded_store import GuardedStore
from cachestore.storage.opening import open_store
from tests.contracts.object_store import ObjectStoreContract

_numbers = itertools.count()

MIB = 2**20


class FileServer(LocalFileSystem):
    """Stands for a file server: half-written files show, and no suffixes or exclusive creates."""

    protocol = "fileserver"

    def __init__(self, *args, **kwargs):
        # A real one has its errors; a missing directory is one.
        super().__init__(*args, auto_mkdir=False, **kwargs)


@pytest.fixture(autouse=True)
def file_server():
    fsspec.register_implementation("fileserver", FileServer, clobber=True)


class TestMemory(ObjectStoreContract):
    shared_by_processes = False
    exclusive_across_processes = False

    @pytest.fixture
    def reopen(self):
        location = f"memory://store-{next(_numbers)}"
        return lambda: open_store(location)

    def test_it_crosses_no_network(self, store):
        assert store.remote is False
        assert store.directory() is None


class TestMemoryWithoutAName(ObjectStoreContract):
    shared_by_processes = False
    exclusive_across_processes = False

    @pytest.fixture
    def reopen(self):
        fsspec.filesystem("memory").store.clear()
        yield lambda: open_store("memory://")
        fsspec.filesystem("memory").store.clear()


class TestFileServer(ObjectStoreContract):
    exclusive_across_processes = False

    @pytest.fixture
    def reopen(self, tmp_path):
        (tmp_path / "served").mkdir()
        return lambda: FsspecStore(f"fileserver://{tmp_path}/served/store", capabilities=Capabilities())

    def test_a_put_that_fails_half_way_leaves_nothing(self, store, monkeypatch):
        store.put("marks/a", [b"first"])

        def fail(self, path, data, **options):
            with self.open(path, "wb") as stream:
                stream.write(data[:3])
            raise OSError("the server went away")

        monkeypatch.setattr(FileServer, "pipe_file", fail)
        with pytest.raises(StorageError, match="went away"):
            store.put("marks/a", [b"second"])
        assert store.get("marks/a") == b"first"
        assert not any(is_temporary(info.path) for info in store.list(""))


class Whole(FileServer):
    """Stands for a cloud store, where a file appears when it is complete."""

    protocol = "whole"

    def __init__(self, *args, **kwargs):
        LocalFileSystem.__init__(self, *args, auto_mkdir=True, **kwargs)


@pytest.mark.parametrize("whole_puts", [False, True])
class TestLargePuts:
    @pytest.fixture
    def store(self, tmp_path, whole_puts):
        fsspec.register_implementation("whole", Whole, clobber=True)
        (tmp_path / "served").mkdir()
        protocol = "whole" if whole_puts else "fileserver"
        capabilities = Capabilities(whole_puts=whole_puts)
        return FsspecStore(f"{protocol}://{tmp_path}/served/store", capabilities=capabilities)

    def test_they_are_not_held_in_memory(self, store):
        tracemalloc.start()
        store.put("marks/a", (bytes([number]) * MIB for number in range(100)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 40 * MIB
        assert store.get_range("marks/a", 99 * MIB - 1, 99 * MIB + 1) == b"bc"
        assert [info.size for info in store.list("")] == [100 * MIB]

    def test_what_breaks_off_never_reaches_the_server(self, store, monkeypatch):
        monkeypatch.setattr(LocalFileSystem, "put_file", lambda *args, **options: pytest.fail("sent"))

        def parts():
            yield 20 * MIB * b"x"
            raise RuntimeError("after all")

        with pytest.raises(RuntimeError, match="after all"):
            store.put("marks/a", parts())
        assert list(store.list("")) == []

    def test_a_directory_for_temporary_files_that_is_missing_is_named(self, store, monkeypatch, tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        with pytest.raises(
            StorageError, match=f"Free space in {tmp_path}/missing, or name another"
        ) as caught:
            store.put("marks/a", [20 * MIB * b"x"])
        assert "Cannot write 'marks/a' in " in str(caught.value)
        assert not isinstance(caught.value, ObjectNotFound)

    def test_a_directory_for_temporary_files_that_is_full_is_named(self, store):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10 * MIB + 5, before[1]))
        try:
            with pytest.raises(StorageError, match="TMPDIR"):
                store.put("marks/a", [20 * MIB * b"x"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(store.list("")) == []

    def test_an_error_of_who_makes_the_parts_stays_what_it_is(self, store):
        def parts():
            yield 20 * MIB * b"x"
            raise OSError("their own")

        with pytest.raises(OSError, match="their own"):
            store.put("marks/a", parts())

    def test_a_server_that_fails_half_way(self, store, monkeypatch, whole_puts):
        def fail(self, name, path, **options):
            if not whole_puts:
                with self.open(path, "wb") as stream:
                    stream.write(b"half")
            raise ConnectionResetError("gone")

        monkeypatch.setattr(LocalFileSystem, "put_file", fail)
        with pytest.raises(StorageError, match="gone"):
            store.put("marks/a", [20 * MIB * b"x"])
        assert list(store.list("")) == []


@pytest.fixture
def blocked(tmp_path, monkeypatch):
    """A file server whose reads never come back, and the event that frees them."""
    free = threading.Event()
    monkeypatch.setattr(FileServer, "cat_file", lambda self, path, **options: free.wait(30))
    yield FsspecStore(f"fileserver://{tmp_path}/store", capabilities=Capabilities(), timeout=0.2)
    free.set()


def test_a_server_that_blocks_is_left_behind(blocked):
    before = time.monotonic()
    with pytest.raises(StorageError, match="no answer in time") as caught:
        blocked.get_range("marks/a", 0, 10)
    assert caught.value.transient
    assert time.monotonic() - before < 5


def test_what_is_read_whole_is_taken_for_small(blocked):
    before = time.monotonic()
    with pytest.raises(StorageError, match="no answer in time"):
        blocked.get("store.json")
    assert time.monotonic() - before < 5


def test_no_request_is_begun_after_the_deadline(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(FileServer, "cat_file", lambda self, path, **options: asked.append(path))
    store = FsspecStore(f"fileserver://{tmp_path}/store", capabilities=Capabilities())
    with deadline(0.0), pytest.raises(StorageError, match="no time left"):
        store.get("marks/a")
    assert asked == []


def test_a_name_that_two_processes_took_belongs_to_the_last(tmp_path, monkeypatch):
    store = FsspecStore(f"fileserver://{tmp_path}/store", capabilities=Capabilities())
    real = FileServer.mv

    def overtaken(self, *args, **kwargs):
        real(self, *args, **kwargs)
        (tmp_path / "store/marks/lease").write_bytes(b"ben")

    monkeypatch.setattr(FileServer, "mv", overtaken)
    assert store.create("marks/lease", b"ana") is False


def test_a_create_whose_reply_was_lost_finds_its_own_data(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    store = GuardedStore(FsspecStore(f"fileserver://{tmp_path}/store", capabilities=Capabilities()))
    real, lost = FileServer.mv, [ConnectionResetError("gone")]

    def mv(self, *args, **kwargs):
        real(self, *args, **kwargs)
        if lost:
            raise lost.pop()

    monkeypatch.setattr(FileServer, "mv", mv)
    assert store.create("marks/lease", b"ana") is True
    assert lost == []
    assert store.create("marks/lease", b"ben") is False


def test_folder_markers_are_no_objects(tmp_path, monkeypatch):
    found = {
        "/store/marks/": {"name": "/store/marks/", "size": 0, "type": "file"},
        "/store/marks/a": {"name": "/store/marks/a", "size": 1, "type": "file"},
        "/store/b": {"name": "/store/b", "size": 0, "type": "directory"},
    }
    monkeypatch.setattr(FileServer, "find", lambda self, path, **options: found)
    store = FsspecStore("fileserver:///store", capabilities=Capabilities())
    assert [info.path for info in store.list("")] == ["marks/a"]


class HttpError(Exception):
    """As gcsfs raises it, which keeps the number as `code`."""

    __module__ = "gcsfs.retry"

    def __init__(self, code, message):
        super().__init__(f"{message}, {code}")
        self.code = code


class ChecksumError(Exception):
    """As gcsfs raises it."""

    __module__ = "gcsfs.retry"


def answered(status: int) -> aiohttp.ClientResponseError:
    request = aiohttp.RequestInfo("http://storage/b/o", "GET", {}, "http://storage/b/o")
    return aiohttp.ClientResponseError(request, (), status=status, message="said so")


@pytest.mark.parametrize(
    ("error", "transient", "said"),
    [
        (HttpError(503, "Backend Error"), True, "Try again later"),
        (HttpError("429", "Too Many Requests"), True, "Try again later"),
        (HttpError(401, "Invalid Credentials"), False, "Use other credentials"),
        (HttpError(400, "odd"), False, "Look at the location"),
        (OSError("Forbidden: https://storage/b/o\nana has no access"), False, "Use other credentials"),
        (ChecksumError(), True, "Look at the network"),
        (requests.exceptions.ProxyError(), True, "Look at the network"),
        (aiohttp.ClientPayloadError("Response payload is not completed"), True, "Look at the network"),
        (aiohttp.ServerDisconnectedError(), True, "Look at the network"),
        (answered(503), True, "Try again later"),
        (answered(403), False, "Use other credentials"),
        (answered(400), False, "Look at the location"),
        (PermissionError(13, "no"), False, "Use other credentials"),
        (ConnectionResetError("gone"), True, "Look at the network"),
        (TimeoutError(), True, "no answer in time"),
        (OSError(16, "busy"), True, "try again"),
        (OSError(28, "No space left"), False, "Free some space"),
        (RuntimeError("odd\nthing."), False, "RuntimeError: odd thing. Look at the location"),
        (NotImplementedError(), False, "NotImplementedError. Look at the location"),
    ],
)
def test_every_error_becomes_one_of_ours(tmp_path, monkeypatch, error, transient, said):
    def fail(self, path, **options):
        raise error

    monkeypatch.setattr(FileServer, "cat_file", fail)
    store = FsspecStore("fileserver:///store", capabilities=Capabilities())
    with pytest.raises(StorageError) as caught:
        store.get("marks/a")
    assert caught.value.transient is transient
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Cannot read 'marks/a' in fileserver:///store: " in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_server_that_is_busy_is_asked_again(tmp_path, monkeypatch):
    asked = []

    def busy(self, path, **options):
        asked.append(path)
        if len(asked) < 3:
            raise HttpError(503, "Backend Error")
        return b"1"

    monkeypatch.setattr(FileServer, "cat_file", busy)
    inner = FsspecStore(f"fileserver://{tmp_path}/store", capabilities=Capabilities())
    assert GuardedStore(inner, sleep=lambda seconds: None).get("marks/a") == b"1"


@pytest.mark.parametrize("fault", [503, 429, "cut"])
def test_a_server_that_fails_once_over_http(moto_server, proxy_to, fault):
    location = moto_server.fresh_location().removeprefix("s3://")
    bucket, _, prefix = location.partition("/")
    moto_server.client().put_object(
        Bucket=bucket, Key=f"{prefix}/marks/a", Body=b"some bytes", ACL="public-read"
    )
    proxy = proxy_to(moto_server.endpoint_url)
    proxy.fault = lambda number, method, path: fault if number == 0 else None
    inner = FsspecStore(f"{proxy.endpoint_url}/{location}", capabilities=Capabilities())
    assert GuardedStore(inner, sleep=lambda seconds: None).get("marks/a") == b"some bytes"
    assert proxy.methods == ["GET", "GET"]


@pytest.mark.parametrize("status", [416, "416"])
def test_a_range_beyond_the_end_is_empty_whoever_says_so(tmp_path, monkeypatch, status):
    def refuse(self, path, **options):
        raise HttpError(status, "Requested range not satisfiable")

    monkeypatch.setattr(FileServer, "cat_file", refuse)
    store = FsspecStore(f"fileserver://{tmp_path}/store", capabilities=Capabilities(suffix_ranges=True))
    assert store.get_suffix("marks/a", 10) == b""


def test_a_missing_folder_is_no_missing_object_when_writing(tmp_path, monkeypatch):
    def fail(self, path, data, **options):
        raise FileNotFoundError(path)

    monkeypatch.setattr(FileServer, "pipe_file", fail)
    store = FsspecStore(f"fileserver://{tmp_path}/store", capabilities=Capabilities())
    with pytest.raises(StorageError) as caught:
        store.put("marks/a", [b"1"])
    assert not isinstance(caught.value, ObjectNotFound)


def test_options_that_the_filesystem_refuses():
    store = FsspecStore("github://x", capabilities=Capabilities(), storage_options={"nonsense": object()})
    with pytest.raises(StorageError, match="Cannot open github://x") as caught:
        store.get("marks/a")
    assert caught.value.transient is False


def test_the_url_shows_no_password():
    store = FsspecStore("sftp://ana:pa55@host/path", capabilities=Capabilities())
    assert store.url == "sftp://ana@host/path"


MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "info",
    [
        {"LastModified": MOMENT},
        {"last_modified": MOMENT.astimezone(timezone(timedelta(hours=2)))},
        {"mtime": MOMENT.timestamp()},
        {"updated": "2026-03-01T12:00:00.000Z", "created": "2020-01-01T00:00:00Z"},
        {"created": MOMENT.replace(tzinfo=None)},
    ],
)
def test_modified_of(info):
    assert modified_of(info) == MOMENT
    assert modified_of(info).utcoffset() == timedelta(0)


def test_what_has_no_date_is_new():
    assert datetime.now(UTC) - modified_of({}) < timedelta(minutes=1)
