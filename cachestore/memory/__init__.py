"""joblib's front: `Memory` and what it hands out, word for word, over a `Cache`.

Nothing but the joblib-shaped skin: what makes two calls the same is decided in `keys`, what is stored in `cache`.
May import `parallel`, `cache`, `keys`, `settings`, `errors`. joblib itself is imported only where its own text is
printed.
"""

from cachestore.memory.async_memorized_func import AsyncMemorizedFunc, AsyncNotMemorizedFunc
from cachestore.memory.memorized_func import MemorizedFunc, NotMemorizedFunc
from cachestore.memory.memory import Memory, open_memory
from cachestore.memory.results import MemorizedResult, NotMemorizedResult
from cachestore.memory.validation import expires_after

__all__ = [
    "AsyncMemorizedFunc",
    "AsyncNotMemorizedFunc",
    "MemorizedFunc",
    "MemorizedResult",
    "Memory",
    "NotMemorizedFunc",
    "NotMemorizedResult",
    "expires_after",
    "open_memory",
]
