"""joblib.Memory for a team: each result is computed once, by anyone, anywhere.

Everything is imported when it is first used, so that `import cachestore` costs next to nothing.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cachestore.errors import (
        BlobError as BlobError,
    )
    from cachestore.errors import (
        CachestoreError as CachestoreError,
    )
