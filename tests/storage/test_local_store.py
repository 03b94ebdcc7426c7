from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import LocalStore, ObjectInfo, blob_path, is_temporary
from tests.contracts.object_store import KEY, ObjectStoreContract

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


class TestLocalStore(ObjectStoreContract):
    @pytest.fixture
    def reopen(self, tmp_path):
        return lambda: LocalStore(tmp_path / "store")

    def test_it_is_a_local_directory(self, store, tmp_path):
        assert store.directory() == tmp_path / "store"
        assert store.remote is False


class TestWithoutLinks(ObjectStoreContract):
    """A filesystem such as exFAT, or a mount of somebody else's."""

    @pytest.fixture
    def reopen(self, tmp_path):
        return lambda: LocalStore(tmp_path / "store")

    @pytest.fixture(autouse=True, params=["EPERM", "EOPNOTSUPP", "ENOSYS"])
    def _no_links(self, monkeypatch, request):
        number = getattr(errno, request.param)

        def refuse(*arguments, **options):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "link", refuse)

    def test_what_a_create_does_not_replace_stays_whole(self, store, tmp_path):
        assert store.create("marks/a", b"first")
        assert not store.create("marks/a", b"second")
        assert [file.read_bytes() for file in (tmp_path / "store/marks").iterdir()] == [b"first"]

    def test_nobody_comes_between_the_look_and_the_rename(self, store, monkeypatch):
        store.put("marks/b", [b"for its folder"])
        real = Path.exists

        def looked(path):
            found = real(path)
            threading.Event().wait(0.02)
            return found

        monkeypatch.setattr(Path, "exists", looked)
        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(lambda name: store.create("marks/a", b"%d" % name), range(4)))
        assert won.count(True) == 1
        assert store.get("marks/a") == b"%d" % won.index(True)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def umask():
    """Set the umask to what is given, and back afterwards."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture
def as_nobody(tmp_path):
    """A function that runs a statement about `store` as an unprivileged user and returns the error it prints."""
    # pytest's directories are the test user's alone.
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("test_", "popen-", "pytest-")):
            folder.chmod(folder.stat().st_mode | 0o011)

    def run(root: Path, statement: str) -> str:
        # Checkout and interpreter may lie where only root gets: read the modules first, then change the user.
        code = (
            "import os\n"
            "from cachestore.errors import StorageError\n"
            "from cachestore.storage import LocalStore, open_store\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534); os.umask(0o022)\n"
            f"store = LocalStore({str(root)!r})\n"
            "try:\n"
            f"    {statement}\n"
            "except StorageError as error:\n"
            "    print(f'{type(error).__name__}(transient={error.transient}): {error}')\n"
        )
        command = [sys.executable, "-c", code]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_reading_makes_no_directory(store, tmp_path):
    with pytest.raises(ObjectNotFound):
        store.get_suffix("store.json", 10)
    assert list(store.list("")) == []
    store.delete(["marks/a"])
    assert not (tmp_path / "store").exists()


def test_a_relative_directory_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = LocalStore("store")
    store.put("marks/a", [b"1"])
    monkeypatch.chdir("/")
    assert store.get("marks/a") == b"1"


def test_git_ignores_the_store(store, tmp_path):
    store.put("marks/a", [b"1"])
    assert (tmp_path / "store/.gitignore").read_text() == "*\n"
    assert [info.path for info in store.list("")] == ["marks/a"]


def test_a_gitignore_that_is_there_stays(store, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/.gitignore").write_text("!keep\n")
    store.put("marks/a", [b"1"])
    assert (tmp_path / "store/.gitignore").read_text() == "!keep\n"


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)]
)
def test_the_umask_decides_in_a_place_of_ones_own(store, tmp_path, umask, mask, file, folder):
    umask(mask)
    store.put("marks/a", [b"1"])
    store.create("marks/b", b"1")
    assert mode_of(tmp_path / "store") == folder
    assert mode_of(tmp_path / "store/marks") == folder
    assert mode_of(tmp_path / "store/marks/a") == file
    assert mode_of(tmp_path / "store/marks/b") == file
    assert mode_of(tmp_path / "store/.gitignore") == file


@as_root
def test_the_group_of_the_location_may_do_what_it_may_there(store, tmp_path, umask):
    umask(0o077)
    root = tmp_path / "store"
    root.mkdir()
    os.chown(root, -1, 12345)
    root.chmod(0o2770)
    store.put(blob_path(KEY), [b"1"])
    store.create("store.json", b"1")
    for folder in ("blobs", "blobs/ab"):
        assert mode_of(root / folder) == 0o2770
        assert (root / folder).stat().st_gid == 12345
    for file in (blob_path(KEY), "store.json", ".gitignore"):
        assert mode_of(root / file) == 0o660
        assert (root / file).stat().st_gid == 12345


@as_root
def test_a_new_store_in_a_shared_directory_is_shared(tmp_path, umask):
    umask(0o022)
    os.chown(tmp_path, -1, 12345)
    tmp_path.chmod(0o2775)
    LocalStore(tmp_path / "team/store").put("marks/a", [b"1"])
    for folder in ("team", "team/store", "team/store/marks"):
        assert mode_of(tmp_path / folder) == 0o2775
        assert (tmp_path / folder).stat().st_gid == 12345


@as_root
def test_no_rights_for_a_group_that_is_not_the_locations(tmp_path, as_nobody):
    tmp_path.chmod(0o755)
    root = tmp_path / "store"
    root.mkdir()
    os.chown(root, 65534, 12345)
    root.chmod(0o770)
    written = as_nobody(root, "store.put('marks/a', [b'1'])")
    assert written == ""
    # nobody is no member of group 12345: the right to write was not meant for nogroup.
    assert mode_of(root / "marks/a") == 0o644


@as_root
def test_a_directory_that_may_not_be_read(store, tmp_path, as_nobody):
    store.put("marks/a", [b"1"])
    (tmp_path / "store").chmod(0o700)
    said = as_nobody(tmp_path / "store", "store.get('marks/a')")
    assert said.startswith("StorageError(transient=False): Cannot read 'marks/a' in ")
    assert "Permission denied. Ask the owner for access" in said
    assert "\n" not in said.strip()
    assert "Permission denied" in as_nobody(tmp_path / "store", "store.put('marks/b', [b'1'])")
    assert "Permission denied" in as_nobody(tmp_path / "store", "list(store.list(''))")
    assert "Permission denied" in as_nobody(tmp_path / "store/inner", "open_store(store.url).get('marks/a')")


def test_a_file_in_place_of_the_directory(store, tmp_path):
    (tmp_path / "store").write_text("not a directory")
    for work in (
        lambda: store.get("marks/a"),
        lambda: store.put("marks/a", [b"1"]),
        lambda: store.create("marks/a", b"1"),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StorageError, match="A file is where a directory should be") as caught:
            work()
        assert not isinstance(caught.value, ObjectNotFound)
        assert caught.value.transient is False


def test_a_file_in_place_of_a_folder(store, tmp_path):
    store.put("marks", [b"1"])
    with pytest.raises(StorageError, match="A file is where a directory should be"):
        store.put("marks/a", [b"1"])


@as_root
def test_a_full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        store = LocalStore(disk)
        store.put("marks/a", [b"first"])
        with pytest.raises(StorageError, match="Free some space") as caught:
            store.put("marks/a", [2**20 * b"x", 2**20 * b"x"])
        assert caught.value.transient is False
        assert store.get("marks/a") == b"first"
        assert [info.path for info in store.list("")] == ["marks/a"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_a_dead_writer_left_is_listed_and_can_be_deleted(store, tmp_path):
    store.put("marks/a", [b"1"])

    def parts():
        yield b"12345"
        # What is there in the middle of a put is what a SIGKILL would leave.
        shutil.copytree(tmp_path / "store", tmp_path / "crashed")
        yield b"67890"

    store.put("marks/a", parts())
    crashed = LocalStore(tmp_path / "crashed")
    assert crashed.get("marks/a") == b"1"
    (left,) = [info for info in crashed.list("") if is_temporary(info.path)]
    assert isinstance(left, ObjectInfo)
    assert left.path.startswith("marks/")
    crashed.delete([left.path])
    assert [info.path for info in crashed.list("")] == ["marks/a"]


def test_the_directory_that_vanishes_is_made_again(store, tmp_path):
    store.put("marks/a", [b"1"])
    shutil.rmtree(tmp_path / "store")
    store.put("marks/deep/a", [b"2"])
    assert store.get("marks/deep/a") == b"2"


def test_everything_is_synced_before_it_has_its_name(store, monkeypatch):
    store.put("marks/before", [b"1"])
    done = []
    for name in ("fsync", "rename", "replace", "link"):
        real = getattr(os, name)

        def noted(*args, name=name, real=real, **kwargs):
            target = stat.S_ISDIR(os.fstat(args[0]).st_mode) if name == "fsync" else None
            done.append((name, "directory" if target else "file") if name == "fsync" else (name,))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, noted)
    store.put("marks/a", [b"1"])
    assert done == [("fsync", "file"), ("replace",), ("fsync", "directory")]
    done.clear()
    store.create("marks/b", b"1")
    assert done == [("fsync", "file"), ("link",), ("fsync", "directory")]


def test_a_hit_imports_nothing_heavy(store):
    store.put("marks/a", [b"1"])
    code = (
        "import sys\n"
        "from cachestore.storage import open_store\n"
        f"assert open_store({store.url!r}).get_suffix('marks/a', 2**20) == b'1'\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(ran.stdout.split())
    assert not loaded & {"fsspec", "s3fs", "numpy", "sqlalchemy", "asyncio", "botocore", "blosc2"}


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 100_000])
def test_small_objects_are_at_hand(tmp_path, size):
    store = LocalStore(tmp_path)
    store.put("blobs/a", [bytes(size)])
    assert store.at_hand("blobs/a") == (bytes(size) if size < 16_384 else None)
    assert store.at_hand("blobs") is None
    with pytest.raises(ValueError):
        store.at_hand("../a")
