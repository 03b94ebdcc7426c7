from __future__ import annotations

import itertools
import threading

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import PROBES, ConditionalPut, open_store, probe_conditional_put
from cachestore.storage.s3_client import S3Client

_numbers = itertools.count()


@pytest.fixture
def store():
    return open_store(f"memory://probe-{next(_numbers)}")


class Around:
    """A store that does as another does, but for what a subclass says."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_memory(store):
    assert probe_conditional_put(store) is ConditionalPut.CREATES
    assert list(store.list("")) == []


def test_local(tmp_path):
    store = open_store(str(tmp_path))
    assert probe_conditional_put(store) is ConditionalPut.CREATES
    assert list(store.list("")) == []


def test_servers(s3_server, s3_store_url):
    location, options = s3_store_url(s3_server)
    store = open_store(location, storage_options=options, timeout=20)
    store.put("marks/a", [b"1"])
    assert probe_conditional_put(store) is ConditionalPut.CREATES
    assert [info.path for info in store.list("")] == ["marks/a"]


def test_a_server_that_accepts_the_condition_and_overwrites(moto_server, s3_store_url, monkeypatch):
    real = S3Client.call

    def overwrite(self, operation, IfNoneMatch=None, **arguments):
        return real(self, operation, **arguments)

    monkeypatch.setattr(S3Client, "call", overwrite)
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options=options, timeout=20)
    assert probe_conditional_put(store) is ConditionalPut.LIES
    assert list(store.list("")) == []


def test_a_store_that_overwrites(store):
    class Overwriting(Around):
        def create(self, path, data):
            self.inner.put(path, [data])
            return True

    assert probe_conditional_put(Overwriting(store)) is ConditionalPut.LIES
    assert list(store.list("")) == []


def test_a_store_that_says_no_and_overwrites(store):
    class Overwriting(Around):
        def create(self, path, data):
            won = self.inner.create(path, data)
            self.inner.put(path, [data])
            return won

    assert probe_conditional_put(Overwriting(store)) is ConditionalPut.LIES


def test_a_store_that_looks_and_then_overwrites(store):
    class Looking(Around):
        all_have_looked = threading.Barrier(3)

        def create(self, path, data):
            try:
                self.inner.get(path)
            except ObjectNotFound:
                if data.startswith(b"racer"):
                    self.all_have_looked.wait(10)
                self.inner.put(path, [data])
                return True
            return False

    assert probe_conditional_put(Looking(store)) is ConditionalPut.LIES


def test_a_store_where_nobody_wins(store):
    class Denying(Around):
        def create(self, path, data):
            self.inner.create(path, data)
            return False

    assert probe_conditional_put(Denying(store)) is ConditionalPut.LIES


def test_a_store_that_gives_another_the_prize(store):
    class Swapping(Around):
        def create(self, path, data):
            return self.inner.create(path, b"of somebody else" if data.startswith(b"racer") else data)

    assert probe_conditional_put(Swapping(store)) is ConditionalPut.LIES


@pytest.mark.parametrize(
    ("of", "overwrites", "says"),
    [(b"first", True, False), (b"second", True, False), (b"second", False, True)],
)
def test_a_store_that_lies_to_one_alone(store, of, overwrites, says):
    class Lying(Around):
        def create(self, path, data):
            if data != of:
                return self.inner.create(path, data)
            if overwrites:
                self.inner.put(path, [data])
            return says

    assert probe_conditional_put(Lying(store)) is ConditionalPut.LIES


def test_a_store_that_keeps_the_first_and_tells_all_that_they_won(store):
    class Flattering(Around):
        def create(self, path, data):
            if not data.startswith(b"racer"):
                return self.inner.create(path, data)
            self.inner.put(path, [b"racer 0"])
            return True

    assert probe_conditional_put(Flattering(store)) is ConditionalPut.LIES


class Refusing(Around):
    transient = False

    def create(self, path, data):
        raise StorageError("no conditions here", transient=self.transient)


def test_a_store_that_refuses(store):
    assert probe_conditional_put(Refusing(store)) is ConditionalPut.REFUSED
    assert list(store.list("")) == []


def test_where_nobody_may_write_nothing_is_found_out(store):
    class ReadOnly(Refusing):
        def put(self, path, parts):
            raise StorageError("no puts here")

        def delete(self, paths):
            raise StorageError("no deletes here")

    with pytest.raises(StorageError, match="no puts"):
        probe_conditional_put(ReadOnly(store))


def test_a_store_that_is_ill_is_not_one_that_refuses(store):
    class Ill(Refusing):
        transient = True

    with pytest.raises(StorageError, match="no conditions"):
        probe_conditional_put(Ill(store))


def test_who_may_not_delete_learns_as_much(store):
    class Undeletable(Around):
        def delete(self, paths):
            raise StorageError("not you")

    assert probe_conditional_put(Undeletable(store)) is ConditionalPut.CREATES
    assert all(info.path.startswith(f"{PROBES}.tmp-") for info in store.list(""))
