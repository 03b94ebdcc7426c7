"""A full disk, a directory or a bucket where nothing may be written: the value comes, one warning, nothing broken."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from pathlib import Path

import platformdirs  # noqa: F401 - read now: another account may not enter the folder that it lies in
import pytest

from cachestore import Memory
from cachestore.cache import open_cache
from cachestore.settings import Settings
from cachestore.storage import is_temporary
from tests.faults.calls import a_large_call, computed, one_call, told
from tests.faults.children import in_a_child
from tests.infra.test_iam import policy, reset_auth, user
from tests.servers.s3 import running_moto

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, or become somebody else")


@pytest.fixture
def work(place):
    """Make two calls in a process of its own; return how many it computed and how often it warned."""

    def run(location, *, user: int = 0, storage_options=None, **settings) -> tuple[int, int]:
        def calls() -> tuple[int, list[str]]:
            # Where a private index would be.
            os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = str(place / f"home of {user}")
            chosen = Settings(
                location=str(location), storage_options=storage_options or {}, user="ana", **settings
            )
            computed.clear()
            with told() as said:
                memory = Memory.over(open_cache(chosen))
                one_call(memory)
                a_large_call(memory)
                memory.store_backend.close()
            return len(computed), said

        code, found = in_a_child(calls, user=user, groups=(user,))
        assert code == 0, found
        return found[0], len(found[1])

    # Whatever is imported lazily is imported as root.
    run_once = Memory(place / "first", verbose=0)
    one_call(run_once)
    a_large_call(run_once)
    return run


@pytest.fixture
def mounted():
    """Mount file systems for a test; skips, saying why, where that is not allowed."""
    points: list[Path] = []

    def mount(*words: str, point: Path) -> None:
        ran = subprocess.run(["mount", *words, str(point)], capture_output=True, text=True, check=False)
        if ran.returncode:
            pytest.skip(f"nothing may be mounted here: {ran.stderr.strip()}")
        points.append(point)

    yield mount
    for point in reversed(points):
        subprocess.run(["umount", str(point)], check=True)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if is_temporary(str(path.relative_to(root)))]


@as_root
def test_a_full_disk(place, work, mounted):
    disk = place / "disk"
    disk.mkdir()
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", point=disk)
    # The small value fits, the large one of 1.4 MB does not.
    assert work(disk / "store") == (2, 1)
    assert leftovers(disk) == []
    assert work(disk / "store") == (1, 1)
    assert leftovers(disk) == []
    # With more room all is well: nothing has to be cleaned up first.
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    assert work(disk / "store") == (1, 0)
    assert work(disk / "store") == (0, 0)


@as_root
def test_a_disk_without_a_byte_left(place, work, mounted):
    disk = place / "disk"
    disk.mkdir()
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", point=disk)
    (disk / "other").write_bytes(bytes(2**20))
    assert work(disk / "store") == (2, 1)
    (disk / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    assert leftovers(disk) == []
    assert work(disk / "store") == (2, 0)
    assert work(disk / "store") == (0, 0)


@as_root
@pytest.mark.parametrize("warm", [False, True], ids=["empty", "with results"])
def test_a_disk_that_is_mounted_for_reading_only(place, work, mounted, warm):
    store, seen = place / "store", place / "seen"
    store.mkdir()
    seen.mkdir()
    if warm:
        work(store)
    mounted("--bind", str(store), point=seen)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(seen)], check=True)
    # Hits come as ever: only that they were used cannot be noted.
    computed, told = work(seen)
    assert (computed, told <= 1 if warm else told) == ((0, True) if warm else (2, 1))
    assert leftovers(store) == []
    assert work(store) == (0 if warm else 2, 0)
    assert work(store) == (0, 0)


@as_root
def test_a_directory_where_one_may_not_write(place, work):
    store = place / "store"
    store.mkdir(mode=0o755)
    assert work(store, user=65534) == (2, 1)
    assert list(store.iterdir()) == []
    assert work(store) == (2, 0)
    # Others may read what is there.
    for path in store.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    computed, told = work(store, user=65534)
    assert computed == 0
    assert told <= 1
    assert leftovers(store) == []


@as_root
def test_a_directory_that_one_may_not_enter(place, work):
    store = place / "store"
    work(store)
    store.chmod(0o700)
    assert work(store, user=65534) == (2, 1)
    assert work(store) == (0, 0)


@as_root
def test_a_folder_of_the_store_where_one_may_not_write(place, work):
    """One of the team made the folders with a umask of 077."""
    store = place / "store"
    work(store)
    store.chmod(0o777)
    for path in store.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in (store / "blobs").glob("*/*"):
        path.unlink()
    assert work(store, user=65534)[0] == 2
    assert leftovers(store) == []
    assert work(store) == (2, 0)


@pytest.fixture(scope="module")
def bucket_for_reading(tmp_path_factory):
    """A bucket where one user may write, one only read, and one nothing; the storage options of each."""
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[iam,s3,server]'")
    with running_moto(tmp_path_factory.mktemp("iam") / "output") as server:
        server.client().create_bucket(Bucket="team")
        iam = server.client("iam")
        reads = json.loads(policy("writer"))
        for statement in reads["Statement"]:
            allowed = statement["Action"]
            actions = [allowed] if isinstance(allowed, str) else allowed
            statement["Action"] = [each for each in actions if each in {"s3:GetObject", "s3:ListBucket"}]
        documents = {"writer": policy("writer"), "reader": json.dumps(reads), "nobody": None}
        users = {name: user(iam, name, document=document) for name, document in documents.items()}
        reset_auth(server, 0)
        yield {
            name: {**server.storage_options, "key": key, "secret": secret}
            for name, (key, secret) in users.items()
        }


def test_a_bucket_where_one_may_not_write(work, bucket_for_reading):
    def run(name: str) -> tuple[int, int]:
        return work("s3://team/cache", storage_options=bucket_for_reading[name])

    assert run("reader") == (2, 1)
    assert run("nobody") == (2, 1)
    assert run("writer") == (2, 0)
    assert run("reader") == (0, 0)
    assert run("nobody") == (2, 1)
    assert run("writer") == (0, 0)


@pytest.fixture
def work_near(place, work, moto_server):
    """Make the two calls over a bucket, with copies in the directory `near`, or elsewhere."""
    location, near = moto_server.fresh_location(), place / "near"
    near.mkdir()
    # The private index is nobody's trouble here.
    home = place / "home of 65534"
    home.mkdir()
    home.chmod(0o777)
    # Imported as root, as above.
    first = Settings(
        location=moto_server.fresh_location(),
        storage_options=moto_server.storage_options,
        near=str(place / "first near"),
    )
    with closing(open_cache(first)) as cache:
        one_call(Memory.over(cache))

    def run(write_behind: bool, *, user: int = 0, near: Path = near) -> tuple[int, int]:
        return work(
            location, user=user, storage_options=moto_server.storage_options,
            near=str(near), write_behind=write_behind,
        )  # fmt: skip

    return run


both_ways = pytest.mark.parametrize("write_behind", [False, True], ids=["through", "behind"])


@as_root
@both_ways
def test_a_near_directory_on_a_full_disk(place, work_near, mounted, write_behind):
    near = place / "near"
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", point=near)
    (near / "other").write_bytes(bytes(2**20))
    # What cannot be kept near is in the store all the same.
    assert work_near(write_behind) == (2, 1)
    assert work_near(write_behind) == (0, 1)
    assert work_near(write_behind, near=place / "another") == (0, 0)
    assert leftovers(near) == []
    (near / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(near)], check=True)
    assert work_near(write_behind) == (0, 0)
    assert len(list(near.glob("*/blobs/*/*"))) == 2


@as_root
@both_ways
@pytest.mark.parametrize("warm", [False, True], ids=["empty", "with copies"])
def test_a_near_directory_that_is_mounted_for_reading_only(place, work_near, mounted, warm, write_behind):
    near, seen = place / "near", place / "seen"
    seen.mkdir()
    if warm:
        assert work_near(write_behind) == (2, 0)
    mounted("--bind", str(near), point=seen)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(seen)], check=True)
    computed, told = work_near(write_behind, near=seen)
    assert (computed, told <= 1 if warm else told) == ((0, True) if warm else (2, 1))
    assert work_near(write_behind) == (0, 0)
    assert leftovers(near) == []


@as_root
@both_ways
def test_a_near_directory_of_somebody_else(place, work_near, write_behind):
    near = place / "near"
    near.chmod(0o755)
    assert work_near(write_behind, user=65534) == (2, 1)
    assert list(near.iterdir()) == []
    near.chmod(0o700)
    assert work_near(write_behind, user=65534) == (0, 1)
    assert work_near(write_behind) == (0, 0)
    # Somebody else's copies are as good as one's own.
    for path in [near, *near.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    computed, told = work_near(write_behind, user=65534)
    assert computed == 0
    assert told <= 1
