import warnings

import pytest

from cachestore.cache import open_cache
from cachestore.errors import CachestoreWarning
from cachestore.settings import Settings

REMOTE = "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"write_behind": True}, "no near directory .* Set near"),
        ({"near": "near", "near_limit": 4095}, "near_limit is 4095 bytes"),
        ({"near": "near", "near_limit": 10, "write_behind": True}, "near_limit is 10 bytes"),
    ],
)
def test_settings_of_a_near_directory_that_do_nothing_are_told(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(CachestoreWarning, match=said) as told:
        open_cache(Settings(location=REMOTE, **given))
    assert len(told) == 1
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"near_limit": 10},
        {"near": False, "write_behind": True},
        {"near": "near", "near_limit": 4096, "write_behind": True},
        # What lies in a directory is near already.
        {"location": "store", "write_behind": True},
        {"location": "store", "near": "near", "near_limit": 10},
    ],
)
def test_of_other_settings_nothing_is_told(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_cache(Settings(**{"location": REMOTE} | given))
