"""Each kind of miss, from the change that a person makes to the sentence that explains it."""

import importlib
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cachestore import CachestoreWarning, Memory, expires_after
from cachestore.cache import gc
from cachestore.cache.acceptance import carry_out, plan_accept, plan_revoke
from cachestore.cache.eviction import Limits
from cachestore.cache.rebuild import rebuild
from cachestore.cache.why import explain_function, explain_key

TABLES = """
import whytools

LIMIT = 3


class Model:
    def predict(self, x):
        return x + 1


def clean(table):
    # keeps what is positive
    return [value for value in table if value > 0]


def features(table, *, scale=2.0):
    return [scale * value for value in clean(table)][:LIMIT]


def predicted(model, x):
    return model.predict(x)


def make(factor):
    def inner(x):
        return factor * x

    return inner
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def memory(request, tmp_path, monkeypatch):
    """Open the cache of one test as a user, each time as another process would."""
    index = None
    if request.param == "postgres":
        index = request.getfixturevalue("postgres").create_database()
    for name in ("KEEP_SOURCES", "VALUE_SUMMARIES", "USER", "LOCATION", "INDEX"):
        monkeypatch.delenv(f"CACHESTORE_{name}", raising=False)
    opened = []

    def open_as(user="ana", **options):
        monkeypatch.setenv("CACHESTORE_USER", user)
        opened.append(Memory(tmp_path / "store", verbose=0, index=index, **options))
        return opened[-1]

    yield open_as
    for each in opened:
        each.store_backend.close()


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Import the team's module as it is now written."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "whytools.py").write_text("")
    monkeypatch.syspath_prepend(folder)

    def load(old="", new=""):
        assert old in TABLES
        (folder / "whytables.py").write_text(textwrap.dedent(TABLES.replace(old, new)))
        sys.modules.pop("whytables", None)
        importlib.invalidate_caches()
        return importlib.import_module("whytables")

    yield load
    sys.modules.pop("whytables", None)
    sys.modules.pop("whytools", None)


def counted(memory):
    """The misses by reason, with those that are still on their way."""
    cache = memory.store_backend
    cache.merge_uses()
    return {each.reason: each.misses for each in cache.index.statistics().by_reason}


def test_a_call_that_nobody_made(memory, tables):
    features = memory().cache(tables().features)
    assert features.explain([1]).reason == "never computed"
    features([1])
    found = features.explain([1])
    assert (found.state, found.nearest.creator) == ("hit", "ana")
    assert str(found).startswith("a hit: computed by ana, today, entry ")
    assert counted(memory()) == {"never computed": 1}


def test_explaining_leaves_no_trace(memory, tables, tmp_path):
    opened = memory()
    features = opened.cache(tables().features)
    features.explain([1])
    assert not (tmp_path / "store").exists()
    features([1])
    before = counted(opened)
    features.explain([1])
    features.explain([2])
    assert features.check_call_in_cache([2]) is False
    assert counted(opened) == before
    assert opened.store_backend.index.statistics().hits == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("value > 0", "value >= 1", "helper clean() changed"),
        ("LIMIT = 3", "LIMIT = 4", "constant LIMIT changed"),
        ("[scale * value", "[value * scale", "features() itself changed"),
    ],
)
def test_code_that_changed(memory, tables, old, new, said):
    memory("ana").cache(tables().features)([1])
    features = memory("ben").cache(tables(old, new).features)
    found = features.explain([1])
    assert (found.reason, len(found.changes)) == ("code changed", 1)
    assert f"a miss because {said}: " in str(found)
    assert "(ana, today) -> " in str(found)
    assert found.nearest.creator == "ana"
    features([1])
    assert counted(memory()) == {"never computed": 1, "code changed": 1}
    cache = memory().store_backend
    assert said in str(explain_function(cache, "features"))
    (computed,) = [entry for entry in cache.index.find("") if entry.creator == "ben"]
    assert str(explain_key(cache, computed.key[:12])).startswith(f"computed because {said}")


def test_a_class_of_an_argument_that_changed(memory, tables):
    module = tables()
    memory().cache(module.predicted)(module.Model(), 1)
    module = tables("x + 1", "x + 2")
    found = memory().cache(module.predicted).explain(module.Model(), 1)
    assert "class Model: " in str(found) or "class Model changed" in str(found)


def test_a_change_is_shown_as_it_was_written(memory, tables):
    memory().cache(tables().features)([1])
    features = memory().cache(tables("value > 0", "value >= 1").features)
    expected = [
        " def clean(table):",
        "     # keeps what is positive",
        "-    return [value for value in table if value > 0]",
        "+    return [value for value in table if value >= 1]",
    ]
    assert features.explain([1]).diff.splitlines()[3:] == expected
    features([1])
    assert explain_function(memory().store_backend, "features").diff.splitlines()[3:] == expected


def test_a_function_that_no_name_leads_to(memory, tables):
    memory().cache(tables().make(2))(1)
    found = memory().cache(tables("factor * x", "factor * x * x").make(2)).explain(1)
    assert found.diff.splitlines()[-2:] == ["-    return factor * x", "+    return factor * x * x"]
    # Another closure of the same code differs in what it holds.
    found = memory().cache(tables().make(3)).explain(1)
    assert (found.reason, found.diff) == ("code changed", "")


def test_no_sources_are_kept_where_that_is_switched_off(memory, tables, monkeypatch, tmp_path):
    opened = memory()
    monkeypatch.setenv("CACHESTORE_KEEP_SOURCES", "false")
    opened = memory()
    opened.cache(tables().features)([1])
    texts = [path.read_text() for path in (tmp_path / "store" / "versions").rglob("?" * 64)]
    assert len(texts) == 1
    assert "keeps what is positive" not in texts[0]
    assert opened.cache(tables("value > 0", "value >= 1").features).explain([1]).diff == ""


def test_values_of_constants_are_never_kept(memory, tables, tmp_path):
    memory().cache(tables("LIMIT = 3", "LIMIT = 31415926").features)([1])
    kept = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert any(b"keeps what is positive" in content for content in kept)
    assert not any(b"31415926" in content for content in kept)


def test_arguments_that_nobody_used(memory, tables):
    features = memory().cache(tables().features)
    features([1])
    found = features.explain([1], scale=3.0)
    assert [(change.kind, change.name) for change in found.changes] == [("argument", "scale")]
    assert "a miss because argument 'scale' differs" in str(found)
    features([1], scale=3.0)
    assert counted(memory()) == {"never computed": 1, "new arguments": 1}


def test_values_are_summarised_where_the_user_asked_for_that_only(memory, tables, monkeypatch):
    features = memory().cache(tables().features)
    features([1])
    assert "3.0" not in str(features.explain([1], scale=3.0))
    monkeypatch.setenv("CACHESTORE_VALUE_SUMMARIES", "true")
    features = memory().cache(tables().features)
    features([2], scale=4.0)
    assert " = 4.0 (ana, today) -> " in str(features.explain([2], scale=5.0))
    assert str(features.explain([2], scale=5.0)).endswith(" = 5.0")


def test_a_package_that_changed(memory, tables, monkeypatch):
    with_package = "    return [scale * value", "    import click\n    return [scale * value"
    features = memory().cache(tables(*with_package).features)
    features([1])
    assert features.call_key([1]).code_parts["package:click"]
    monkeypatch.setattr("cachestore.keys.reach.package_version", lambda *_: "99.0")
    features = memory().cache(tables(*with_package).features)
    found = features.explain([1])
    assert found.reason == "package changed"
    assert str(found).endswith(" -> 99.0")
    features([1])
    assert counted(memory()) == {"never computed": 1, "package changed": 1}


def test_what_gc_evicted(memory, tables):
    opened = memory("ben")
    features = opened.cache(tables().features)
    features([1])
    (entry,) = opened.store_backend.index.find("")
    gc.run(opened.store_backend, gc.plan(opened.store_backend, Limits(max_entries=0)))
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    said = (
        f"a miss because its entry was evicted by gc on {today} (ben): least recently used beyond the number"
    )
    assert str(features.explain([1])).startswith(said)
    assert str(explain_key(opened.store_backend, entry.key[:10])).startswith("a miss because its")
    features([1])
    assert counted(opened) == {"evicted": 1, "never computed": 1}
    assert str(explain_function(opened.store_backend, "features")).startswith(said)
    assert "computed because its entry was evicted by gc" in str(
        explain_key(opened.store_backend, entry.key[:10])
    )


def test_what_was_cleared(memory, tables):
    features = memory().cache(tables().features)
    features([1])
    features.clear()
    assert "its entry was cleared on" in str(features.explain([1]))


def test_what_expired_and_what_was_refused(memory, tables):
    opened, module = memory(), tables()
    opened.cache(module.features)([1])
    old = opened.cache(module.features, cache_validation_callback=expires_after(seconds=0))
    assert str(old.explain([1])) == "a miss because the entry (ana, today) has expired"
    old([1])
    refused = opened.cache(module.features, cache_validation_callback=lambda metadata: False)
    assert refused.explain([1]).reason == "refused"
    refused.call_and_shelve([1])
    assert counted(memory()) == {"expired": 1, "never computed": 1, "refused": 1}
    assert "validation callback" in str(explain_function(opened.store_backend, "features"))


def test_what_may_not_be_unpickled(memory, tables, monkeypatch):
    features = memory().cache(tables().features)
    features([1], scale=1j)
    monkeypatch.setenv("CACHESTORE_LOAD_POLICY", "data")
    cautious = memory().cache(tables().features)
    found = cautious.explain([1], scale=1j)
    assert (found.state, found.reason) == ("miss", "unreadable")
    assert "the entry cannot be used: The value is a pickle, and load_policy='data'" in str(found)
    with pytest.warns(CachestoreWarning, match="load_policy"):
        assert not cautious.check_call_in_cache([1], scale=1j)
    features([1], scale=2)
    assert cautious.explain([1], scale=2).state == "hit"
    assert cautious.check_call_in_cache([1], scale=2)


def test_a_miss_after_an_entry_was_computed_is_not_why_it_was(memory, tables):
    opened = memory()
    features = opened.cache(tables().features)
    features([1])
    call = features.call_key([1])
    opened.store_backend.look_up(call, accept=lambda metadata: False)
    found = explain_key(opened.store_backend, call.key)
    assert (found.state, found.reason) == ("computed", "never computed")
    assert explain_function(opened.store_backend, "features").reason == "refused"


def test_a_memorised_function_that_is_a_task_misses_once(memory, tables):
    from joblib import Parallel, delayed

    opened = memory()
    features = opened.cache(tables().features)
    with opened.parallel("threading"):
        Parallel()(delayed(features)([number]) for number in range(3))
    opened.store_backend.merge_uses()
    assert opened.store_backend.index.statistics().misses == 3


def test_a_damaged_entry(memory, tables, tmp_path):
    features = memory().cache(tables().features)
    features([1])
    (path,) = (tmp_path / "store" / "blobs").rglob("?" * 64)
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(content)
    found = features.explain([1])
    assert found.reason == "corrupt"
    assert "the entry cannot be used: " in str(found)
    with pytest.warns(CachestoreWarning, match="computed again and replaced"):
        features([1])
    assert counted(memory()) == {"corrupt": 1, "never computed": 1}


def test_a_store_that_is_down(memory, tables, monkeypatch):
    from cachestore import StorageError

    opened = memory()
    features = opened.cache(tables().features)
    features([1])

    def fail(*_):
        raise StorageError("nobody answers")

    monkeypatch.setattr(opened.store_backend, "store", _Down(opened.store_backend.store, fail))
    found = features.explain([1])
    assert str(found) == "a miss because the store is unavailable: nobody answers"
    with pytest.warns(CachestoreWarning, match="nobody answers"):
        features([1])
    monkeypatch.undo()
    opened.store_backend.index.merge()
    by_reason = {each.reason: each.misses for each in opened.store_backend.index.statistics().by_reason}
    assert by_reason == {"never computed": 1, "unavailable": 1}


class _Down:
    def __init__(self, store, fail):
        self._store, self._fail = store, fail

    def at_hand(self, path):
        return None

    def __getattr__(self, name):
        return (
            self._fail
            if name.startswith(("open", "get", "put", "create", "list"))
            else getattr(self._store, name)
        )


def test_without_a_cache_there_is_nothing_to_explain(tables):
    found = Memory(None).cache(tables().features).explain([1])
    assert str(found) == "a miss because there is no cache: the Memory has no location"


def test_a_lost_index_is_told_and_the_rest_is_known_after_a_rebuild(memory, tables, tmp_path):
    opened = memory()
    opened.cache(tables().features)([1])
    cache = opened.store_backend
    cache.close()
    cache.index.forget([entry.key for entry in cache.index.find("")])
    features = opened.cache(tables("value > 0", "value >= 1").features)
    assert features.explain([1]).reason == "never computed"
    rebuild(cache)
    assert features.explain([1]).reason == "code changed"


# ---- accepted versions


def accept(memory, old, new):
    carry_out(memory.store_backend, plan_accept(memory.store_backend, old, new))


def test_an_accepted_version_answers(memory, tables):
    ana = memory("ana")
    features = ana.cache(tables().features)
    features([1])
    old = features.call_key([1])
    ben = memory("ben")
    module = tables("value > 0", "value >= 1")
    calls = []

    @ben.cache
    def outer():
        calls.append(1)
        return renewed([1])

    renewed = ben.cache(module.features)
    new = renewed.call_key([1])
    assert old.key != new.key
    # Known from nothing but a miss: nothing of it was ever stored.
    assert not renewed.check_call_in_cache([1])
    ben.store_backend.look_up(new)
    ben.store_backend.merge_uses()
    accept(ben, old.code_version[:10], new.code_version[:10])

    assert renewed.check_call_in_cache([1])
    found = renewed.explain([1])
    assert (found.state, found.reason, found.nearest.key) == ("hit", "accepted", old.key)
    assert "which ben accepted for" in str(found)
    assert renewed([1]) == [2.0]
    assert renewed.call_and_shelve([1]).key == old.key
    assert not (Path(ben.store_backend.location) / "blobs" / new.key[:2] / new.key).exists()
    ben.store_backend.merge_uses()
    assert ben.store_backend.index.get(old.key).hits == 1
    assert not renewed.check_call_in_cache([2])

    outer()
    assert ben.store_backend.peek(outer.call_key().key).parents[0].key == old.key

    carry_out(ben.store_backend, plan_revoke(ben.store_backend, old.code_version[:8], new.code_version[:8]))
    assert not renewed.check_call_in_cache([1])
    assert ben.store_backend.index.history.accepted() == []


def test_an_accepted_entry_that_is_refused_is_a_miss(memory, tables):
    opened = memory()
    features = opened.cache(tables().features)
    features([1])
    module = tables("value > 0", "value >= 1")
    renewed = opened.cache(module.features, cache_validation_callback=lambda metadata: False)
    opened.store_backend.look_up(renewed.call_key([1]))
    opened.store_backend.merge_uses()
    accept(opened, features.call_key([1]).code_version, renewed.call_key([1]).code_version)
    assert not renewed.check_call_in_cache([1])
    assert opened.cache(module.features).check_call_in_cache([1])


def test_tasks_are_answered_by_accepted_versions(memory, tables):
    from joblib import Parallel, delayed

    opened, module = memory(), tables()
    with opened.parallel("threading"):
        Parallel()(delayed(module.features)([number]) for number in range(1, 3))
    old = {entry.code_version for entry in opened.store_backend.index.find("")}
    module = tables("value > 0", "value >= 1")
    with opened.parallel("threading"):
        Parallel()(delayed(module.features)([number]) for number in range(1, 2))
    opened.store_backend.merge_uses()
    both = {entry.code_version for entry in opened.store_backend.index.find("")}
    accept(opened, *old, *(both - old))
    with opened.parallel("threading"):
        assert Parallel()(delayed(module.features)([number]) for number in range(1, 3)) == [[2.0], [4.0]]
    assert len(opened.store_backend.index.find("")) == 3
    assert counted(opened) == {"code changed": 1, "never computed": 2} or counted(opened) == {
        "code changed": 1, "never computed": 1, "new arguments": 1,
    }  # fmt: skip


def test_marks_are_seen_by_processes_that_run(memory, tables, monkeypatch):
    from cachestore.cache import acceptance

    now = [1000.0]
    monkeypatch.setattr(acceptance.time, "monotonic", lambda: now[0])
    ana, ben = memory("ana"), memory("ben")
    features = ana.cache(tables().features)
    features([1])
    renewed = ben.cache(tables("value > 0", "value >= 1").features)
    renewed([2])
    assert not renewed.check_call_in_cache([1])
    accept(ana, features.call_key([1]).code_version, renewed.call_key([1]).code_version)
    assert not renewed.check_call_in_cache([1])
    now[0] += 300
    assert renewed.check_call_in_cache([1])


def test_marks_are_never_read_on_a_hit(memory, tables, monkeypatch):
    opened = memory()
    features = opened.cache(tables().features)
    features([1])
    monkeypatch.setattr(opened.store_backend.acceptance, "of", None)
    assert features([1]) == [2.0]


def test_a_rebuild_restores_what_was_accepted(memory, tables):
    opened = memory()
    features = opened.cache(tables().features)
    features([1])
    renewed = opened.cache(tables("value > 0", "value >= 1").features)
    renewed([2])
    accept(opened, features.call_key([1]).code_version, renewed.call_key([1]).code_version)
    (mark,) = opened.store_backend.index.history.accepted()
    assert (mark.user, mark.function) == ("ana", "whytables.features")
    assert datetime.now(UTC) - mark.at < timedelta(minutes=5)
    opened.store_backend.index.history.accept([])
    rebuild(opened.store_backend)
    assert opened.store_backend.index.history.accepted() == [mark]
