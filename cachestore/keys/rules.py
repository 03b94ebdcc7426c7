"""What a team has settled: whose code counts by its source, and how finely versions of the rest count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cachestore.settings import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """Says how code is looked at, wherever a setting decides.

    Parameters
    ----------
    first_party
        Modules, or patterns of such, that are the team's own though they were installed from an index.
    package_versions
        How finely the version of each named package counts: `exact`, `minor` or `ignore`.
    other_versions
        The same for all other packages.
    project
        The name of the project; None where it is found beside the code.
    """

    first_party: tuple[str, ...] = ()
    package_versions: tuple[tuple[str, str], ...] = ()
    other_versions: str = "minor"
    project: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Return the rules that the settings name."""
        fineness = settings.package_versions
        if not isinstance(fineness, Mapping):
            fineness = {"default": fineness}
        named = tuple(sorted((name, choice) for name, choice in fineness.items() if name != "default"))
        return cls(tuple(settings.first_party), named, fineness.get("default", "minor"), settings.project)

    def fineness(self, package: str) -> str:
        """Say how finely the version of a package counts.

        Examples
        --------
        >>> Rules(package_versions=(("numpy", "exact"),)).fineness("numpy")
        'exact'
        """
        return dict(self.package_versions).get(package, self.other_versions)


DELIVERED = Rules()
"""What holds where nothing was settled."""
