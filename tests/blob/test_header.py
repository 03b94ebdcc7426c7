"""The header and the trailer: what a reader learns first, and refuses first."""

from __future__ import annotations

import pytest
from blake3 import blake3

from cachestore.blob.header import (
    HEADER_LENGTH,
    METADATA_LIMIT,
    TABLE_LIMIT,
    TRAILER_LENGTH,
    Trailer,
    pack_header,
)
from cachestore.errors import BlobError, CorruptBlob, NewerBlob

SOUND = Trailer(
    table_digest=bytes(range(32)),
    metadata_offset=1000,
    metadata_length=300,
    table_offset=1300,
    table_length=152,
    total_length=1452 + TRAILER_LENGTH,
)


def tail(trailer: Trailer, *, available: int | None = None) -> memoryview:
    packed = trailer.pack()
    return memoryview(
        packed.rjust(min(trailer.total_length, 2000) if available is None else available, b"\0")
    )


def test_what_is_packed_is_parsed() -> None:
    assert Trailer.parse(tail(SOUND)) == SOUND
    assert len(SOUND.pack()) == TRAILER_LENGTH
    assert SOUND.header() == (pack_header(), blake3(pack_header()).digest())
    assert len(pack_header()) == HEADER_LENGTH


def test_the_trailer_is_found_at_the_end_of_a_part_of_the_blob() -> None:
    assert Trailer.parse(tail(SOUND, available=200)) == SOUND


@pytest.mark.parametrize("index", range(TRAILER_LENGTH))
def test_a_changed_byte_is_corruption_never_a_newer_format(index: int) -> None:
    raw = bytearray(tail(SOUND))
    raw[-TRAILER_LENGTH + index] ^= 1 << index % 8
    with pytest.raises(CorruptBlob):
        Trailer.parse(memoryview(raw))


@pytest.mark.parametrize("length", [0, 1, HEADER_LENGTH, TRAILER_LENGTH])
def test_too_few_bytes_are_no_blob(length: int) -> None:
    with pytest.raises(CorruptBlob, match=f"{length} bytes"):
        Trailer.parse(memoryview(SOUND.pack()[-length:] if length else b""))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"format": 2}, "format 2"),
        ({"format": 2**32 - 1}, "format 4294967295"),
        ({"must_understand": 6}, "0x00000006"),
    ],
)
def test_what_a_later_cachestore_wrote_is_newer(changes: dict[str, int], named: str) -> None:
    with pytest.raises(NewerBlob, match=named):
        Trailer.parse(tail(SOUND._replace(**changes)))


def test_format_0_is_not_read_any_more_and_no_corruption() -> None:
    with pytest.raises(BlobError, match=r"format 0.*before the first release") as caught:
        Trailer.parse(tail(SOUND._replace(format=0)))
    assert not isinstance(caught.value, CorruptBlob | NewerBlob)


def test_a_newer_format_need_not_add_up() -> None:
    with pytest.raises(NewerBlob):
        Trailer.parse(tail(SOUND._replace(format=2, metadata_offset=0, table_offset=7)))


def test_features_that_may_be_ignored_are_ignored_with_their_appendix() -> None:
    signed = SOUND._replace(may_ignore=1, appendix_length=64, total_length=SOUND.total_length + 64)
    assert Trailer.parse(tail(signed)) == signed


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata_offset": 999},
        {"metadata_offset": HEADER_LENGTH - 1, "metadata_length": 1300 - HEADER_LENGTH + 1},
        {"metadata_length": 301},
        {"table_offset": 1301},
        {"table_length": 151},
        {"total_length": SOUND.total_length + 1},
        {"total_length": SOUND.total_length - 1},
        {"appendix_length": 8, "total_length": SOUND.total_length + 8},
        {"metadata_length": 2**64 - 1000 + 300},
    ],
    ids=str,
)
def test_numbers_that_do_not_add_up_are_corrupt(changes: dict[str, int]) -> None:
    changed = {name: value % 2**64 for name, value in changes.items()}
    with pytest.raises(CorruptBlob, match="add up"):
        Trailer.parse(tail(SOUND._replace(**changed)))


def test_a_blob_shorter_than_what_is_at_hand_is_corrupt() -> None:
    with pytest.raises(CorruptBlob, match="add up"):
        Trailer.parse(tail(SOUND, available=SOUND.total_length + 1))


@pytest.mark.parametrize(("section", "limit"), [("metadata", METADATA_LIMIT), ("table", TABLE_LIMIT)])
def test_sections_over_their_limit_are_refused(section: str, limit: int) -> None:
    def declaring(length: int) -> Trailer:
        lengths = {"metadata": 300, "table": 152, section: length}
        table_offset = 1000 + lengths["metadata"]
        return SOUND._replace(
            metadata_length=lengths["metadata"],
            table_offset=table_offset,
            table_length=lengths["table"],
            total_length=table_offset + lengths["table"] + TRAILER_LENGTH,
        )

    Trailer.parse(tail(declaring(limit)))
    with pytest.raises(CorruptBlob, match=rf"{limit + 1}( bytes)? of {section}"):
        Trailer.parse(tail(declaring(limit + 1)))
