"""Code versions as objects of the store: which parts each is made of, kept when its entries are gone."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cachestore.errors import ObjectNotFound
from cachestore.keys import CallKey, Rules, sources_of
from cachestore.storage import VERSIONS, ObjectStore, version_path

# 0 was that of unreleased versions, and says the same.
_FORMAT = 1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """Says what a code version is made of.

    Attributes
    ----------
    code_version, function
        The version, and the function that it is one of.
    parts
        The version of each named part.
    sources
        The source text of each part that has one, where sources are kept.
    """

    code_version: str
    function: str
    parts: Mapping[str, str]
    sources: Mapping[str, str] = field(default_factory=dict)


def keep_version(
    store: ObjectStore, call: CallKey, function: Callable[..., Any] | None, *, sources: bool, rules: Rules
) -> None:
    """Write down the named parts of a call's code version, if nobody has done so yet.

    Parameters
    ----------
    function
        What is called, where the name alone may not lead to it.
    sources
        Whether the source of each first-party part is written down too.
    rules
        How code is looked at.

    Raises
    ------
    StorageError
        If the store cannot be written.
    """
    path = version_path(call.code_version)
    if _read(store, path) is not None:
        return  # finding the sources takes longer than asking
    described: dict[str, Any] = {"format": _FORMAT, "function": call.function, "parts": dict(call.code_parts)}
    if sources:
        described["sources"] = _sources(call, function, rules)
    # Of several at once any may stay: they describe the same.
    store.put(path, [json.dumps(described).encode()])


def _sources(call: CallKey, function: Callable[..., Any] | None, rules: Rules) -> dict[str, str]:
    # The value is computed already: whatever is odd about the code, it is returned and stored.
    try:
        return sources_of(call.code_parts, function, rules=rules)
    except Exception as error:  # noqa: BLE001
        _logger.info("The sources of %s cannot be kept: %s", call.function, error)
        return {}


def read_version(store: ObjectStore, code_version: str) -> Version | None:
    """Read what is written of a code version; None where nothing is, or nothing that can be read.

    Raises
    ------
    StorageError
        If the store cannot be read.
    """
    return _understood(code_version, _read(store, version_path(code_version)))


def copy_version(
    source: ObjectStore, destination: ObjectStore, code_version: str, *, sources: bool
) -> Version | None:
    """Write down in another store what is written of a code version, if nobody has done so there; return it.

    Parameters
    ----------
    sources
        Whether sources that are kept go along.

    Raises
    ------
    StorageError
        If a store cannot be read, or the other one cannot be written.
    """
    path = version_path(code_version)
    written = _read(source, path)
    version = _understood(code_version, written)
    if written is not None and version is not None and _read(destination, path) is None:
        destination.put(path, [written if sources else _without_sources(written)])
    return version


def _without_sources(written: bytes) -> bytes:
    described = json.loads(written)
    described.pop("sources", None)
    return json.dumps(described).encode()


def _read(store: ObjectStore, path: str) -> bytes | None:
    try:
        return store.get(path)
    except ObjectNotFound:
        return None


def _understood(code_version: str, written: bytes | None) -> Version | None:
    try:
        described = json.loads(written or b"")
        if described["format"] > _FORMAT:
            return None
        function, parts, sources = described["function"], described["parts"], described.get("sources", {})
    except (ValueError, KeyError, TypeError):
        return None  # bookkeeping: without it, less can be said
    return Version(code_version, str(function), parts, sources)


def list_versions(store: ObjectStore, prefix: str = "") -> Iterator[str]:
    """Give the code versions that begin with a prefix and are written down in a store.

    Raises
    ------
    StorageError
        If the store cannot be listed.
    """
    place = f"{VERSIONS}{prefix[:2]}/{prefix}" if len(prefix) > 1 else f"{VERSIONS}{prefix}"
    for info in store.list(place):
        version = info.path.rpartition("/")[2]
        if info.path == f"{VERSIONS}{version[:2]}/{version}" and len(version) == 64:
            yield version
