"""A cache that is ill does not stop a computation that is well; it says so once."""

import time

import pytest

WORK = """
import warnings, time
warnings.simplefilter("always")
import cachestore

cache = cachestore.open()

@cache.cache
def work(n):
    return n + 1

started = time.monotonic()
print([work(n) for n in range(5)])
"""


def told(ran):
    return ran.stderr.count("CachestoreWarning")


def test_a_store_that_refuses_connections(python, s3_server, at, refusing_address):
    options = at["CACHESTORE_STORAGE_OPTIONS"].replace(s3_server.endpoint_url, refusing_address)
    started = time.monotonic()
    ran = python(WORK, environ=at | {"CACHESTORE_STORAGE_OPTIONS": options})
    # Starting Python and importing s3fs counted.
    assert time.monotonic() - started < 30
    assert ran.stdout == "[1, 2, 3, 4, 5]\n"
    assert told(ran) == 1
    assert "The store is ill" in ran.stderr


def test_a_bucket_that_is_not_there(python, at):
    ran = python(WORK, environ=at | {"CACHESTORE_LOCATION": "s3://no-such-bucket-here/x"})
    assert ran.stdout == "[1, 2, 3, 4, 5]\n"
    assert told(ran) == 1
    assert "no-such-bucket-here" in ran.stderr


def test_wrong_credentials(python, seaweedfs, tmp_path):
    import json

    options = seaweedfs.storage_options | {"secret": "wrong"}
    environ = {
        "CACHESTORE_LOCATION": seaweedfs.fresh_location(),
        "CACHESTORE_STORAGE_OPTIONS": json.dumps(options),
    }
    ran = python(WORK, environ=environ)
    assert ran.stdout == "[1, 2, 3, 4, 5]\n"
    assert told(ran) == 1


def test_a_directory_that_cannot_be_written(python, tmp_path):
    """Root may write anywhere: a file stands where the directory would be."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "blobs").write_text("in the way")
    ran = python(WORK, environ={"CACHESTORE_LOCATION": str(tmp_path / "blocked")})
    assert ran.stdout == "[1, 2, 3, 4, 5]\n"
    assert told(ran) == 1


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 3000], ids=["empty", "garbage", "zeros"])
def test_damaged_blobs_are_computed_again(python, tmp_path, content):
    python(WORK)
    blobs = [path for path in (tmp_path / ".cachestore" / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 5
    blobs[0].write_bytes(content)
    ran = python(WORK)
    assert ran.stdout == "[1, 2, 3, 4, 5]\n"
    assert told(ran) == 1
    assert told(python(WORK)) == 0


@pytest.mark.parametrize("what", ["newer", "no database", "a directory"])
def test_an_index_that_cannot_be_used(python, tmp_path, what):
    python(WORK)
    index = tmp_path / ".cachestore" / "index.sqlite"
    if what == "newer":
        import sqlite3

        with sqlite3.connect(index) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
    else:
        for file in index.parent.glob("index.sqlite*"):
            file.unlink()
        if what == "a directory":
            index.mkdir()
        else:
            index.write_bytes(b"no database" * 1000)
    assert told(python(WORK)) == 0  # hits do not need it
    ran = python(WORK.replace("n + 1", "n + 2"))
    assert ran.stdout == "[2, 3, 4, 5, 6]\n"
    assert told(ran) == 1
    assert told(python(WORK.replace("n + 1", "n + 2"))) == 0


def test_an_index_server_that_is_down(python, refusing_address):
    environ = {"CACHESTORE_INDEX": f"postgresql://postgres@{refusing_address.removeprefix('http://')}/cache"}
    ran = python(WORK, environ=environ)
    assert ran.stdout == "[1, 2, 3, 4, 5]\n"
    assert told(ran) == 1
    assert python(WORK, environ=environ).stdout == "[1, 2, 3, 4, 5]\n"
