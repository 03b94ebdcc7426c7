"""What joblib's objects say in the log and on the screen."""

from __future__ import annotations

import logging
import time

_logger = logging.getLogger("cachestore.memory")


class Logged:
    """Logs in its own name, as joblib's objects do."""

    __slots__ = ()

    timestamp: float | None

    def warn(self, message: str) -> None:
        """Log a warning."""
        _logger.warning("[%s]: %s", self, message)

    def info(self, message: str) -> None:
        """Log what is worth knowing."""
        _logger.info("[%s]: %s", self, message)

    def debug(self, message: str) -> None:
        """Log a detail."""
        _logger.debug("[%s]: %s", self, message)

    def _print_loading(self, what: str, place: str, verbose: float) -> None:
        if verbose > 1:
            from joblib.logger import format_time

            age = "" if self.timestamp is None else f"{format_time(time.time() - self.timestamp):<16}"
            print(f"[Memory]{age}: Loading {what}{'...' if verbose < 10 else f' from {place}'}")
