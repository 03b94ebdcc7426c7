"""A near directory before a team's store: what was used here is read here, and nothing goes wrong with it."""

import json
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import cachestore
from cachestore.cache import opened
from cachestore.cache.verify import verify
from cachestore.memory import Memory

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _without_credentials(alone, tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def place(moto_server, proxy_to):
    """A fresh place on a server, and a proxy in front of it that counts."""
    proxy = proxy_to(moto_server.endpoint_url)
    # It takes any credentials.
    options = moto_server.storage_options | {
        "endpoint_url": proxy.endpoint_url, "key": "a-key-of-ana", "secret": "hunter2-very-secret",
    }  # fmt: skip
    return moto_server.fresh_location(), options, proxy


@pytest.fixture
def remember(place, tmp_path):
    """A function that opens the Memory of another process, in this one."""

    def remember(**settings):
        location, options, _ = place
        settings.setdefault("near", tmp_path / "near")
        return Memory(location, verbose=0, backend_options={"storage_options": options}, **settings)

    return remember


def work(size, fill=7):
    computed.append(size)
    return random.Random(fill).randbytes(size)


computed: list[int] = []


@pytest.fixture(autouse=True)
def nothing_computed():
    computed.clear()


def gets_of_blobs(proxy):
    return [
        path
        for method, path in proxy.requests
        if method == "GET" and "/blobs/" in path and "-warm-" not in path
    ]


def near_blobs(tmp_path):
    return list(tmp_path.glob("near/*/blobs/*/*"))


def forget_open_caches():
    """Make the next opening a fresh one, as in another process."""
    from cachestore.cache import opening

    for cache in opened():
        cache.close()
    opening._opened.clear()


@pytest.mark.parametrize("size", [100, 5 * 2**20 + 3, 36 * 2**20])
def test_a_hit_comes_from_near_once_it_was_here(place, remember, tmp_path, size):
    proxy = place[2]
    elsewhere = remember(near=False).cache(work)
    value = elsewhere(size)
    assert not (tmp_path / "near").exists()
    forget_open_caches()
    assert remember().cache(work)(size) == value
    assert gets_of_blobs(proxy)
    assert len(near_blobs(tmp_path)) == 1
    forget_open_caches()
    proxy.requests.clear()
    assert remember().cache(work)(size) == value
    assert gets_of_blobs(proxy) == []
    assert computed == [size]


def test_what_is_computed_here_is_near_at_once(place, remember, tmp_path):
    proxy = place[2]
    memorised = remember().cache(work)
    value = memorised(3 * 2**20)
    proxy.requests.clear()
    assert memorised(3 * 2**20) == value
    assert gets_of_blobs(proxy) == []


@pytest.mark.parametrize("size", [100, 5 * 2**20 + 3])
def test_a_damaged_copy_is_given_up_for_the_far_one(remember, tmp_path, size):
    memorised = remember().cache(work)
    value = memorised(size)
    (copy,) = near_blobs(tmp_path)
    sound = copy.read_bytes()
    for place in (10, len(sound) // 2, len(sound) - 3):
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        copy.write_bytes(damaged)
        assert memorised(size) == value
        assert copy.read_bytes() == sound
    copy.write_bytes(b"")
    assert memorised(size) == value
    assert computed == [size]


def test_what_is_damaged_far_too_is_computed_again(place, remember, tmp_path):
    memorised = remember().cache(work)
    value = memorised(100)
    (copy,) = near_blobs(tmp_path)
    far = remember(near=False).store_backend.store
    (info,) = far.list("blobs/")
    for damage in (copy.write_bytes, lambda data: far.put(info.path, [data])):
        damage(b"garbage" * 100)
    with pytest.warns(cachestore.CachestoreWarning, match="cannot be used"):
        assert memorised(100) == value
    assert computed == [100, 100]
    assert memorised(100) == value
    assert len(verify(remember(near=False).store_backend).damaged) == 0


def test_no_name_near_holds_a_secret(place, remember, tmp_path, monkeypatch):
    remember().cache(work)(100)
    secrets = [place[1]["key"], place[1]["secret"]]
    for path in tmp_path.glob("near/**/*"):
        assert not any(secret in str(path.relative_to(tmp_path)) for secret in secrets)
        assert path.is_dir() or not any(secret.encode() in path.read_bytes() for secret in secrets)


def test_two_stores_never_mix(place, remember, tmp_path, moto_server):
    first = remember()
    first.cache(work)(100)
    other = Memory(
        moto_server.fresh_location(),
        verbose=0,
        backend_options={"storage_options": place[1]},
        near=tmp_path / "near",
    )
    other.cache(work)(100)
    assert computed == [100, 100]
    assert len(list((tmp_path / "near").iterdir())) == 2


def test_a_directory_has_no_copies(tmp_path):
    memory = Memory(tmp_path / "store", verbose=0, near=tmp_path / "near")
    memory.cache(work)(100)
    memory.flush()
    assert not (tmp_path / "near").exists()


def test_a_full_disk_is_told_once(remember, tmp_path):
    near = tmp_path / "near"
    near.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", near]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a filesystem")
    try:
        memorised = remember().cache(work)
        with pytest.warns(cachestore.CachestoreWarning) as told:
            values = [memorised(600_000, fill) for fill in range(4)]
        assert len(told) == 1
        assert "near" in str(told[0].message)
        assert [memorised(600_000, fill) for fill in range(4)] == values
        assert len(computed) == 4
    finally:
        forget_open_caches()
        subprocess.run(["umount", "--lazy", near], check=True)


def test_the_settings_name_it(place, tmp_path, monkeypatch):
    location, options, proxy = place
    monkeypatch.setenv("CACHESTORE_STORAGE_OPTIONS", json.dumps(options))
    (tmp_path / "cachestore.toml").write_text(
        f'location = "{location}"\nnear = "copies"\nnear_limit = "2MB"\nwrite_behind = true\n'
    )
    memory = cachestore.open()
    settings = memory.store_backend.settings
    assert (settings.near, settings.near_bytes, settings.write_behind) == (
        str(tmp_path / "copies"),
        2_000_000,
        True,
    )
    memory.cache(work)(100)
    memory.flush()
    assert "PUT" in proxy.methods
    assert list(tmp_path.glob("copies/*/blobs/*/*"))
    assert cachestore.open(near="elsewhere").store_backend.settings.near == str(tmp_path / "elsewhere")
    assert cachestore.open(near=False).store_backend.settings.near is False
    for wrong in (True, "", "s3://bucket/near"):
        with pytest.raises(cachestore.SettingsError, match="near"):
            cachestore.open(near=wrong)


def test_a_pickle_keeps_to_the_near_directory_of_the_machine(place, remember, tmp_path, monkeypatch):
    import pickle

    pickled = pickle.dumps(remember())
    forget_open_caches()
    location, options, _ = place
    monkeypatch.setenv("CACHESTORE_STORAGE_OPTIONS", json.dumps(options))
    monkeypatch.setenv("CACHESTORE_LOCATION", location)
    assert pickle.loads(pickled).store_backend.settings.near == str(tmp_path / "near")
    forget_open_caches()
    monkeypatch.setenv("CACHESTORE_NEAR", str(tmp_path / "here"))
    settings = pickle.loads(pickled).store_backend.settings
    assert settings.near == str(tmp_path / "here")
    assert dict(settings.storage_options) == options


WORK = """
import os, signal, sys, random
import cachestore

memory = cachestore.open()

@memory.cache
def work(number):
    print("computing", number, flush=True)
    return random.Random(number).randbytes(20_000 + number)

def right(number):
    return work(number) == random.Random(number).randbytes(20_000 + number)
"""


@pytest.fixture
def environ(place, tmp_path):
    location, options, _ = place
    return {
        "CACHESTORE_LOCATION": location,
        "CACHESTORE_STORAGE_OPTIONS": json.dumps(options),
        "CACHESTORE_NEAR": str(tmp_path / "near"),
        "CACHESTORE_TIMEOUT": "20",
    }


@pytest.fixture
def far_blobs(place):
    """A function that counts the sound blobs in the far store, and finds no other."""

    def count():
        location, options, _ = place
        memory = Memory(location, verbose=0, backend_options={"storage_options": options}, near=False)
        try:
            found = verify(memory.store_backend)
        finally:
            forget_open_caches()
        assert found.damaged == ()
        return found.checked

    return count


def test_commands_look_at_the_store_and_not_at_copies_of_it(python, command, environ, remember, tmp_path):
    python(WORK + "assert all(right(number) for number in range(3))", environ=environ)
    assert len(near_blobs(tmp_path)) == 3
    far = remember(near=False).store_backend.store
    damaged = near_blobs(tmp_path)[0].name
    content = bytearray(near_blobs(tmp_path)[0].read_bytes())
    content[1000] ^= 0xFF
    far.put(f"blobs/{damaged[:2]}/{damaged}", [content])
    verified = command("verify", "--json", environ=environ)
    assert verified.returncode == 1
    assert [finding["key"] for finding in json.loads(verified.stdout)["damaged"]] == [damaged]
    # What it removes is gone from this machine too.
    collected = command("gc", "--max-entries", "0", "--yes", "--private-index", environ=environ)
    assert collected.returncode == 0, collected.stderr
    assert near_blobs(tmp_path) == []
    assert list(far.list("blobs/")) == []


END = {
    "normal": "",
    "error": "raise SystemExit(3)",
    "flushed": "memory.flush(); os._exit(0)",
    "multiprocessing": (
        "import multiprocessing\n"
        "child = multiprocessing.get_context('fork').Process(target=lambda: right(7))\n"
        "child.start(); child.join(); assert child.exitcode == 0"
    ),
    "forked": "\nif not os.fork():\n    right(7); memory.flush(); os._exit(0)\nos.wait()",
}


@pytest.mark.parametrize("end", END)
def test_what_was_put_behind_is_far_when_the_process_has_ended(python, environ, far_blobs, end):
    code = WORK + "assert all(right(number) for number in range(6))\n" + END[end]
    ran = python(code, environ=environ | {"CACHESTORE_WRITE_BEHIND": "true"}, check=False)
    assert ran.stderr == ""
    assert ran.returncode == (3 if end == "error" else 0)
    assert far_blobs() == 6 + (end in {"multiprocessing", "forked"})


def test_what_a_process_left_that_ended_at_once_the_next_one_sends(python, environ, far_blobs):
    behind = environ | {"CACHESTORE_WRITE_BEHIND": "true"}
    python(WORK + "right(0); os._exit(0)", environ=behind)
    ran = python(WORK + "assert right(0); memory.flush()", environ=behind)
    assert ran.stdout == ""
    assert far_blobs() == 1


def test_kills_lose_entries_and_nothing_else(place, environ, tmp_path, far_blobs):
    script = tmp_path / "script.py"
    script.write_text(WORK + "assert all(right(number) for number in range(40))\nmemory.flush()\n")
    command = [sys.executable, str(script)]
    environ = {**os.environ, **environ, "CACHESTORE_WRITE_BEHIND": "true", "PYTHONPATH": str(REPOSITORY)}
    for kill in range(int(os.environ.get("CACHESTORE_SOAK_KILLS", 8))):
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # Somewhere after the first of them, while others are computed and sent.
        process.stdout.readline()
        time.sleep(random.Random(kill).random() * 0.1)
        process.send_signal(signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
        assert said == ""
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert far_blobs() == 40
    again = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert list(tmp_path.glob("near/*/waiting/*")) == []


SHARED = """
import os, sys
os.umask(0o077)
import ctypes.util, getpass, pprint, random, uuid, blosc2, cachestore
# Python itself may lie where only root gets: what is imported late is imported now.
from cachestore import Memory
location = os.environ["CACHESTORE_LOCATION"]
options = {"storage_options": __import__("json").loads(os.environ["CACHESTORE_STORAGE_OPTIONS"])}
warm = Memory(f"{location}-warm-{os.getpid()}", verbose=0, near=sys.argv[2] + "-warm", backend_options=options)
for _ in range(2):
    warm.eval(random.Random(0).randbytes, 3_000_000)
warm.store_backend.close()
os.setgroups([4242]); os.setgid(4242); os.setuid(int(sys.argv[1]))
os.environ["XDG_CACHE_HOME"] = sys.argv[2]
os.environ["CACHESTORE_USER"] = sys.argv[1]
memory = cachestore.open()
computed = []
def work(number):
    computed.append(number)
    return random.Random(number).randbytes(3_000_000)
work.__module__ = "team"
work = memory.cache(work, version="1")
for number in map(int, sys.argv[3:]):
    assert work(number) == random.Random(number).randbytes(3_000_000)
memory.flush()
print(computed)
"""


@pytest.fixture
def open_to_all():
    """A directory that everybody may enter: pytest closes its own to all but its user at every start."""
    with tempfile.TemporaryDirectory(prefix="cachestore-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is several people")
@pytest.mark.parametrize("write_behind", ["false", "true"])
def test_two_people_of_a_group_share_a_near_directory(place, environ, open_to_all, far_blobs, write_behind):
    near = open_to_all / "near"
    near.mkdir()
    os.chown(near, -1, 4242)
    near.chmod(0o2770)
    script = open_to_all / "script.py"
    script.write_text(SHARED)
    proxy = place[2]

    def run(user, *numbers):
        home = open_to_all / f"home-{user}"
        home.mkdir(exist_ok=True)
        os.chown(home, user, 4242)
        ran = subprocess.run(
            [sys.executable, str(script), str(user), str(home), *map(str, numbers)],
            env={
                **os.environ, **environ, "CACHESTORE_WRITE_BEHIND": write_behind, "HOME": str(home),
                "CACHESTORE_NEAR": str(near), "PYTHONPATH": str(REPOSITORY),
            },
            cwd=home, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert not ran.stderr, ran.stderr
        assert ran.returncode == 0
        return ran.stdout.strip()

    assert run(4301, 0, 1) == "[0, 1]"
    proxy.requests.clear()
    assert run(4302, 1, 0) == "[]"
    assert gets_of_blobs(proxy) == []
    assert run(4302, 2) == "[2]"
    assert run(4301, 2, 1) == "[]"
    # Whoever it was: each may give up what the other one made.
    assert all(stat.S_IMODE(folder.stat().st_mode) & 0o070 == 0o070 for folder in near.glob("*/**/"))
    assert far_blobs() == 3


# ---- offline


def test_offline_what_lies_near_answers_and_nothing_is_asked(place, remember, tmp_path):
    proxy = place[2]
    memory = remember()
    memorised = memory.cache(work)
    value = memorised(100)
    large = memorised(9 * 2**20)
    remember(near=False).cache(work)(50)
    memory.flush()
    memory.store_backend.close()
    forget_open_caches()
    memory = remember()
    memorised = memory.cache(work)
    computed.clear()
    proxy.requests.clear()
    with memory.offline():
        assert (memorised(100), memorised(9 * 2**20)) == (value, large)
        assert memorised.call_and_shelve(100).get() == value
        assert memorised.check_call_in_cache(100)
        # A colleague has it, and a new one is stored nowhere.
        assert (len(memorised(50)), len(memorised(60)), len(memorised(60))) == (50, 60, 60)
    assert computed == [50, 60, 60]
    assert proxy.requests == []
    assert len(memorised(50)) == 50
    assert computed == [50, 60, 60]


def test_offline_without_a_near_directory_everything_is_computed(place, remember):
    proxy = place[2]
    memory = remember(near=False)
    memorised = memory.cache(work)
    memorised(100)
    proxy.requests.clear()
    with memory.offline():
        memorised(100)
    assert proxy.requests == []
    assert computed == [100, 100]


def test_offline_results_wait_near_where_they_are_written_behind(place, remember, monkeypatch):
    proxy = place[2]
    monkeypatch.setenv("CACHESTORE_WRITE_BEHIND", "true")
    memory = remember()
    memorised = memory.cache(work)
    memorised(50)
    memory.flush()
    proxy.requests.clear()
    with memory.offline():
        value = memorised(100)
        assert memorised(100) == value
        time.sleep(0.2)
    assert computed == [50, 100]
    assert proxy.requests == []
    memory.flush()
    assert [path for method, path in proxy.requests if method == "PUT" and "/blobs/" in path]
    assert remember(near=False).cache(work)(100) == value
    assert computed == [50, 100]
    # Its row comes when it is used.
    memorised(100)
    memory.store_backend.merge_uses()
    assert memory.store_backend.index.statistics().entries == 2
