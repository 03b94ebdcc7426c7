import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cachestore.cache.acceptance import (
    carry_out,
    list_accepted,
    plan_accept,
    plan_revoke,
    read_marks,
)
from cachestore.cache.entries import KnownCall
from cachestore.errors import SettingsError, StorageError
from cachestore.index import Accepted
from cachestore.keys import Arguments, CallKey
from cachestore.storage import accepted_path

OLD, NEW, OTHER = "aa01" * 16, "bb01" * 16, "aa02" * 16


@pytest.fixture
def versions(cache):
    """Store an entry of each of three versions, two of them of one function."""
    for version, function in ((OLD, "f"), (NEW, "f"), (OTHER, "g")):
        call = CallKey(version, function, version, {f"function:{function}": version}, Arguments({"x": b"1"}))
        cache.put(call, version, started_at=datetime.now(UTC), seconds=1.0)


def test_what_was_accepted_is_said_by_the_store_and_the_index(cache, versions):
    decided = plan_accept(cache, OLD[:4], NEW[:8])
    assert (decided.function, decided.old, decided.new, decided.changes) == ("f", OLD, NEW, True)
    assert list_accepted(cache) == [], "a plan changes nothing"
    carry_out(cache, decided)
    (mark,) = list_accepted(cache)
    assert (mark.new, mark.old, mark.function, mark.user) == (NEW, OLD, "f", "ana")
    assert list_accepted(cache) == list(read_marks(cache.store, NEW)) == cache.index.history.accepted()
    assert plan_accept(cache, OLD, NEW).changes is False


def test_several_old_versions_answer_the_latest_first(cache, versions):
    third = "cc01" * 16
    cache.put(CallKey(third, "f", third, {}, Arguments({})), 3, started_at=datetime.now(UTC), seconds=1.0)
    carry_out(cache, plan_accept(cache, OLD, NEW))
    carry_out(cache, plan_accept(cache, third, NEW))
    carry_out(cache, plan_accept(cache, OLD, third))
    assert [mark.old for mark in cache.acceptance.of(NEW)] == [third, OLD]
    carry_out(cache, plan_revoke(cache, OLD, NEW))
    assert [mark.old for mark in cache.acceptance.of(NEW)] == [third]
    assert [mark.old for mark in cache.acceptance.of(third)] == [OLD]


def test_the_last_mark_leaves_no_object(cache, versions):
    carry_out(cache, plan_accept(cache, OLD, NEW))
    carry_out(cache, plan_revoke(cache, OLD, NEW))
    assert list(cache.store.list("marks/")) == []
    assert cache.index.history.accepted() == []


def test_versions_are_known_without_an_index(cache, versions):
    cache.index.forget([OLD, NEW, OTHER])
    assert plan_accept(cache, OLD, NEW).function == "f"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dddd", NEW, "No code version begins with dddd"),
        (OLD, OTHER, "is a version of f, and aa02aa02aa02 one of g"),
        ("aa0", NEW, "'aa0' is no code version"),
        ("team.f", NEW, "'team.f' is no code version"),
        (OLD, OLD, "is both OLD and NEW"),
    ],
)
def test_what_is_refused(cache, versions, old, new, said):
    with pytest.raises(SettingsError, match=said):
        plan_accept(cache, old, new)


def test_a_whole_new_version_may_be_one_that_nobody_asked_for(cache, versions):
    unknown = "ee01" * 16
    assert (plan_accept(cache, OLD, unknown).new, plan_accept(cache, OLD, unknown).function) == (unknown, "f")
    with pytest.raises(SettingsError, match="No code version begins with"):
        plan_accept(cache, unknown, NEW)
    with pytest.raises(SettingsError, match="No code version begins with"):
        plan_accept(cache, OLD, unknown[:63])


def test_an_ambiguous_version_is_refused(cache, versions):
    similar = OLD[:60] + "ffff"
    cache.put(CallKey(similar, "f", similar, {}, Arguments({})), 1, started_at=datetime.now(UTC), seconds=1.0)
    with pytest.raises(SettingsError, match="2 code versions begin with aa01aa01"):
        plan_accept(cache, OLD[:8], NEW)


def test_only_what_was_accepted_is_taken_back(cache, versions):
    with pytest.raises(SettingsError, match=r"No accepted versions begin with .* --list"):
        plan_revoke(cache, OLD, NEW)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"format": 1, "accepted": 3}',
     b'{"format": 1, "function": "f", "accepted": [{"old": "a", "by": "b", "at": "x"}]}',
     b'{"format": 1, "function": "f", "accepted": [{"old": "a", "by": "b", "at": "2024-05-01T12:00:00"}]}',
     b'{"format": 2, "function": "f", "accepted": [{"old": "a", "by": "b", "at": "2024-05-01T12:00:00+00:00"}]}'],
)  # fmt: skip
def test_a_damaged_mark_accepts_nothing(cache, versions, content):
    cache.store.put(accepted_path(NEW), [content])
    cache.store.put("marks/accepted/note.txt", [b"from a person"])
    assert read_marks(cache.store, NEW) == ()
    assert list_accepted(cache) == []


@pytest.mark.parametrize("number", [0, 1])
def test_what_was_ever_written_is_read(cache, number):
    mark = b'{"old": "a", "by": "b", "at": "2024-05-01T12:00:00+00:00"}'
    content = b'{"format": %d, "function": "f", "accepted": [%b]}' % (number, mark)
    cache.store.put(accepted_path(NEW), [content])
    assert read_marks(cache.store, NEW) == (
        Accepted(NEW, "a", "f", "b", datetime(2024, 5, 1, 12, tzinfo=UTC)),
    )


def test_marks_are_of_format_1(cache, versions):
    carry_out(cache, plan_accept(cache, OLD, NEW))
    assert json.loads(cache.store.get(accepted_path(NEW)))["format"] == 1


def test_a_store_that_does_not_answer_accepts_nothing(cache, versions, monkeypatch):
    carry_out(cache, plan_accept(cache, OLD, NEW))

    def fail(path):
        raise StorageError("down")

    monkeypatch.setattr(cache.store, "get", fail)
    assert cache.acceptance.of(NEW) == ()


def test_the_entry_of_another_version_has_the_key_that_it_was_stored_under(cache):
    from tests.cache.conftest import call_of

    call = call_of(1)
    cache.put(call, "old", started_at=datetime.now(UTC), seconds=1.0)
    assert call.in_version(call.code_version) == call.key != call.in_version(NEW)
    known = KnownCall.of(call)
    assert known.versionless == KnownCall.of(cache.peek(call.key)).versionless
    assert known.versionless == replace(known, code_version=NEW, key=NEW).versionless
    assert known.versionless != replace(known, arguments={"number": "other"}).versionless
    assert known.versionless != replace(known, function="other").versionless
