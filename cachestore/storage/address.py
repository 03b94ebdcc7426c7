"""What tells one far store from another, as a name that a directory can have."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from cachestore.settings.settings import without_password

# Of a filesystem's options, and of the environment, what says where it looks. A bucket of one name may be there at
# two endpoints, for two accounts, or for two profiles.
_OPTIONS = frozenset(
    {
        "account_host", "account_name", "base_url", "connection_string", "endpoint_url", "host", "port", "profile",
        "project", "client_kwargs",
    }
)  # fmt: skip
_VARIABLES = (
    "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_CONNECTION_STRING", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST",
)  # fmt: skip
# Of a connection string the rest is keys and signatures.
_PARTS = {"accountname", "blobendpoint", "endpointsuffix"}


def address_of(
    location: str, storage_options: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> str:
    """Return a digest of where a remote store is: its URL, and what else leads to it.

    Two stores never have the same. One store may have two, where it is reached in two ways.

    Parameters
    ----------
    location
        The URL. Neither its password nor any other secret is part of the digest.
    storage_options
        The options of the filesystem that were given; fsspec's own configuration counts too.
    environ
        The environment; by default that of the process.

    Examples
    --------
    >>> len(address_of("s3://team/cache", {}))
    32
    """
    from fsspec.config import conf

    environ = os.environ if environ is None else environ
    place = (without_password(location) or "").rstrip("/")
    configured = conf.get(place.partition("://")[0], {})
    there = [
        place,
        _public({**configured, **storage_options}),
        {name: _public_text(name, environ[name]) for name in _VARIABLES if name in environ},
    ]
    return hashlib.sha256(json.dumps(there, sort_keys=True).encode()).hexdigest()[:32]


def _public(options: Mapping[str, Any]) -> dict[str, Any]:
    public: dict[str, Any] = {}
    for name in _OPTIONS & options.keys():
        value = options[name]
        if isinstance(value, Mapping):
            public[name] = _public(value)
        else:
            public[name] = _public_text(name, value) if isinstance(value, str) else repr(value)
    return public


def _public_text(name: str, text: str) -> str | None:
    if not name.lower().endswith("connection_string"):
        return without_password(text)
    parts = [part.partition("=") for part in text.split(";")]
    public = {key.strip().lower(): without_password(value.strip()) for key, _, value in parts}
    return json.dumps({key: public[key] for key in public.keys() & _PARTS}, sort_keys=True)
