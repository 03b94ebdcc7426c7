"""Metadata: a JSON round trip, and no surprises from JSON that somebody else wrote."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore.blob import Metadata, Parent
from cachestore.errors import CorruptBlob

texts = st.text(max_size=20)
mappings = st.dictionaries(texts, texts, max_size=3)
times = st.datetimes(
    min_value=datetime(1900, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-9))]),
)


@given(
    st.builds(
        Metadata,
        key=texts,
        function=texts,
        code_version=texts,
        code_parts=mappings,
        arguments=mappings,
        started_at=times,
        seconds=st.floats(0, allow_infinity=False),
        creator=texts,
        python=texts,
        packages=mappings,
        parents=st.lists(st.builds(Parent, texts, st.none() | texts), max_size=3).map(tuple),
        value_digest=st.none() | texts,
        kind=texts,
        raw_size=st.integers(0),
        expires_at=st.none() | times,
        epoch=st.integers(0, 2**63),
        drew_random=st.booleans(),
    )
)
def test_metadata_survive_json(metadata: Metadata) -> None:
    again = Metadata.from_json(metadata.to_json())
    assert again == metadata
    assert again.started_at.tzinfo is UTC


def test_each_field_is_a_member_and_none_is_left_out(metadata: Metadata) -> None:
    assert list(json.loads(metadata.to_json())) == [field.name for field in fields(Metadata)]


def test_members_of_later_versions_are_passed_over(metadata: Metadata) -> None:
    members = json.loads(metadata.to_json()) | {"colour": ["blue"]}
    assert Metadata.from_json(json.dumps(members).encode()) == metadata


@pytest.mark.parametrize("name", [field.name for field in fields(Metadata)])
@pytest.mark.parametrize(
    "wrong", ["absent", [[]], {"a": 1}, -1, 1.5j], ids=["absent", "array", "object", "-1", "text"]
)
def test_a_member_that_is_absent_or_of_another_type_is_corruption(
    metadata: Metadata, name: str, wrong: Any
) -> None:
    members = json.loads(metadata.to_json())
    if wrong == "absent":
        del members[name]
    elif wrong == 1.5j:
        members[name] = "no such thing" if not isinstance(members[name], str) or name.endswith("_at") else 7
        if name == "value_digest":
            members[name] = 7
    elif wrong == -1 and name == "seconds":
        members[name] = True
    else:
        members[name] = wrong
    with pytest.raises(CorruptBlob, match="metadata"):
        Metadata.from_json(json.dumps(members).encode())


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"7", b"{", b"\xff\xfe", b"[" * 100_000, b'{"key":' + b"9" * 5000 + b"}", b'{"key": "a"}'],
    ids=["empty", "array", "number", "cut", "no text", "deep", "long number", "incomplete"],
)
def test_what_is_no_metadata_is_corruption(raw: bytes) -> None:
    with pytest.raises(CorruptBlob, match="metadata"):
        Metadata.from_json(raw)


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "1e999"])
def test_seconds_are_finite(metadata: Metadata, raw: str) -> None:
    with pytest.raises(CorruptBlob, match="number"):
        Metadata.from_json(metadata.to_json().replace(b'"seconds":12.5', f'"seconds":{raw}'.encode()))


@pytest.mark.parametrize("name", ["started_at", "expires_at"])
def test_times_have_a_zone(metadata: Metadata, name: str) -> None:
    naive = datetime(2026, 1, 1)
    with pytest.raises(ValueError, match=name):
        replace(metadata, **{name: naive})
    raw = json.dumps(json.loads(metadata.to_json()) | {name: "2026-01-01T00:00:00"}).encode()
    with pytest.raises(CorruptBlob, match="time zone"):
        Metadata.from_json(raw)
