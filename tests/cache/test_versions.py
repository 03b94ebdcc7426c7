import json
from datetime import UTC, datetime

import pytest

from cachestore.cache import versions
from cachestore.cache.versions import Version, list_versions, read_version
from cachestore.keys import Arguments, CallKey
from cachestore.storage import version_path
from tests.cache.conftest import call_of

VERSION = "ab01" * 16


def test_a_version_is_kept_with_its_parts_and_sources(cache, put):
    put(1)
    call = call_of(1)
    kept = read_version(cache.store, call.code_version)
    assert (kept.function, kept.parts) == (call.function, call.code_parts)
    (source,) = kept.sources.values()
    assert source.startswith("def call_of(number):\n")
    assert list(list_versions(cache.store)) == [call.code_version]
    for prefix in (call.code_version[:1], call.code_version[:2], call.code_version[:7], call.code_version):
        assert list(list_versions(cache.store, prefix)) == [call.code_version]
    assert list(list_versions(cache.store, "x")) == []


def test_sources_are_looked_for_once_in_the_life_of_a_store(cache, put, monkeypatch):
    put(1)
    monkeypatch.setattr(versions, "sources_of", None)
    cache._versions.clear()
    put(2)
    assert read_version(cache.store, call_of(1).code_version).sources


def test_sources_that_cannot_be_found_stop_no_put(cache, put, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(versions, "sources_of", fail)
    assert cache.get(put(1)).value == "a value"
    kept = read_version(cache.store, call_of(1).code_version)
    assert (kept.sources, kept.parts) == ({}, call_of(1).code_parts)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": 1, "function": "f"}',
        b'{"format": 2, "function": "f", "parts": {"a": "1"}}',
    ],
)
def test_a_damaged_object_says_nothing(cache, content):
    cache.store.put(version_path(VERSION), [content])
    assert read_version(cache.store, VERSION) is None
    assert read_version(cache.store, "cd01" * 16) is None


@pytest.mark.parametrize("number", [0, 1])
def test_what_was_ever_written_is_read(cache, number):
    cache.store.put(
        version_path(VERSION),
        [b'{"format": %d, "function": "f", "parts": {"a": "1"}, "sources": {"a": "def a(): ..."}}' % number],
    )
    assert read_version(cache.store, VERSION) == Version(VERSION, "f", {"a": "1"}, {"a": "def a(): ..."})


def test_versions_are_of_format_1(cache, put):
    put(1)
    assert json.loads(cache.store.get(version_path(call_of(1).code_version)))["format"] == 1


def test_what_an_earlier_cachestore_kept_has_no_sources(cache):
    cache.store.put(version_path(VERSION), [b'{"format": 0, "function": "f", "parts": {"a": "1"}}'])
    assert read_version(cache.store, VERSION).sources == {}
    cache.put(CallKey(VERSION, "f", VERSION, {}, Arguments({})), 1, started_at=datetime.now(UTC), seconds=1.0)
    assert read_version(cache.store, VERSION).parts == {"a": "1"}
