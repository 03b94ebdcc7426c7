import pytest

from cachestore.cache.migration import migrate_index
from cachestore.errors import StorageError
from cachestore.settings import Settings


def test_the_index_of_a_store_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(StorageError, match="There is no store at"):
        migrate_index(Settings(location=str(tmp_path / "store")))
    assert not any(tmp_path.iterdir())


def test_an_index_that_was_named_is_made_before_its_store(tmp_path):
    settings = Settings(location=str(tmp_path / "store"), index=str(tmp_path / "index.sqlite"))
    first, second = migrate_index(settings), migrate_index(settings)
    assert first.before is None
    assert first.after == second.before == second.after
    assert [path.name for path in tmp_path.iterdir()] == ["index.sqlite"]
