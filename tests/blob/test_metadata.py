"""Metadata: a round trip through the table's head and JSON, and no surprises from what somebody else wrote."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore.blob import Metadata, Parent
from cachestore.blob.table import NEVER, NO_DIGEST, Head
from cachestore.errors import CorruptBlob

D = bytes(range(32))
IN_HEAD = {"key", "seconds", "value_digest", "expires_at", "epoch"}
IN_JSON = [field.name for field in fields(Metadata) if field.name not in IN_HEAD]

texts = st.text(max_size=20)
digests = st.binary(min_size=32, max_size=32).filter(any).map(bytes.hex)
mappings = st.dictionaries(texts, texts, max_size=3)
times = st.datetimes(
    min_value=datetime(1900, 1, 1),
    max_value=datetime(9000, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-9))]),
)


def head_of(metadata: Metadata) -> Head:
    return metadata.to_head(header_digest=D, metadata_digest=D[::-1])


def read(metadata: Metadata, **changes: Any) -> Metadata:
    """Read what `metadata` write, some members of the JSON changed."""
    raw = json.dumps(json.loads(metadata.to_json()) | changes).encode()
    return Metadata.read(raw, head_of(metadata), raw_size=metadata.raw_size)


@given(
    st.builds(
        Metadata,
        key=digests,
        function=texts,
        code_version=texts,
        code_parts=mappings,
        arguments=mappings,
        started_at=times,
        seconds=st.floats(-1e9, 1e9),
        creator=texts,
        python=texts,
        packages=mappings,
        parents=st.lists(st.builds(Parent, texts, st.none() | texts), max_size=3).map(tuple),
        value_digest=st.none() | digests,
        kind=texts,
        raw_size=st.integers(0),
        expires_at=st.none() | times,
        epoch=st.integers(0, 2**63),
        drew_random=st.booleans(),
        summaries=mappings,
    )
)
def test_metadata_survive(metadata: Metadata) -> None:
    again = Metadata.read(metadata.to_json(), head_of(metadata), raw_size=metadata.raw_size)
    assert again == metadata
    assert again.started_at.tzinfo is UTC


def test_each_field_is_in_the_head_or_a_member_and_none_is_left_out(metadata: Metadata) -> None:
    assert list(json.loads(metadata.to_json())) == IN_JSON
    head = head_of(replace(metadata, expires_at=datetime(1970, 1, 2, tzinfo=UTC), value_digest="01" * 32))
    assert head == Head(D, D[::-1], b"\xab" * 32, b"\x01" * 32, 12.5, 86_400_000_000, 3)


def test_what_a_blob_does_not_have_is_zero_in_the_head(metadata: Metadata) -> None:
    head = head_of(replace(metadata, key=""))
    assert (head.key, head.value_digest, head.expires) == (NO_DIGEST, NO_DIGEST, NEVER)
    assert (head.key_text, head.value_digest_text) == ("", None)
    again = read(replace(metadata, key=""))
    assert (again.key, again.value_digest, again.expires_at) == ("", None, None)


@pytest.mark.parametrize("name", ["key", "value_digest"])
@pytest.mark.parametrize("text", ["ab", "ab" * 31, "ab" * 33, "xy" * 32, "a"])
def test_digests_are_of_64_hexadecimal_digits(metadata: Metadata, name: str, text: str) -> None:
    with pytest.raises(ValueError):
        head_of(replace(metadata, **{name: text}))


def test_members_of_later_versions_are_passed_over(metadata: Metadata) -> None:
    assert read(metadata, colour=["blue"]) == metadata


WRONG = {
    str: [None, [[]], {"a": 1}, -1, True],
    dict: [None, [[]], {"a": 1}, -1, "a"],
    list: [None, [[]], {"a": 1}, [["a", 1]], [["a", None, None]], [[None, "a"]], "a"],
    int: [None, -1, 1.5, True, "1"],
    bool: [None, 1, "true", []],
    type(None): [1, True, [], {}],
}


@pytest.mark.parametrize("name", IN_JSON)
def test_a_member_of_another_type_is_corruption(metadata: Metadata, name: str) -> None:
    sound = type(json.loads(metadata.to_json())[name])
    for wrong in [*WRONG[sound], *(["no such time"] if name == "started_at" else [])]:
        with pytest.raises(CorruptBlob, match="metadata"):
            read(metadata, **{name: wrong})


@pytest.mark.parametrize("name", IN_JSON)
def test_a_member_that_is_absent_is_corruption(metadata: Metadata, name: str) -> None:
    members = json.loads(metadata.to_json())
    del members[name]
    with pytest.raises(CorruptBlob, match=f"metadata.*{name}"):
        Metadata.read(json.dumps(members).encode(), head_of(metadata), raw_size=metadata.raw_size)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"raw_size":' + b"9" * 5000 + b"}",
        b'{"kind": "a"}',
    ],
    ids=["empty", "array", "number", "cut", "no text", "deep", "long number", "incomplete"],
)
def test_what_is_no_metadata_is_corruption(metadata: Metadata, raw: bytes) -> None:
    with pytest.raises(CorruptBlob, match="metadata"):
        Metadata.read(raw, head_of(metadata), raw_size=metadata.raw_size)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf")])
def test_seconds_are_finite(metadata: Metadata, seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        replace(metadata, seconds=seconds)
    with pytest.raises(CorruptBlob, match="seconds"):
        Metadata.read(
            metadata.to_json(), head_of(metadata)._replace(seconds=seconds), raw_size=metadata.raw_size
        )


@pytest.mark.parametrize("expires", [NEVER + 1, 2**63 - 1])
def test_an_expiry_outside_of_all_years_is_corruption(metadata: Metadata, expires: int) -> None:
    with pytest.raises(CorruptBlob, match="metadata"):
        Metadata.read(
            metadata.to_json(), head_of(metadata)._replace(expires=expires), raw_size=metadata.raw_size
        )


@pytest.mark.parametrize("name", ["started_at", "expires_at"])
def test_times_have_a_zone(metadata: Metadata, name: str) -> None:
    naive = datetime(2026, 1, 1)
    with pytest.raises(ValueError, match=name):
        replace(metadata, **{name: naive})


def test_a_time_without_a_zone_in_json_is_corruption(metadata: Metadata) -> None:
    with pytest.raises(CorruptBlob, match="time zone"):
        read(metadata, started_at="2026-01-01T00:00:00")


@pytest.mark.parametrize(
    "changes",
    [
        {"parents": ["ab"]},
        {"parents": [{"a": 1, "b": 2}]},
        {"encoding": "abc"},
        {"encoding": "no hexadecimal"},
        {"encoding": "ab cd"},
        {"creator": "\ud800"},
        {"summaries": {"x": "\udc80"}},
        {"arguments": {"\udfff": "x"}},
    ],
    ids=str,
)
def test_a_member_that_no_writer_writes_is_corruption(metadata: Metadata, changes: dict[str, Any]) -> None:
    with pytest.raises(CorruptBlob, match="metadata"):
        read(metadata, **changes)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "utf-8-sig"])
def test_metadata_are_in_utf_8(metadata: Metadata, encoding: str) -> None:
    raw = metadata.to_json().decode().encode(encoding)
    with pytest.raises(CorruptBlob, match="metadata"):
        Metadata.read(raw, head_of(metadata), raw_size=metadata.raw_size)


def test_half_a_surrogate_pair_is_written_as_a_question_mark(metadata: Metadata) -> None:
    found = read(replace(metadata, creator="a\udc80é😀", summaries={"\ud800": "\\ud800"}))
    assert (found.creator, found.summaries) == ("a?é😀", {"?": "\\ud800"})


@pytest.mark.parametrize("seconds", [1e12, -1e12, 1e300])
def test_a_computation_ends_in_a_year_that_there_is(metadata: Metadata, seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        replace(metadata, seconds=seconds)
    with pytest.raises(CorruptBlob, match="seconds"):
        Metadata.read(
            metadata.to_json(), head_of(metadata)._replace(seconds=seconds), raw_size=metadata.raw_size
        )
