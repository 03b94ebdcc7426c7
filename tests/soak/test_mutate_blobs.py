"""Damage blobs of every kind: none of them gives a wrong value, is unpickled, or costs much memory.

`CACHESTORE_SOAK_MUTATIONS` is how many are tried, `CACHESTORE_SOAK_SEED` where the random numbers begin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

import cachestore.blob.reader
from cachestore.blob import BlobReader
from cachestore.errors import BlobError, CorruptBlob, NewerBlob
from tests.golden.blob_values import same
from tests.soak.blob_mutations import Sound, Source, values

ROOT = Path(__file__).parents[2]
MUTATIONS = int(os.environ.get("CACHESTORE_SOAK_MUTATIONS", "1000"))
SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", "0"))
MIB = 2**20


@pytest.mark.timeout(120 + MUTATIONS / 50)
def test_no_damaged_blob_gives_a_value() -> None:
    # In a process of its own: an audit hook cannot be taken back, nor a limit on memory.
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.blob_mutations", str(MUTATIONS), str(SEED)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60 + MUTATIONS / 50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(json.dumps(found, indent=1))
    assert found["wrong"] == []
    assert found["others"] == []
    assert found["differing"] == []  # both readers refuse the same
    assert found["unpickled"] == 0
    assert found["made"] == 0  # of an accident, not even what needs no pickle
    assert found["memory of bombs"] < 64 * MIB
    outcomes = found["outcomes"]
    assert sum(outcomes.values()) == 2 * (MUTATIONS + found["bombs"])
    # Something was tried, and where digests are right again, the numbers are looked at.
    assert len({outcome.rpartition(":")[0] for outcome in outcomes}) == 9 + 12 + 1
    assert outcomes["forged: field: CorruptBlob"] > outcomes["forged: field: read"] > 0
    assert outcomes["forged: features: NewerBlob"] > 0


BLOBS = [Sound(value, compress) for value, compress in values()]
NUMBERS = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 64, 2**22, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 10**15])
)


@st.composite
def edits(draw: Any) -> tuple[Sound, bytes]:
    """Draw a blob and what has become of it: bytes replaced, put in, or taken out."""
    sound = draw(st.sampled_from(BLOBS))
    data = bytearray(sound.data)
    for _ in range(draw(st.integers(1, 3))):
        near_end = draw(st.booleans())
        off = draw(st.integers(0, min(len(data), 2000) if near_end else len(data)))
        at = len(data) - off if near_end else off
        new = draw(st.binary(max_size=12) | NUMBERS.map(lambda number: number.to_bytes(8, "little")))
        data[at : at + draw(st.sampled_from([0, len(new), len(new), len(new), 40]))] = new
    return sound, bytes(data)


def outcome(data: bytes, act: Any) -> Any:
    try:
        return act(BlobReader.open(Source(data, MIB)))
    except (CorruptBlob, NewerBlob) as error:
        return error


@given(edits())
@settings(max_examples=max(200, MUTATIONS // 20))
def test_no_edited_blob_gives_another_value(edited: tuple[Sound, bytes]) -> None:
    sound, data = edited
    made: list[object] = []
    value_of = cachestore.blob.reader.value_of

    def counting(*given: Any, **how: Any) -> object:
        made.append(given)
        return value_of(*given, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cachestore.blob.reader, "value_of", counting)
        found = outcome(data, BlobReader.value)
        checked = outcome(data, BlobReader.verify)
    if data == sound.data:
        assert same(found, sound.value)
        assert checked is None
    elif len(data) <= MIB or len(data) == len(sound.data):  # else some bytes may never be asked for
        assert isinstance(found, BlobError)
        assert isinstance(checked, BlobError)
        assert not made


@given(st.sampled_from(BLOBS), st.data())
@settings(max_examples=max(200, MUTATIONS // 20))
def test_a_table_that_lies_under_the_right_digests_gives_the_right_value_or_none(
    sound: Sound, data: st.DataObject
) -> None:
    trailer = sound.trailer
    table = bytearray(sound.data[trailer.table_offset :][: trailer.table_length])
    size = data.draw(st.sampled_from([1, 4, 8]))
    at = data.draw(st.integers(0, len(table) - size))
    number = data.draw(NUMBERS) % 2 ** (8 * size)
    table[at : at + size] = number.to_bytes(size, "little")
    sealed = trailer._replace(table_digest=blake3(bytes(table)).digest()).pack()
    forged = sound.data[: trailer.table_offset] + bytes(table) + sealed
    try:
        found = BlobReader.open(Source(forged, 2**16)).value(policy="data")
    except BlobError:
        return
    assert same(found, sound.value)
