"""Secrets given in code are in nothing that is written: stores, near copies, indexes, spools, pickles, logs, warnings.

Values are stored raw, so that searching the bytes of a store searches the values; a marker among them shows that the
search finds what is there.
"""

from __future__ import annotations

import json
import pickletools
import sqlite3
from contextlib import closing

import pytest

MARKER = "a-marker-in-a-value"
SECRETS = {
    "key": "AKIDOFNOBODY",
    "secret": "sEcReT-of-the-store",
    "token": "tOkEn-of-the-session",
    "in the endpoint": "eNdPoInT-password",
    "of the index": "pAsSwOrD-of-the-index",
}

WORK = """
import logging, pathlib, pickle, sys, warnings
warnings.simplefilter("always")
logging.basicConfig(filename="log", level=logging.WARNING)
logging.getLogger("cachestore").setLevel(logging.DEBUG)

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import Pipeline
import cachestore

location, index, options = LOCATION, INDEX, OPTIONS
memory = cachestore.Memory(
    location, verbose=10, compress=False, index=index, backend_options={"storage_options": options}
)

@memory.cache
def model(n):
    return {"holds": memory, "n": n, "marker": "a-marker-in-a-value"}

X = np.random.default_rng(0).normal(size=(60, 6))
y = (X[:, 0] > 0).astype(int)
pipe = Pipeline([("reduce", PCA()), ("classify", LogisticRegression())], memory=memory)
for _ in range(2):
    assert model(1)["n"] == 1
    pipe.fit(X, y)
# Folds that hold a fitted pipeline, which holds the Memory.
with memory.parallel("threading", n_jobs=2):
    cross_validate(pipe, X, y, cv=2, return_estimator=True)

shelved = model.call_and_shelve(2)
everything = (memory, memory.store_backend, pipe, model, shelved)
for number, each in enumerate(everything):
    try:
        pathlib.Path(f"pickled-{number}").write_bytes(pickle.dumps(each))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        print("not pickled:", error)
print(*map(repr, (*everything, memory.store_backend.settings)), sep="\\n")
print(model.explain(3), shelved.metadata if hasattr(shelved, "metadata") else "")
try:
    cachestore.open(location.replace("s3://", "s3:/"))
except cachestore.CachestoreError as error:
    print(error)
memory.store_backend.close()
"""

# In a process that has the secrets for the same place.
AGAIN = """
import pickle, pathlib
pipe = pickle.loads(pathlib.Path("pickled-2").read_bytes())
assert pipe.memory.store_backend.settings.storage_options["secret"] == "sEcReT-of-the-store"
print(pipe.memory.store_backend.store_id() is not None)
pathlib.Path("again").write_bytes(pickle.dumps(pipe))
"""


def texts_of(content: bytes) -> str:
    """Return all texts in a pickle, also those that were memorised in pieces."""
    try:
        return " ".join(str(argument) for _, argument, _ in pickletools.genops(content))
    except Exception:
        return ""


def rows_of(file) -> str:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return "\n".join(connection.iterdump())


# Copies near are made through, or are what waits to be sent; or there are none.
NEAR = {
    "far only": {},
    "near": {"CACHESTORE_NEAR": "near"},
    "write-behind": {"CACHESTORE_NEAR": "near", "CACHESTORE_WRITE_BEHIND": "true"},
}


def run(python, tmp_path, location, options, index, near):
    code = (
        WORK.replace("LOCATION", repr(location))
        .replace("INDEX", repr(index))
        .replace("OPTIONS", repr(options))
    )
    environ = {name: str(tmp_path / "home") for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    (tmp_path / "home").mkdir()
    ran = python(code, environ=environ | NEAR[near])
    written = {"stdout": ran.stdout.encode(), "stderr": ran.stderr.encode()}
    for file in tmp_path.rglob("*"):
        # In the script they are given.
        if file.is_file() and file.name != "script.py":
            content = file.read_bytes()
            written[str(file.relative_to(tmp_path))] = content + texts_of(content).encode()
            if content.startswith(b"SQLite format 3"):
                written[f"{file.relative_to(tmp_path)}, rows"] = rows_of(file).encode()
    assert {"log", "pickled-0", "pickled-2"} <= written.keys()
    return written


def holds_marker(written: dict[str, bytes], folder: str) -> bool:
    return any(MARKER.encode() in content for path, content in written.items() if f"/{folder}/" in path)


def refuse(written: dict[str, bytes]) -> None:
    found = [
        f"the secret {name!r} in {place}"
        for place, content in written.items()
        for name, secret in SECRETS.items()
        if secret.encode() in place.encode() + content or secret.encode("utf-16-le") in content
    ]
    assert not found


def stored(server, location: str) -> dict[str, bytes]:
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    client = server.client()
    objects = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    return {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in objects}


def options_for(endpoint_url: str) -> dict:
    return {
        "key": SECRETS["key"],
        "secret": SECRETS["secret"],
        "token": SECRETS["token"],
        "endpoint_url": endpoint_url,
        "client_kwargs": {"region_name": "us-east-1"},
    }


@pytest.mark.parametrize(
    ("index", "near"),
    [*((None, near) for near in NEAR), pytest.param("postgres", "far only", marks=pytest.mark.postgres)],
)
def test_a_store_that_is_well(python, moto_server, request, tmp_path, index, near):
    if index is not None:
        url = request.getfixturevalue("postgres_url")
        scheme, _, rest = url.partition("://")
        user, _, place = rest.partition("@")
        index = f"{scheme}://{user.partition(':')[0]}:{SECRETS['of the index']}@{place}"
    location = moto_server.fresh_location()
    written = run(python, tmp_path, location, options_for(moto_server.endpoint_url), index, near)
    assert holds_marker(written, "blobs") == (near != "far only")
    objects = stored(moto_server, location)
    blobs = [content for path, content in objects.items() if "/blobs/" in path]
    assert any(MARKER.encode() in content for content in blobs)
    assert any(b"cachestore.memory" in content for content in blobs), "no value holds a Memory"
    folds = [content for content in blobs if b"LogisticRegression" in content]
    assert any(b"cachestore.memory" in content for content in folds), "no fold holds a Memory"
    assert "CachestoreWarning" not in written["stderr"].decode()
    refuse(written | objects)
    if index is None:
        assert any("rows" in place for place in written), written.keys()
        options = options_for(moto_server.endpoint_url)
        environ = {"CACHESTORE_LOCATION": location, "CACHESTORE_STORAGE_OPTIONS": json.dumps(options)}
        assert python(AGAIN, environ=environ).stdout == "True\n"
        refuse({"again": (tmp_path / "again").read_bytes()})
    else:
        import psycopg

        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            ).fetchall()
            rows = {name: str(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in tables}
        assert len(rows) > 4
        refuse({name: text.encode() for name, text in rows.items()})


def test_what_waits_near_because_the_store_refuses_it(python, moto_server, proxy_to, tmp_path):
    proxy = proxy_to(moto_server.endpoint_url)
    proxy.fault = lambda number, method, path: (
        403 if method in {"PUT", "POST"} and "/blobs/" in path else None
    )
    location = moto_server.fresh_location()
    written = run(python, tmp_path, location, options_for(proxy.endpoint_url), None, "write-behind")
    assert "did not reach the far store" in written["stderr"].decode()
    assert holds_marker(written, "waiting")
    refuse(written)


def test_a_store_and_an_index_that_are_ill(python, refusing_address, tmp_path):
    """What fails says where, and why; never with what."""
    place = refusing_address.removeprefix("http://")
    endpoint = f"http://ana:{SECRETS['in the endpoint']}@{place}"
    index = f"postgresql://ana:{SECRETS['of the index']}@{place}/cache?password={SECRETS['of the index']}"
    written = run(python, tmp_path, "s3://team-of-nobody/cache", options_for(endpoint), index, "near")
    assert "The store is ill" in written["stderr"].decode()
    refuse(written)
