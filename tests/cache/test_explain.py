from datetime import UTC, datetime, timedelta

import pytest

from cachestore.blob import Metadata
from cachestore.cache.entries import KnownCall
from cachestore.cache.explain import Change, Explanation, explain
from cachestore.index import Accepted, Evicted

NOW = datetime(2024, 5, 3, 12, tzinfo=UTC)
TUESDAY = NOW - timedelta(days=3)
CLEAN, FEATURES, LIMIT = (
    "function:team.tables:clean",
    "function:team.tables:features",
    "constant:team.tables:LIMIT",
)


def call(version="new", parts=None, **arguments):
    return KnownCall("a" * 64, "team.tables.features", version, {CLEAN: "c1", **(parts or {})}, arguments)


def entry(version="new", parts=None, *, key="b" * 64, at=TUESDAY, summaries=None, **arguments):
    return Metadata(
        key=key,
        function="team.tables.features",
        code_version=version,
        code_parts={CLEAN: "c1", **(parts or {})},
        arguments=arguments,
        started_at=at,
        seconds=1.0,
        creator="ana",
        python="3.11",
        summaries=summaries or {},
    )


def explained(asked, *entries, **more):
    return explain(asked, entries, asked_at=NOW, **more)


def test_without_entries_it_was_never_computed():
    found = explained(call(x="1"))
    assert (found.state, found.reason, found.nearest, found.changes) == ("miss", "never computed", None, ())
    assert "features() was not computed like that before" in str(found)


def test_a_helper_that_changed():
    found = explained(call(parts={CLEAN: "9c01" * 16}, x="1"), entry("old", {CLEAN: "7f3a" * 16}, x="1"))
    assert found.reason == "code changed"
    assert found.changes == (Change("function", "team.tables:clean", "7f3a" * 16, "9c01" * 16),)
    assert str(found) == "a miss because helper clean() changed: 7f3a7f3a (ana, Tuesday) -> 9c019c01"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (FEATURES, "features() itself changed: 1 (ana, Tuesday) -> 2"),
        ("class:team.models:Model", "class Model changed"),
        (LIMIT, "constant LIMIT changed"),
        ("module:team.tables", "module team.tables changed"),
    ],
)
def test_each_kind_of_code(part, said):
    found = explained(call(parts={part: "2"}, x="1"), entry("old", {part: "1"}, x="1"))
    assert found.reason == "code changed"
    assert said in str(found)


def test_a_package_that_changed_is_shown_with_its_versions():
    old, new = {"package:sklearn": "1.4.2"}, {"package:sklearn": "1.5.0"}
    found = explained(call(parts=new, x="1"), entry("old", old, x="1"))
    assert found.reason == "package changed"
    assert str(found) == "a miss because package sklearn changed: 1.4.2 (ana, Tuesday) -> 1.5.0"
    found = explained(call(parts={**new, CLEAN: "c2"}, x="1"), entry("old", old, x="1"))
    assert found.reason == "code changed"


def test_parts_that_came_and_went():
    assert "constant LIMIT is new since the nearest entry (ana, Tuesday): 1" in str(
        explained(call(parts={LIMIT: "1"}), entry("old"))
    )
    assert "constant LIMIT is gone since" in str(explained(call(), entry("old", {LIMIT: "1"})))


def test_an_argument_that_differs():
    found = explained(call(x="1", y="2"), entry(x="1", y="3"))
    assert (found.reason, found.changes) == ("new arguments", (Change("argument", "y", "3", "2"),))
    assert str(found) == "a miss because argument 'y' differs: 3 (ana, Tuesday) -> 2"


def test_values_are_shown_where_both_are_summarised_only():
    old = entry(x="1", y="3", summaries={"y": "30 rows"})
    assert str(explained(call(x="1", y="2"), old, summaries={"y": "20 rows"})) == (
        "a miss because argument 'y' differs: 3 = 30 rows (ana, Tuesday) -> 2 = 20 rows"
    )
    assert explained(call(x="1", y="2"), old, summaries={"y": "20 rows"}).diff == ""


def test_several_differences_are_listed_with_what_is_used_before_what_uses_it():
    parts = {FEATURES: "f2", CLEAN: "c2", LIMIT: "l2"}
    found = explained(
        call(parts=parts, x="1"), entry("old", {FEATURES: "f1", CLEAN: "c1", LIMIT: "l1"}, x="1")
    )
    assert str(found).splitlines() == [
        f"a miss because 3 things differ from the nearest entry {'b' * 12} (ana, Tuesday):",
        "  constant LIMIT: l1 -> l2",
        "  helper clean(): c1 -> c2",
        "  features() itself: f1 -> f2",
    ]


def test_the_same_arguments_in_another_version_come_nearest_then_the_same_version():
    other_version = entry("old", {CLEAN: "c0", LIMIT: "1"}, key="1" * 64, x="1", y="2")
    one_argument = entry(key="2" * 64, x="1", y="3")
    two_arguments = entry(key="3" * 64, x="2", y="3", at=NOW)
    both = entry("old", {CLEAN: "c0"}, key="4" * 64, x="2", y="2", at=NOW)
    asked = call(x="1", y="2")
    order = [other_version, one_argument, two_arguments, both]
    while order:
        found = explained(asked, *reversed(order))
        assert found.nearest == order.pop(0)


def test_of_entries_that_are_as_near_the_latest_counts():
    earlier, later = (
        entry("old", {CLEAN: "c0"}, key=key * 64, at=at, x="1") for key, at in (("1", TUESDAY), ("2", NOW))
    )
    assert explained(call(x="1"), later, earlier).nearest == later
    assert explained(call(x="1"), earlier, later).nearest == later


def test_the_entry_itself_is_no_candidate():
    assert explained(call(x="1"), entry(key="a" * 64, x="1")).reason == "never computed"


def test_a_version_that_differs_in_no_named_part():
    found = explained(call("v2" * 32, x="1"), entry("v1" * 32, x="1"))
    assert (found.reason, found.changes) == ("code changed", ())
    assert "what features() carries" in str(found)
    assert "v1v1v1v1 -> v2v2v2v2" in str(found)


def test_of_a_version_whose_parts_are_not_known_no_part_is_said_to_be_gone():
    asked = KnownCall("a" * 64, "team.tables.features", "new", {}, {"x": "1"})
    assert explained(asked, entry("old", x="1")).changes == ()


def test_what_was_given_up_comes_before_what_is_near():
    gone = Evicted("a" * 64, "ben", datetime(2024, 4, 30, tzinfo=UTC), "gc", "not used for more than 30 days")
    found = explained(call(x="1"), entry("old", {CLEAN: "c0"}, x="1"), evicted=gone)
    assert (found.reason, found.nearest, found.changes) == ("evicted", None, ())
    assert str(found) == (
        "a miss because its entry was evicted by gc on 2024-04-30 (ben): not used for more than 30 days"
    )
    cleared = Evicted("a" * 64, "ben", datetime(2024, 4, 30, tzinfo=UTC), "clear", "")
    assert str(explained(call(), evicted=cleared)).endswith("its entry was cleared on 2024-04-30 (ben)")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("corrupt", "the entry cannot be used: its digest differs"),
        ("newer", "the entry cannot be used: its digest differs"),
        ("unreadable", "the entry cannot be used: its digest differs"),
        ("unavailable", "the store is unavailable: its digest differs"),
        ("expired", "the entry has expired"),
        ("refused", "the entry was refused by the validation callback"),
    ],
)
def test_what_the_store_says_comes_first(outcome, said):
    found = explained(call(x="1"), entry(x="2"), outcome=outcome, problem="its digest differs")
    assert (found.reason, found.changes) == (outcome, ())
    assert said in str(found)


def test_why_an_entry_was_computed():
    found = explained(call(x="1"), entry(x="2"), state="computed")
    assert str(found).startswith("computed because argument 'x' differs")


def test_hits():
    hit = Explanation("hit", "hit", call(), NOW, entry())
    assert str(hit) == f"a hit: computed by ana, Tuesday, entry {'b' * 12}"
    mark = Accepted("9c01" * 16, "7f3a" * 16, "team.tables.features", "ben", NOW)
    hit = Explanation("hit", "accepted", call(), NOW, entry(), accepted=mark)
    assert str(hit).endswith("of code version 7f3a7f3a, which ben accepted for 9c019c01 today")


def test_diffs_of_sources_that_both_are_known():
    asked = call(parts={CLEAN: "c2", FEATURES: "f2"}, x="1")
    found = explained(asked, entry("old", {CLEAN: "c1", FEATURES: "f1"}, x="1"))
    assert found.diff == ""
    found = found.with_texts(
        {CLEAN: "def clean():\n    return 1\n", FEATURES: "x"}, {CLEAN: "def clean():\n    return 2\n"}
    )
    assert found.diff.splitlines() == [
        "--- team.tables:clean c1",
        "+++ team.tables:clean c2",
        "@@ -1,2 +1,2 @@",
        " def clean():",
        "-    return 1",
        "+    return 2",
    ]


def test_it_is_shown_in_shells_and_notebooks():
    found = explained(call(x="1"), entry(x="<2>"))
    assert repr(found) == f"<team.tables.features: {found}>"
    assert found._repr_html_().startswith("<pre>a miss because argument &#x27;x&#x27; differs: &lt;2&gt;")
