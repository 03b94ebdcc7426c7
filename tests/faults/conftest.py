import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other accounts may enter; those of pytest are closed again by each run that begins."""
    with tempfile.TemporaryDirectory(prefix="cachestore-faults-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
