"""One value as one immutable, self-describing, compressed file: a blob.

`encode` makes one, `BlobReader` reads one from any `Source` of bytes; `FORMAT.md` is the specification.
May import `errors` and `settings`; blosc2, numpy and cloudpickle only where a value needs them.
Never touches a store, a clock or an index, and never unpickles what has not been checked to the last byte.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from cachestore.blob.codecs import Place, codec_chooser
from cachestore.blob.parent import Parent
from cachestore.blob.reader import BlobReader, Source
from cachestore.blob.small import SmallBlob, small_blob

if TYPE_CHECKING:
    from cachestore.blob.metadata import Metadata
    from cachestore.blob.serializers import register_serializer
    from cachestore.blob.writer import Encoded, encode

__all__ = [
    "BlobReader",
    "Encoded",
    "Metadata",
    "Parent",
    "Place",
    "SmallBlob",
    "Source",
    "codec_chooser",
    "encode",
    "register_serializer",
    "small_blob",
]

# What a hit does not need is imported when it is first named.
_HOMES = {
    "Encoded": "writer",
    "Metadata": "metadata",
    "encode": "writer",
    "register_serializer": "serializers",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
