"""One value as one immutable, self-describing, compressed file: a blob.

`encode` makes one, `BlobReader` reads one from any `Source` of bytes; `FORMAT.md` is the specification.
May import `errors` and `settings`; blosc2, numpy and cloudpickle only where a value needs them.
Never touches a store, a clock or an index, and never unpickles what has not been checked to the last byte.
"""

from cachestore.blob.codecs import Place, codec_chooser
from cachestore.blob.metadata import Metadata, Parent
from cachestore.blob.reader import BlobReader, Source
from cachestore.blob.serializers import register_serializer
from cachestore.blob.writer import Encoded, encode

__all__ = [
    "BlobReader",
    "Encoded",
    "Metadata",
    "Parent",
    "Place",
    "Source",
    "codec_chooser",
    "encode",
    "register_serializer",
]
