"""What every index promises, wherever it is kept. A subclass gives the fixtures `index` and `again`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cachestore.index import (
    Accepted,
    Entry,
    Evicted,
    Index,
    Missed,
    Selection,
    Spent,
    Statistics,
    Touch,
    UserStatistics,
)

NOON = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)


def key(number: int) -> str:
    return f"{number:064x}"


def entry(number: int, **changes: Any) -> Entry:
    return replace(
        Entry(
            key=key(number),
            function="team.tables.features",
            code_version="c0de",
            kind="numpy.ndarray",
            raw_size=2**40,
            stored_size=1000,
            created_at=NOON,
            last_used_at=NOON,
            seconds=2.5,
            creator="ana",
            value_digest="d1",
            parents=(key(900), key(901), key(900)),
        ),
        **changes,
    )


def touch(number: int, user: str = "ben", at: datetime = NOON + HOUR, saved: float = 2.5) -> Touch:
    return Touch(key(number), user, at.timestamp(), saved)


def missed(number: int, **changes: Any) -> Missed:
    return replace(
        Missed(
            key=key(number),
            function="team.tables.features",
            code_version="c0de",
            call_digest=f"call {number}",
            user="ben",
            at=NOON + HOUR,
            outcome="absent",
            arguments={"x": f"digest {number}"},
            code_parts={"function:team.tables:clean": "v1", "package:numpy": "2.3"},
        ),
        **changes,
    )


def reasons(index: Index) -> dict[str, int]:
    index.merge()
    return {counted.reason: counted.misses for counted in index.statistics().by_reason}


class IndexContract:
    """Runs over an `index`; `again()` opens the same one as another process would."""

    def test_nothing_is_there_before_the_first_record(self, index: Index) -> None:
        assert index.get(key(1)) is None
        assert index.find("") == []
        assert index.select(Selection()) == []
        assert index.statistics() == Statistics()
        assert index.merge() == []
        assert index.forget([key(1)]) == 0
        assert index.version() is None
        assert index.history.latest_miss("f") is None
        assert index.history.misses_of("") == []
        assert index.history.evictions_of("") == []
        assert index.history.code_versions("") == {}
        assert index.history.related("f", "v", "c", NOON, 3) == []
        assert index.history.accepted() == []

    def test_a_recorded_entry_comes_back_whole(self, index: Index) -> None:
        entries = [entry(1, expires_at=NOON + HOUR), entry(2, parents=(), value_digest=None, hits=3)]
        index.record(entries)
        assert [index.get(key(1)), index.get(key(2))] == entries
        assert index.get(key(3)) is None

    def test_another_index_at_the_same_place_sees_it(self, index: Index, again: Callable[[], Index]) -> None:
        index.record([entry(1)])
        assert again().get(key(1)) == entry(1)

    def test_many_entries_at_once(self, index: Index) -> None:
        entries = [entry(number) for number in range(1201)]
        index.record(reversed(entries))
        assert index.find("") == entries
        assert index.forget(entry.key for entry in entries) == 1201
        assert index.find("") == []

    def test_recording_again_replaces_all_but_the_uses(self, index: Index) -> None:
        index.record([entry(1)])
        index.touch(touch(1))
        index.merge()
        index.record([entry(1, stored_size=7, seconds=9.0, creator="cleo", kind="int", parents=(key(5),))])
        assert index.get(key(1)) == entry(
            1, stored_size=7, seconds=9.0, creator="cleo", kind="int", parents=(key(5),),
            hits=1, seconds_saved=2.5, last_used_at=NOON + HOUR,
        )  # fmt: skip

    def test_a_value_computed_again_has_been_used(self, index: Index) -> None:
        later = NOON + 9 * HOUR
        index.record([entry(1)])
        index.record([entry(1, created_at=later, last_used_at=later)])
        assert index.get(key(1)) == entry(1, created_at=later, last_used_at=later)

    def test_the_last_of_two_entries_with_one_key_counts(self, index: Index) -> None:
        index.record([entry(1, kind="int"), entry(1, kind="str")])
        found = index.get(key(1))
        assert found is not None
        assert found.kind == "str"

    def test_times_keep_their_moment_and_come_back_in_utc(self, index: Index) -> None:
        there = NOON.astimezone(timezone(timedelta(hours=-7)))
        index.record([entry(1, created_at=there, last_used_at=there)])
        found = index.get(key(1))
        assert found is not None
        assert (found.created_at, found.created_at.tzinfo) == (NOON, UTC)

    def test_touches_add_up_per_entry_and_user(self, index: Index) -> None:
        index.record([entry(1), entry(2, creator="ben")])
        for at in (NOON + 3 * HOUR, NOON + HOUR, NOON + 2 * HOUR):
            index.touch(touch(1, "ben", at))
        index.touch(touch(1, "cleo"))
        assert index.merge() == []
        index.touch(touch(1, "ben"))
        index.touch(touch(2, "cleo", saved=4.0))
        assert index.merge() == []
        assert index.get(key(1)) == entry(1, hits=5, seconds_saved=12.5, last_used_at=NOON + 3 * HOUR)
        assert index.statistics().by_user == (
            UserStatistics("ana", computed=1, seconds=2.5, reused=0, seconds_saved=0.0),
            UserStatistics("ben", computed=1, seconds=2.5, reused=4, seconds_saved=10.0),
            UserStatistics("cleo", computed=0, seconds=0.0, reused=2, seconds_saved=6.5),
        )

    def test_a_touch_before_the_last_use_does_not_move_it_back(self, index: Index) -> None:
        index.record([entry(1)])
        index.touch(touch(1, at=NOON - HOUR))
        index.merge()
        assert index.get(key(1)) == entry(1, hits=1, seconds_saved=2.5)

    def test_flushed_touches_are_merged_by_another(self, index: Index, again: Callable[[], Index]) -> None:
        index.record([entry(1)])
        index.touch(touch(1))
        index.flush()
        other = again()
        other.merge()
        assert other.get(key(1)) == entry(1, hits=1, seconds_saved=2.5, last_used_at=NOON + HOUR)
        index.merge()
        assert index.get(key(1)) == other.get(key(1))

    def test_closing_flushes_and_the_next_use_opens_again(
        self, index: Index, again: Callable[[], Index]
    ) -> None:
        index.record([entry(1)])
        index.touch(touch(1))
        index.close()
        other = again()
        other.merge()
        assert other.statistics().hits == 1
        assert index.statistics().hits == 1

    def test_orphans_are_returned_until_recorded_or_forgotten(self, index: Index) -> None:
        index.touch(touch(2))
        index.touch(touch(1))
        index.touch(touch(1, "cleo", saved=1.0))
        assert index.merge() == [key(1), key(2)]
        assert index.merge() == [key(1), key(2)]
        assert index.statistics() == Statistics()
        index.record([entry(1)])
        assert index.get(key(1)) == entry(1, hits=2, seconds_saved=3.5, last_used_at=NOON + HOUR)
        assert index.merge() == [key(2)]
        assert index.forget([key(2)]) == 0
        assert index.merge() == []

    def test_forgetting_takes_uses_and_parents_along(self, index: Index) -> None:
        index.record([entry(1), entry(2)])
        index.touch(touch(1))
        index.merge()
        assert index.forget([key(1), key(7), key(1)]) == 1
        assert index.get(key(1)) is None
        assert index.get(key(2)) == entry(2)
        index.record([entry(1, parents=())])
        assert index.get(key(1)) == entry(1, parents=())
        assert index.statistics().hits == 0

    def test_find_takes_a_prefix_literally(self, index: Index) -> None:
        ones, twos = "1" * 64, "12" * 32
        index.record([entry(1, key=twos), entry(1, key=ones)])
        assert [found.key for found in index.find("1")] == [ones, twos]
        assert [found.key for found in index.find("12")] == [twos]
        assert [found.key for found in index.find(ones)] == [ones]
        for nothing in ("2", "%", "*", "_", "1%", ones + "1", "1~"):
            assert index.find(nothing) == []

    def test_statistics_by_function(self, index: Index) -> None:
        index.record(
            [
                entry(1, function="b"),
                entry(2, function="a"),
                entry(3, function="b", raw_size=5, stored_size=3),
            ]
        )
        index.touch(touch(3))
        index.merge()
        found = index.statistics()
        rows = [
            (f.function, f.entries, f.raw_size, f.stored_size, f.hits, f.seconds, f.seconds_saved)
            for f in found.by_function
        ]
        assert rows == [("a", 1, 2**40, 1000, 0, 2.5, 0.0), ("b", 2, 2**40 + 5, 1003, 1, 5.0, 2.5)]
        assert all(type(number) is int for number in rows[1][1:5])
        totals = (found.entries, found.raw_size, found.stored_size, found.hits)
        assert totals == (3, 2**41 + 5, 2003, 1)
        assert (found.seconds_computing, found.seconds_saved) == (7.5, 2.5)

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("team.tables.features", {1}),
            ("features", {1, 4}),
            ("features*", {1, 2, 4}),
            ("FEATURES*", {3}),
            ("*", {1, 2, 3, 4, 5, 6}),
            ("team.*", {1, 2, 3, 6}),
            ("tables.features", set()),
            ("*.tables.features", {1, 4}),
            ("f_a", {5}),
            ("f%", set()),
            ("f?a", {5, 6}),
            ("f?a[0]", set()),
            ("h[0]", set()),
            ("feature", set()),
        ],
    )
    def test_select_by_function(self, index: Index, pattern: str, found: set[int]) -> None:
        names = {
            1: "team.tables.features", 2: "team.features_wide", 3: "team.FEATURES",
            4: "other.team.tables.features", 5: "m.f_a", 6: "team.m.<locals>.f.a",
        }  # fmt: skip
        index.record([entry(number, function=name) for number, name in names.items()])
        chosen = index.select(Selection(function=pattern))
        assert {int(entry.key, 16) for entry in chosen} == found

    def test_brackets_in_a_pattern_are_brackets(self, index: Index) -> None:
        index.record([entry(1, function="m.h[0]"), entry(2, function="m.h0"), entry(3, function="m.h\\0")])
        assert [found.function for found in index.select(Selection(function="h[0]"))] == ["m.h[0]"]
        assert [found.function for found in index.select(Selection(function="m.h\\?"))] == ["m.h\\0"]

    def test_select_by_creator_and_last_use(self, index: Index) -> None:
        index.record(
            [entry(n, creator="ab"[n % 2], last_used_at=NOON + n * HOUR, created_at=NOON) for n in range(4)]
        )
        selected = index.select(Selection(creator="b", unused_since=NOON + 3 * HOUR))
        assert [found.key for found in selected] == [key(1)]
        selected = index.select(Selection(unused_since=NOON + 2 * HOUR))
        assert [found.key for found in selected] == [key(1), key(0)]

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("last_used", [3, 1, 2]),
            ("size", [1, 2, 3]),
            ("hits", [2, 1, 3]),
            ("saved", [2, 3, 1]),
            ("created", [1, 3, 2]),
            ("function", [3, 2, 1]),
        ],
    )
    def test_select_sorts_and_limits(self, index: Index, sort: Any, order: list[int]) -> None:
        table = [
            # stored_size, hits, seconds_saved, function; created and used so many hours after noon
            (1, 9, 5, 1.0, "c", 3, 4),
            (2, 8, 7, 9.0, "b", 1, 2),
            (3, 7, 5, 3.0, "B", 2, 5),
        ]
        index.record(
            entry(
                number,
                stored_size=size,
                hits=hits,
                seconds_saved=saved,
                function=function,
                created_at=NOON + created * HOUR,
                last_used_at=NOON + used * HOUR,
            )
            for number, size, hits, saved, function, created, used in table
        )
        chosen = [int(found.key, 16) for found in index.select(Selection(sort=sort))]
        assert chosen == order
        for limit in range(5):
            limited = index.select(Selection(sort=sort, limit=limit))
            assert [int(found.key, 16) for found in limited] == order[:limit]

    def test_threads_share_an_index(self, index: Index) -> None:
        def work(user: str) -> None:
            for number in range(40):
                index.record([entry(number)])
                index.touch(touch(number, user, saved=1.0))
                if number % 10 == 0:
                    index.merge()

        threads = [threading.Thread(target=work, args=(user,)) for user in ("ben", "cleo", "dora")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert index.merge() == []
        assert [found.hits for found in index.find("")] == [3] * 40
        assert {user.user: user.reused for user in index.statistics().by_user} == {
            "ana": 0, "ben": 40, "cleo": 40, "dora": 40,
        }  # fmt: skip

    def test_misses_are_counted_by_function_and_reason(self, index: Index) -> None:
        for _ in range(3):
            index.miss(missed(1))
        index.miss(missed(1, user="cleo", outcome="corrupt"))
        index.miss(missed(2, function="other", outcome="expired"))
        index.merge()
        index.miss(missed(1, outcome="corrupt"))
        index.merge()
        statistics = index.statistics()
        counted = [(each.function, each.reason, each.misses) for each in statistics.by_reason]
        assert counted == [
            ("other", "expired", 1),
            ("team.tables.features", "corrupt", 2),
            ("team.tables.features", "never computed", 3),
        ]
        assert statistics.misses == 6

    @pytest.mark.parametrize(
        ("before", "reason"),
        [
            ({}, "new arguments"),
            ({"function": "other"}, "never computed"),
            ({"created_at": NOON + HOUR}, "never computed"),
            ({"call_digest": "call 1", "code_version": "old"}, "code changed"),
            ({"call_digest": "call 1", "code_version": "unknown"}, "code changed"),
            ({"call_digest": "call 1", "code_version": "packed"}, "package changed"),
            ({"call_digest": "call 1", "code_version": "old", "created_at": NOON + HOUR}, "never computed"),
        ],
    )  # fmt: skip
    def test_why_a_blob_is_absent(self, index: Index, before: dict[str, Any], reason: str) -> None:
        clean = "function:team.tables:clean"
        index.history.keep_versions(
            {
                "old": ("team.tables.features", {clean: "v0", "package:numpy": "2.3"}),
                "packed": ("team.tables.features", {clean: "v1", "package:numpy": "2.2"}),
            }
        )
        # The row of what was then computed is there before its miss is taken in.
        index.record([entry(1, created_at=NOON + 2 * HOUR, call_digest="call 1"), entry(2, **before)])
        index.miss(missed(1))
        assert reasons(index) == {reason: 1}

    def test_of_several_other_versions_the_latest_counts(self, index: Index) -> None:
        parts = {"function:team.tables:clean": "v1"}
        index.history.keep_versions(
            {
                "earlier": ("f", {**parts, "package:numpy": "2.1"}),
                "later": ("f", {"function:team.tables:clean": "v0", "package:numpy": "2.3"}),
            }
        )
        index.record(
            [
                entry(1, call_digest="call 3", code_version="later", created_at=NOON + HOUR / 2),
                entry(2, call_digest="call 3", code_version="earlier"),
            ]
        )
        index.miss(missed(3))
        assert reasons(index) == {"code changed": 1}

    def test_what_caching_cost_is_set_against_what_it_saved(self, index: Index) -> None:
        index.record([entry(1), entry(2), entry(3, function="other.f")])
        for number in (1, 2, 3):
            index.touch(touch(number))
        for function, seconds in (
            ("team.tables.features", 0.5),
            ("other.f", 0.25),
            ("team.tables.features", 1.0),
        ):
            index.spend(Spent(function, seconds))
        index.merge()
        before = index.statistics()
        assert before.seconds_spent == 1.75
        assert before.seconds_net == before.seconds_saved - 1.75
        assert {each.function: each.seconds_spent for each in before.by_function} == {
            "team.tables.features": 1.5,
            "other.f": 0.25,
        }
        # What was saved stays saved, also where nothing more was spent.
        assert index.forget([key(1), key(3)]) == 2
        after = index.statistics()
        assert after.seconds_saved < before.seconds_saved
        assert (after.seconds_spent, after.seconds_net) == (1.75, before.seconds_net)

    def test_what_was_given_up_is_noted_with_the_row_that_goes(self, index: Index) -> None:
        index.record([entry(1), entry(2)])
        gone = [Evicted(key(number), "ana", NOON, "gc", "old") for number in (2, 1)]
        assert index.forget([key(1), key(2)], gone) == 2
        assert index.history.evictions_of("") == gone[::-1]
        assert index.history.evictions_of(key(1)) == [gone[1]]
        index.miss(missed(1))
        index.miss(missed(2, at=NOON - HOUR))
        assert reasons(index) == {"evicted": 1, "never computed": 1}

    def test_what_was_given_up_is_forgotten_after_90_days(self, index: Index) -> None:
        index.record([entry(1), entry(2), entry(3)])
        for number, days in ((1, 0), (2, 89), (3, 91)):
            index.forget([key(number)], [Evicted(key(number), "ana", NOON + timedelta(days), "gc", "")])
        assert [each.key for each in index.history.evictions_of("")] == [key(2), key(3)]

    def test_the_latest_misses_are_found_by_function_and_key(self, index: Index) -> None:
        index.miss(missed(1))
        index.miss(missed(2, at=NOON + 2 * HOUR, outcome="corrupt"))
        index.miss(missed(3, function="other.f", at=NOON + 3 * HOUR))
        index.merge()
        found = index.history.latest_miss("features")
        assert found is not None
        assert (found.key, found.user, found.at, found.reason) == (key(2), "ben", NOON + 2 * HOUR, "corrupt")
        assert found.arguments == {"x": "digest 2"}
        assert found.code_parts == missed(1).code_parts
        assert index.history.latest_miss("tables.features") is None
        assert index.history.latest_miss("tea*") == found
        assert [each.key for each in index.history.misses_of("")] == [key(3), key(2), key(1)]
        assert [each.key for each in index.history.misses_of(key(1))] == [key(1)]

    def test_a_key_that_is_missed_again_is_one_miss_with_its_latest_reason(self, index: Index) -> None:
        index.miss(missed(1, at=NOON + 2 * HOUR, outcome="corrupt"))
        index.merge()
        index.miss(missed(1, at=NOON, user="cleo"))
        index.merge()
        (found,) = index.history.misses_of("")
        assert (found.reason, found.user, found.at) == ("corrupt", "ben", NOON + 2 * HOUR)

    def test_of_each_function_the_latest_32_misses_are_kept_and_all_are_counted(self, index: Index) -> None:
        index.miss(missed(9000, function="other"))
        for number in range(100):
            index.miss(missed(number, at=NOON + number * HOUR))
            if number % 30 == 0:
                index.merge()
        index.merge()
        kept = [int(each.key, 16) for each in index.history.misses_of("")]
        assert sorted(kept) == [*range(68, 100), 9000]
        assert index.statistics().misses == 101

    def test_parts_leave_a_process_once(self, index: Index, again: Callable[[], Index]) -> None:
        index.miss(missed(1))
        index.flush()
        index.miss(missed(2))
        index.merge()
        assert [each.code_parts for each in again().history.misses_of("")] == [missed(1).code_parts] * 2
        index.miss(missed(3, code_version="unheard", code_parts=None))
        index.merge()
        assert index.history.misses_of(key(3))[0].code_parts is None

    def test_code_versions_of_misses_and_of_rows_are_known(self, index: Index) -> None:
        index.record([entry(1, code_version="abc1"), entry(2, code_version="abd1", function="other")])
        index.miss(missed(3, code_version="abc2"))
        index.merge()
        features = "team.tables.features"
        assert index.history.code_versions("abc") == {"abc1": features, "abc2": features}
        assert index.history.code_versions("abd1") == {"abd1": "other"}
        assert index.history.code_versions("x") == {}

    def test_related_entries(self, index: Index) -> None:
        index.record(
            [
                entry(1, call_digest="call 9", code_version="old"),
                entry(2, call_digest="call 2", created_at=NOON + HOUR),
                entry(3, call_digest="call 3", code_version="old"),
                entry(4, call_digest="call 9", created_at=NOON + 5 * HOUR),
                entry(5, call_digest="call 9", function="other"),
                entry(6, call_digest="call 6", code_version="old", created_at=NOON + HOUR / 2),
            ]
        )

        def related(limit: int) -> list[int]:
            found = index.history.related("team.tables.features", "c0de", "call 9", NOON + 2 * HOUR, limit)
            return [int(each.key, 16) for each in found]

        assert related(10) == [1, 2, 6, 3]
        assert related(1) == [1, 2]

    def test_what_was_accepted_is_what_was_said_last(self, index: Index) -> None:
        assert index.history.accepted() == []
        marks = [Accepted(f"new{n}", "old", "f", "ana", NOON + n * HOUR) for n in range(3)]
        index.history.accept(marks)
        assert index.history.accepted() == marks
        index.history.accept([marks[2], marks[2]])
        assert index.history.accepted() == [marks[2]]
        index.history.accept([])
        assert index.history.accepted() == []

    def test_threads_note_misses(self, index: Index) -> None:
        def work(user: str) -> None:
            for number in range(60):
                index.miss(missed(number % 7, user=user, function=f"f{number % 3}"))
                if number % 10 == 0:
                    index.merge()

        threads = [threading.Thread(target=work, args=(user,)) for user in ("ben", "cleo", "dora")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        index.merge()
        assert index.statistics().misses == 180

    def test_version_and_migrate(self, index: Index) -> None:
        assert index.migrate() == index.version() == "0003"
        index.record([entry(1)])
        assert index.migrate() == "0003"
        assert index.get(key(1)) == entry(1)
