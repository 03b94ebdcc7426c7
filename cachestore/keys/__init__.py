"""What makes two calls the same call: digests of values, versions of code, bound arguments, keys.

A digest is of a tagged structure, never of a pickle stream, a repr or an identity. The code of the team
counts by its source and by all that it reaches, that of installed packages by name and version.
May import `errors` and `settings` only; looks at numpy, pandas and their like only when they are loaded.
Never stores, never reads a clock, never goes to the network.
"""

from cachestore.keys.arguments import bind
from cachestore.keys.call_key import Arguments, CallKey, call_key, join_parts
from cachestore.keys.declared import Declared
from cachestore.keys.differing_parts import differing_parts
from cachestore.keys.function_identity import FunctionIdentity, identify
from cachestore.keys.hasher import digest, digest_of, encode
from cachestore.keys.keyed_function import KeyedFunction
from cachestore.keys.registered import register_digest
from cachestore.keys.rules import Rules
from cachestore.keys.sources import sources_of
from cachestore.keys.surroundings import configured

__all__ = [
    "Arguments",
    "CallKey",
    "Declared",
    "FunctionIdentity",
    "KeyedFunction",
    "Rules",
    "bind",
    "call_key",
    "configured",
    "differing_parts",
    "digest",
    "digest_of",
    "encode",
    "identify",
    "join_parts",
    "register_digest",
    "sources_of",
]
