from __future__ import annotations

import pytest

from cachestore.storage.paths import (
    blob_path,
    checked_path,
    is_temporary,
    key_of,
    temporary_path,
    version_path,
)

KEY = "ab" + 62 * "0"


def test_the_layout_is_as_it_always_was():
    assert blob_path(KEY) == f"blobs/ab/{KEY}"
    assert version_path(KEY) == f"versions/ab/{KEY}"
    assert key_of(f"blobs/ab/{KEY}") == KEY


@pytest.mark.parametrize("key", ["", "ab", KEY.upper(), KEY + "0", "../" + KEY[3:], KEY[:-1] + "\n"])
def test_only_digests_have_a_path(key):
    with pytest.raises(ValueError, match="is no digest"):
        blob_path(key)
    with pytest.raises(ValueError, match="is no digest"):
        version_path(key)


@pytest.mark.parametrize(
    "path",
    [
        "store.json", KEY, f"blobs/{KEY}", f"blobs/ac/{KEY}", f"versions/ab/{KEY}", f"blobs/ab/{KEY}/x",
        f"blobs/ab/{KEY}\n", f"x/blobs/ab/{KEY}", f"blobs/ab/{KEY[:-1]}",
        pytest.param(temporary_path(blob_path(KEY)), id="temporary"),  # another one in each process
    ],
)  # fmt: skip
def test_elsewhere_lies_no_blob(path):
    assert key_of(path) is None


def test_temporary_names_lie_beside_and_are_never_the_same():
    names = {temporary_path(blob_path(KEY)) for _ in range(1000)}
    assert len(names) == 1000
    assert {name.rpartition("/")[0] for name in names} == {"blobs/ab"}
    assert all(is_temporary(checked_path(name)) for name in names)
    assert is_temporary(temporary_path("store.json"))


@pytest.mark.parametrize(
    "path", ["store.json", blob_path(KEY), ".tmp-", ".tmp-0123456789abcdef/x", "a.tmp-0123456789abcdef"]
)
def test_nothing_else_is_temporary(path):
    assert not is_temporary(path)
