"""The settings as one value, and what of it may leave the process."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

from cachestore.errors import SettingsError
from cachestore.settings.quantities import parse_size

# Options of fsspec's filesystems that say where and how, never who: an allow-list, so that the secrets of a
# filesystem that nobody here has heard of stay out of every blob as well.
_PUBLIC_OPTIONS = frozenset(
    {
        "account_host", "account_name", "addressing_style", "anon", "client_kwargs", "config_kwargs",
        "default_block_size", "default_fill_cache", "endpoint_url", "host", "port", "profile", "project",
        "region_name", "request_timeout", "requester_pays", "s3", "signature_version", "timeout", "use_ssl",
        "version_aware",
    }
)  # fmt: skip

# Databases take a password as it is, slashes and all; elsewhere a path begins at the first slash, unless what stands
# before it has a colon that begins no port: secrets of S3 often hold a slash.
_DATABASE = re.compile(r"(?P<scheme>postgres\w*(?:\+\w+)?://)(?P<user>[^?#]*)@(?P<rest>.*)", re.DOTALL)
_PLACE = re.compile(
    r"(?P<scheme>[^:/]+:/+)(?P<user>[^/?#@:]*:(?!\d+(?:[/?#]|$))[^?#]*|[^/?#]*)@(?P<rest>.*)", re.DOTALL
)
# Of a query only what says where and how is kept.
_PUBLIC_QUERY = frozenset(
    {
        "application_name", "connect_timeout", "dbname", "host", "hostaddr", "port", "service", "sslmode",
        "sslrootcert", "target_session_attrs", "user",
    }
)  # fmt: skip

# A day: who waits longer does not wait for an answer.
_LONGEST = 86_400

MinSeconds = float | Literal["measured"] | None

PACKAGE_VERSIONS = ("exact", "minor", "ignore")

LoadPolicy = Literal["any", "data"]
LOAD_POLICIES: Final[tuple[LoadPolicy, ...]] = ("any", "data")

Compress = bool | int | str | tuple[str, int] | None


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Holds everything that decides which cache is opened and how.

    Parameters
    ----------
    location
        The store: a directory or an fsspec URL; None does not cache.
    index
        The index: an SQLAlchemy URL, or the path of an SQLite file; None chooses by the store.
    storage_options
        The options of the fsspec filesystem.
    user
        Who makes and uses entries; None is the login name.
    compress
        How blobs are compressed; None looks at the data.
    verbose
        joblib's verbosity of a `Memory` that `cachestore.open()` gives.
    timeout
        Seconds that one operation on a remote store or index may take in all.
    near
        A directory of this machine that keeps copies of what a remote store holds; None or False keeps none. What
        lies at a directory is near already, and has no copies.
    near_limit
        How many bytes of copies to keep for each remote store; or a text such as `10GB`.
    write_behind
        Whether results are sent to a remote store in the background, once they are near.
    durable
        Whether a result that was put into a directory is on the disk, whatever happens to the machine then.
    min_seconds
        What is computed in less is not stored; `measured` does not store what takes longer to be read than to be
        computed, as far as this process has seen. None stores everything.
    read_only
        Whether results that are found are used, and none are stored.
    reuse_unseeded
        Whether folds of estimators that drew random numbers without a seed are reused.
    keep_sources
        Whether the store keeps the source of the team's own functions and classes, to show what changed.
    value_summaries
        Whether entries keep a short text of each argument, to show how calls differ. It may hold secrets.
    first_party
        Modules that count as the team's own though they were installed from an index: names, or patterns (`acme_*`).
    package_versions
        How finely versions of installed packages count: `exact`, `minor` or `ignore`; or a mapping of package to one
        of these, where `default` stands for the rest.
    project
        What keeps functions of an explicit version apart from those of other repositories; None is the name in the
        nearest `pyproject.toml` above the function's file.
    check_arguments
        Whether arguments are digested again after each call, so that functions that change theirs are found; None
        does so in Python's development mode (`python -X dev`).
    load_policy
        What is read from stores: `any` value, or `data` only, which never unpickles.
    """

    location: str | None = None
    index: str | None = None
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    compress: Compress = None
    verbose: int = 0
    timeout: float = 5.0
    near: str | Literal[False] | None = None
    near_limit: int | str = 10 * 10**9
    write_behind: bool = False
    durable: bool = True
    min_seconds: MinSeconds = None
    read_only: bool = False
    reuse_unseeded: bool = True
    keep_sources: bool = True
    value_summaries: bool = False
    first_party: tuple[str, ...] = ()
    package_versions: str | Mapping[str, str] = "minor"
    project: str | None = None
    check_arguments: bool | None = None
    load_policy: LoadPolicy = "any"

    def __post_init__(self) -> None:
        """Refuse values without a meaning at once."""
        if not isinstance(self.storage_options, Mapping):
            # Its value is not shown: it may hold a secret.
            raise SettingsError(
                f"storage_options is a {type(self.storage_options).__name__}. "
                "Give a mapping of the filesystem's options."
            )
        if (
            isinstance(self.timeout, bool)
            or not isinstance(self.timeout, int | float)
            or not 0 < self.timeout <= _LONGEST
        ):
            raise SettingsError(
                f"timeout is {self.timeout!r}. Give a number of seconds, above 0 and up to {_LONGEST}."
            )
        if isinstance(self.verbose, bool) or not isinstance(self.verbose, int | float):
            raise SettingsError(f"verbose is {self.verbose!r}. Give a number, 0 for silence.")
        self._check_near()
        check_min_seconds(self.min_seconds)
        for name in (
            "reuse_unseeded",
            "keep_sources",
            "value_summaries",
            "write_behind",
            "durable",
            "read_only",
        ):
            if not isinstance(getattr(self, name), bool):
                raise SettingsError(f"{name} is {getattr(self, name)!r}. Give true or false.")
        if isinstance(self.first_party, str) or not all(isinstance(name, str) for name in self.first_party):
            raise SettingsError(f"first_party is {self.first_party!r}. Give a list of modules: ['acme'].")
        self._check_package_versions()
        if self.check_arguments not in (True, False, None):
            raise SettingsError(f"check_arguments is {self.check_arguments!r}. Give true or false.")
        if self.load_policy not in LOAD_POLICIES:
            raise SettingsError(f"load_policy is {self.load_policy!r}. Give any or data.")
        for name in ("location", "index", "user", "project"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise SettingsError(f"{name} is {value!r}. Give a text that is not empty.")

    def _check_near(self) -> None:
        if self.near not in (None, False) and (not isinstance(self.near, str) or not self.near.strip()):
            raise SettingsError(f"near is {self.near!r}. Name a directory, or give false for none.")
        if isinstance(self.near, str) and is_url(self.near):
            shown = without_password(self.near)
            raise SettingsError(f"near is {shown!r}, a URL. Name a directory of this machine.")
        limit = self.near_limit
        if isinstance(limit, str):
            try:
                limit = parse_size(limit)
            except SettingsError as error:
                raise SettingsError(f"near_limit is no size: {error}") from None
            # As a number, so that equal limits are equal settings.
            object.__setattr__(self, "near_limit", limit)
        if isinstance(limit, bool) or not isinstance(limit, int) or limit <= 0:
            raise SettingsError(f"near_limit is {self.near_limit!r}. Give a size above 0: 10GB.")

    @property
    def near_bytes(self) -> int:
        """How many bytes of copies to keep."""
        assert isinstance(self.near_limit, int)  # a text was read when these settings were made
        return self.near_limit

    def _check_package_versions(self) -> None:
        given = self.package_versions
        choices = given.values() if isinstance(given, Mapping) else [given]
        if not all(choice in PACKAGE_VERSIONS for choice in choices):
            raise SettingsError(
                f"package_versions is {given!r}. Give one of {', '.join(PACKAGE_VERSIONS)}, or one "
                "for each package: {'default': 'minor', 'numpy': 'exact'}."
            )

    def __repr__(self) -> str:
        """Show the settings as they may be shown: they end up in logs and tracebacks."""
        public = self.without_secrets()
        shown = (f"{each.name}={getattr(public, each.name)!r}" for each in fields(public))
        return f"Settings({', '.join(shown)})"

    @property
    def checks_arguments(self) -> bool:
        """Whether arguments are digested again after each call."""
        return sys.flags.dev_mode if self.check_arguments is None else self.check_arguments

    def identity(self) -> str:
        """Return a text that is the same for the same settings, secrets included: never to be shown."""
        return repr([(each.name, getattr(self, each.name)) for each in fields(self)])

    def at(
        self, location: str, *, index: str | None = None, storage_options: Mapping[str, Any] | None = None
    ) -> Settings:
        """Return these settings for a place that was named.

        The index and the options of the filesystem belong to the place that they were set with: they are kept only
        where it is the same, unless others are given.
        """
        same = location == self.location
        if index is None and same:
            index = self.index
        if storage_options is None:
            storage_options = self.storage_options if same else {}
        return replace(self, location=location, index=index, storage_options=storage_options)

    def without_secrets(self) -> Settings:
        """Return these settings as they may be written into a blob or shown to people."""
        return replace(
            self,
            location=without_password(self.location),
            index=without_password(self.index),
            storage_options=_public_options(self.storage_options),
        )


def check_min_seconds(given: MinSeconds) -> None:
    """Refuse what is no number of seconds from 0 on, nor `measured`, nor None.

    Raises
    ------
    SettingsError
        If it is something else.
    """
    if given is None or given == "measured":
        return
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= _LONGEST:
        raise SettingsError(
            f"min_seconds is {given!r}. Give a number of seconds, from 0 up to {_LONGEST}, or 'measured'."
        )


def is_url(location: str) -> bool:
    """Tell a URL from a directory.

    Examples
    --------
    >>> is_url("s3://bucket/prefix"), is_url("s3:/bucket/prefix"), is_url("data/cache"), is_url("C:/cache")
    (True, True, False, False)
    """
    # One with a slash too few, or of chained filesystems, is left to whoever opens it, who refuses it.
    return re.match(r"[A-Za-z][A-Za-z0-9+.:-]+:/", location) is not None


def without_password(url: str | None) -> str | None:
    """Remove the password from a URL, keeping the user's name.

    Examples
    --------
    >>> without_password("postgresql://ana:pa55@db.example/cache")
    'postgresql://ana@db.example/cache'
    >>> without_password("s3://KEY:SEC/RET@bucket/prefix")
    's3://KEY@bucket/prefix'
    """
    if url is None or ":/" not in url:
        return url
    named = _DATABASE.fullmatch(url) or _PLACE.fullmatch(url)
    if named is not None:
        user, separator, _ = named["user"].partition(":")
        # A token may stand where a user's name would; elsewhere it is a name, as in container@account.
        keep = "" if named["scheme"].startswith("http") and not separator else f"{user}@"
        url = f"{named['scheme']}{keep}{named['rest']}"
    place, question, query = url.partition("?")
    public = [part for part in query.split("&") if part.partition("=")[0].lower() in _PUBLIC_QUERY]
    return place + question * bool(public) + "&".join(public)


def _public_options(options: Mapping[str, Any]) -> dict[str, Any]:
    public: dict[str, Any] = {}
    for name, value in options.items():
        if name not in _PUBLIC_OPTIONS:
            continue
        if isinstance(value, Mapping):
            value = _public_options(value)
        elif isinstance(value, str):
            value = without_password(value)
        elif not isinstance(value, bool | int | float | None):
            continue
        public[name] = value
    return public
