"""Random sequences of operations on a store, compared with a dictionary."""

from __future__ import annotations

import itertools
import shutil
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cachestore.errors import ObjectNotFound
from cachestore.storage import LocalStore, ObjectStore, blob_path, open_store
from cachestore.storage.tiered_store import TieredStore

_numbers = itertools.count()

paths = st.sampled_from(
    [
        "store.json",
        "marks/a",
        "marks/b",
        "marks/deep/a",
        blob_path("ab" + 62 * "0"),
        blob_path("ab" + 62 * "1"),
    ]
)
contents = st.binary(max_size=64)


class StoreModel(RuleBasedStateMachine):
    """Does to a store and to a dictionary the same, and finds the same in both."""

    def open(self) -> ObjectStore:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.store = self.open()
        self.model: dict[str, bytes] = {}

    @rule(path=paths, data=contents, cut=st.integers(0, 64))
    def put(self, path, data, cut):
        self.store.put(path, [data[:cut], memoryview(data)[cut:]])
        self.model[path] = data

    @rule(path=paths, data=contents)
    def put_that_breaks(self, path, data):
        def parts():
            yield data
            raise RuntimeError("broken")

        with pytest.raises(RuntimeError):
            self.store.put(path, parts())

    @rule(path=paths, data=contents)
    def create(self, path, data):
        won = self.store.create(path, data)
        assert won == (path not in self.model)
        self.model.setdefault(path, data)

    @rule(path=st.lists(paths, max_size=4))
    def delete(self, path):
        self.store.delete(iter(path))
        for each in path:
            self.model.pop(each, None)

    @rule(path=paths, length=st.integers(0, 80), start=st.integers(0, 80))
    def read(self, path, length, start):
        if path in self.model:
            data = self.model[path]
            assert self.store.get(path) == data
            assert self.store.get_suffix(path, length) == (data[-length:] if length else b"")
            assert self.store.get_range(path, start, start + length) == data[start : start + length]
        else:
            with pytest.raises(ObjectNotFound):
                self.store.get(path)

    @rule(prefix=st.sampled_from(["", "m", "marks/", "marks/d", "blobs/ab/ab0", "x/"]))
    def list_some(self, prefix):
        found = {info.path: info.size for info in self.store.list(prefix)}
        assert found == {path: len(data) for path, data in self.model.items() if path.startswith(prefix)}

    @rule()
    def close(self):
        self.store.close()

    @invariant()
    def nothing_else_is_there(self):
        assert {info.path for info in self.store.list("")} == set(self.model)


class LocalModel(StoreModel):
    def open(self):
        self.directory = tempfile.mkdtemp(prefix="cachestore-model-")
        return open_store(self.directory)

    def teardown(self):
        shutil.rmtree(self.directory)


class MemoryModel(StoreModel):
    def open(self):
        return open_store(f"memory://model-{next(_numbers)}")


class TieredModel(LocalModel):
    write_behind = False

    def open(self):
        # So small that something is given up all the time.
        self.directory = tempfile.mkdtemp(prefix="cachestore-model-")
        return TieredStore(
            LocalStore(f"{self.directory}/far"),
            f"{self.directory}/near",
            limit=100,
            write_behind=self.write_behind,
            tell=print,
        )


class WriteBehindModel(TieredModel):
    write_behind = True


few = settings(max_examples=15, stateful_step_count=30, deadline=None)
TestLocalModel = LocalModel.TestCase
TestLocalModel.settings = few
TestMemoryModel = MemoryModel.TestCase
TestMemoryModel.settings = few
TestTieredModel = TieredModel.TestCase
TestTieredModel.settings = few
TestWriteBehindModel = WriteBehindModel.TestCase
TestWriteBehindModel.settings = few
