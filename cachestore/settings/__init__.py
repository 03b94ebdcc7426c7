"""What a team or a user sets once, and where each value came from.

`find_settings` looks at the environment, then `cachestore.toml` or `[tool.cachestore]` in the nearest
`pyproject.toml`, then the defaults. Quantities (`30d`, `10GB`) are read here too, for everybody.
May import `errors` only. Never opens a store.
"""

from cachestore.settings.quantities import parse_duration, parse_size
from cachestore.settings.settings import Settings
from cachestore.settings.sources import adopt, adopted, find_settings

__all__ = ["Settings", "adopt", "adopted", "find_settings", "parse_duration", "parse_size"]
