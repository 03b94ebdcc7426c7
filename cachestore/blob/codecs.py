"""How a chunk is stored: as it is, or compressed by blosc2; and which of the two pays."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from cachestore.blob.table import CHUNK_LIMIT
from cachestore.errors import CorruptBlob, SettingsError
from cachestore.settings.settings import Compress

RAW: Final = 0
BLOSC2: Final = 1

# Frames below this stay raw: importing blosc2 costs more than it would save.
SMALL: Final = 16 * 2**10

# A compressed chunk has to be at least this much smaller: else reading it costs more than it saves.
_WORTH_WHILE: Final = 0.95

# Of joblib's codecs those that blosc2 lacks are answered by the one that compresses alike.
_CODECS: Final = {
    "lz4": "LZ4", "lz4hc": "LZ4HC", "zstd": "ZSTD", "zlib": "ZLIB", "blosclz": "BLOSCLZ",
    "gzip": "ZLIB", "bz2": "ZSTD", "lzma": "ZSTD", "xz": "ZSTD",
}  # fmt: skip
_DEFAULT_LEVEL: Final = 3  # joblib's
_MAX_LEVEL: Final = 9
_MAX_TYPE_SIZE: Final = 255

# The header of a blosc2 chunk: version, codec's version, flags, type size, raw size, block size, stored size,
# codes of six filters, codec, its meta, metas of six filters, second flags, first flags.
_BLOSC2_HEADER: Final = Struct("<BBBBIII6sBB6sBB")
_BLOSC2_VERSIONS: Final = frozenset({5})
_BLOSC2_CODECS: Final = frozenset(
    {0, 1, 2, 4, 5}
)  # built in; others are plugins, which run code of their own
_BLOSC2_FILTERS: Final = frozenset({0, 1, 2})  # none, shuffle, bit shuffle
_BLOSC2_LAZY: Final = 0x08  # the data are in another file
_BLOSC2_SPECIAL: Final = 0x70  # the whole chunk is one value, which is not stored as such
_BLOSC2_SPECIALS: Final = frozenset({0x00, 0x10, 0x20, 0x30})  # no, zeros, NaN, one value; not: uninitialised


class Codec(NamedTuple):
    """Names a codec of blosc2 and how hard it shall try."""

    name: str
    level: int


_FAST: Final = Codec("LZ4", 5)


def choose_codec(compress: Compress) -> Codec | None:
    """Return the codec that the setting `compress` asks for, or None for none.

    Parameters
    ----------
    compress
        None looks at the data and is quick; False or 0 stores them as they are; True or a level from 1 to 9
        asks for a good ratio (zstd); a name, or a name and a level, asks for that codec.

    Raises
    ------
    SettingsError
        If `compress` is none of these.

    Examples
    --------
    >>> choose_codec(None)
    Codec(name='LZ4', level=5)
    >>> choose_codec(("gzip", 9))
    Codec(name='ZLIB', level=9)
    """
    if compress is None:
        return _FAST
    if isinstance(compress, bool):
        compress = _DEFAULT_LEVEL if compress else 0
    if isinstance(compress, int):
        name, level = "zstd", compress
    elif isinstance(compress, str):
        name, level = compress, _DEFAULT_LEVEL
    elif isinstance(compress, tuple) and len(compress) == 2:
        name, level = compress
    else:
        name, level = "", 0
    if type(name) is not str or name not in _CODECS or type(level) is not int or not 0 <= level <= _MAX_LEVEL:
        raise SettingsError(
            f"compress is {compress!r}. Give True, False, a level from 0 to {_MAX_LEVEL}, a codec "
            f"({', '.join(_CODECS)}), or a codec and a level: ('zstd', 5)."
        )
    return Codec(_CODECS[name], level) if level else None


def compress_chunk(raw: memoryview, *, codec: Codec, item_size: int) -> bytes | None:
    """Compress one chunk, or return None when it would not get much smaller."""
    import blosc2

    stored: bytes = blosc2.compress2(
        raw,
        codec=blosc2.Codec[codec.name],
        clevel=codec.level,
        typesize=item_size if item_size <= _MAX_TYPE_SIZE else 1,
        filters=[blosc2.Filter.SHUFFLE],
        nthreads=1,
    )
    return stored if len(stored) <= _WORTH_WHILE * len(raw) else None


def check_chunk(codec: int, stored: memoryview, raw_size: int) -> None:
    """Check that a chunk, whose digest is right, becomes `raw_size` bytes, before anything is decompressed.

    Raises
    ------
    CorruptBlob
        If the codec is unknown, or the chunk itself declares another size than the table.
    """
    if codec == RAW:
        declared = len(stored)
    elif codec == BLOSC2:
        declared = _declared_size(stored)
    else:
        raise CorruptBlob(f"A chunk is stored with codec {codec}, which there is not. Recompute the value.")
    if declared != raw_size:
        raise CorruptBlob(
            f"A chunk would become {declared} bytes; the blob's table declares {raw_size}. "
            "Recompute the value."
        )


def _declared_size(stored: memoryview) -> int:
    if len(stored) < _BLOSC2_HEADER.size:
        raise CorruptBlob(f"A blosc2 chunk has only {len(stored)} bytes. Recompute the value.")
    version, _, _, _, raw_size, block_size, size, filters, codec, _, _, flags2, flags = (
        _BLOSC2_HEADER.unpack_from(stored)
    )
    if (
        version not in _BLOSC2_VERSIONS
        or size != len(stored)
        or block_size > CHUNK_LIMIT
        or codec not in _BLOSC2_CODECS
        or not _BLOSC2_FILTERS.issuperset(filters)
        or flags2
        or flags & _BLOSC2_LAZY
        or flags & _BLOSC2_SPECIAL not in _BLOSC2_SPECIALS
    ):
        raise CorruptBlob(
            f"A blosc2 chunk of {len(stored)} bytes begins with {bytes(stored[:32]).hex()}, "
            "which no blob may hold. Recompute the value."
        )
    return int(raw_size)


def decompress_chunk(codec: int, stored: memoryview, out: memoryview) -> None:
    """Write the raw bytes of a checked chunk into `out`, which is exactly as long as they are.

    Raises
    ------
    CorruptBlob
        If blosc2 cannot decompress it.
    """
    if codec == RAW:
        out[:] = stored
        return
    import blosc2

    # blosc2 writes as many bytes as the chunk's own header declares, whatever the length of `out`: this is
    # safe only because check_chunk() has compared the two.
    try:
        blosc2.decompress2(stored, dst=out, nthreads=1)
    except (ValueError, RuntimeError) as error:
        raise CorruptBlob(f"blosc2 cannot decompress a chunk: {error}. Recompute the value.") from error
