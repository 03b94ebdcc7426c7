"""What a team or a user sets once, and where each value came from.

`find_settings` looks at the environment, then `cachestore.toml` or `[tool.cachestore]` in the nearest
`pyproject.toml`, then the defaults. Quantities (`30d`, `10GB`) are read here too, for everybody.
May import `errors` only. Never opens a store.
"""

from cachestore.settings.quantities import parse_duration, parse_size
from cachestore.settings.settings import (
    MinSeconds,
    Settings,
    check_min_seconds,
    is_url,
    without_password,
)
from cachestore.settings.sources import (
    adopt,
    find_settings,
    give_back,
    settings_here,
    unknown_variables,
)

__all__ = [
    "MinSeconds",
    "Settings",
    "adopt",
    "check_min_seconds",
    "find_settings",
    "give_back",
    "is_url",
    "parse_duration",
    "parse_size",
    "settings_here",
    "unknown_variables",
    "without_password",
]
