"""How a chunk is stored: as it is, or compressed by blosc2; and what pays for which data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, Literal, NamedTuple

from cachestore.blob.table import CHUNK_LIMIT
from cachestore.errors import CorruptBlob, SettingsError
from cachestore.settings.settings import Compress

RAW: Final = 0
BLOSC2: Final = 1

Place = Literal["near", "far"]

# Frames below this stay raw: importing blosc2 costs more than it would save.
SMALL: Final = 16 * 2**10

# Threads at most that write or read one blob, whatever the machine and the source would bear: each of them holds some
# MiB.
MOST_THREADS: Final = 12

# What is compressed has to be at least this much smaller: else reading it costs more than it saves.
_WORTH_WHILE: Final = 0.95
# What a slower codec stores has to be at least this much smaller than what a quicker one does, or the bytes as they
# are; and with larger blocks than with smaller ones.
_WORTH_TIME: Final = 0.8
_WORTH_MEMORY: Final = 0.99

# What is looked at of a large frame before its codec is chosen: pieces from all over it.
_SAMPLES: Final = 8
_SAMPLE: Final = 32 * 2**10
# What comes again after a while shows only in pieces as long as chunks are. They take some milliseconds each.
_LARGE_SAMPLE: Final = 2**20
_ONE_LARGE_OF: Final = 64 * 2**20

# Of joblib's codecs those that blosc2 lacks are answered by the one that compresses alike.
_CODECS: Final = {
    "lz4": "LZ4", "lz4hc": "LZ4HC", "zstd": "ZSTD", "zlib": "ZLIB", "blosclz": "BLOSCLZ",
    "gzip": "ZLIB", "bz2": "ZSTD", "lzma": "ZSTD", "xz": "ZSTD", "blosc2": "ZSTD",
}  # fmt: skip
_FILTERS: Final = {"noshuffle": "NOFILTER", "shuffle": "SHUFFLE", "bitshuffle": "BITSHUFFLE"}
_PREFIX: Final = "blosc2:"
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
    """Names a codec of blosc2, how hard it shall try, and how bytes are put in order before it.

    Repetitions are found within blocks of so many bytes; 0 leaves these to blosc2. Whoever decompresses needs four
    times as much memory.
    """

    name: str
    level: int
    filter: str = "SHUFFLE"
    block: int = 0


# Answers which codec a frame is to be tried with, by its bytes and the size of its items.
Chooser = Callable[[memoryview, int], Codec | None]

_ZSTD: Final = Codec("ZSTD", 1, block=2**19)
_ZSTD_WHOLE: Final = Codec("ZSTD", 1, block=2**20)  # what comes again after long, as the trees of a forest
_NEAR: Final = (Codec("LZ4", 5), _ZSTD, _ZSTD_WHOLE)
_FAR: Final = (_ZSTD, Codec("ZSTD", 1, "BITSHUFFLE", block=2**19), _ZSTD_WHOLE)
# Bytes that are no numbers, such as pickles, repeat over any distance.
_NEAR_BYTES: Final = (Codec("LZ4", 5), _ZSTD_WHOLE)
_FAR_BYTES: Final = (_ZSTD_WHOLE,)


def codec_chooser(compress: Compress, *, place: Place = "near") -> Chooser:
    """Return what chooses the codec of each frame, as the setting `compress` asks.

    Parameters
    ----------
    compress
        None looks at the data; False or 0 stores them as they are; True or a level from 1 to 9 asks for a good
        ratio (zstd); a name, or a name and a level, asks for that codec, and a third part (`"noshuffle"`,
        `"shuffle"`, `"bitshuffle"`) says how the bytes are put in order.
    place
        Near, time counts: None takes lz4, or zstd where that stores a fifth less. Far, bytes count, and it takes zstd.

    Raises
    ------
    SettingsError
        If `compress` is none of these.

    Examples
    --------
    >>> choose = codec_chooser(("blosc2:zstd", 5, "bitshuffle"))
    >>> choose(memoryview(bytes(100_000)), 8)
    Codec(name='ZSTD', level=5, filter='BITSHUFFLE', block=0)
    """
    if compress is None:
        numbers, others = (_NEAR, _NEAR_BYTES) if place == "near" else (_FAR, _FAR_BYTES)
        return lambda raw, item_size: _best(others if item_size == 1 else numbers, raw, item_size)
    codec = _asked_for(compress)
    return lambda raw, item_size: codec if raw.nbytes >= SMALL else None


def _asked_for(compress: Compress) -> Codec | None:
    if isinstance(compress, bool):
        given: tuple[Any, ...] = ("zstd", _DEFAULT_LEVEL if compress else 0)
    elif isinstance(compress, int):
        given = ("zstd", compress)
    elif isinstance(compress, str):
        given = (compress,)
    else:
        given = compress if isinstance(compress, tuple) else ()
    complete: list[Any] = [*given, *("", _DEFAULT_LEVEL, "shuffle")[len(given) :]]
    name, level, order, *rest = complete
    codec = _CODECS.get(name.removeprefix(_PREFIX)) if isinstance(name, str) else None
    filter_name = _FILTERS.get(order) if isinstance(order, str) else None
    if codec is None or filter_name is None or type(level) is not int or not 0 <= level <= _MAX_LEVEL or rest:
        raise SettingsError(
            f"compress is {compress!r}. Give True, False, a level from 0 to {_MAX_LEVEL}, a codec "
            f"({', '.join(_CODECS)}), or a codec, a level and an order of bytes ({', '.join(_FILTERS)}): "
            "('zstd', 5), ('blosc2:zstd', 5, 'bitshuffle')."
        )
    return Codec(codec, level, filter_name) if level else None


def _best(candidates: Sequence[Codec], raw: memoryview, item_size: int) -> Codec | None:
    """Return the candidate that makes samples of `raw` smallest, or None where none pays.

    Candidates come in the order of what they cost, and a later one has to be worth that.
    """
    if raw.nbytes < SMALL:
        return None
    samples = _samples(raw, item_size)
    best, least = None, _WORTH_WHILE * sum(sample.nbytes for sample in samples)
    longest = max(sample.nbytes for sample in samples)
    tried = set()
    for codec in candidates:
        # Blocks that are longer than the samples make no difference to them.
        alike = codec._replace(block=min(codec.block, longest))
        if alike in tried:
            continue
        tried.add(alike)
        size = sum(len(_compressed(sample, codec, item_size)) for sample in samples)
        if size <= _worth(best or candidates[0], codec) * least:
            best, least = codec, size
    return best


def _worth(quicker: Codec, codec: Codec) -> float:
    if quicker.name != codec.name:
        return _WORTH_TIME
    return _WORTH_MEMORY if codec.block > quicker.block else 1.0


def _samples(raw: memoryview, item_size: int) -> list[memoryview]:
    if raw.nbytes <= _SAMPLES * _SAMPLE:
        return [raw]
    large = min(raw.nbytes // _ONE_LARGE_OF, _SAMPLES)
    return [
        *_spread(raw, item_size, _SAMPLES, _SAMPLE),
        *(_spread(raw, item_size, large, _LARGE_SAMPLE) if large else ()),
    ]


def _spread(raw: memoryview, item_size: int, count: int, size: int) -> list[memoryview]:
    # At whole items, else the bytes of different places in an item would be shuffled together.
    step = raw.nbytes // count // _shuffled(item_size) * _shuffled(item_size)
    return [raw[start : start + size] for start in range(0, count * step, step)]


def compress_chunk(raw: memoryview, *, codec: Codec, item_size: int) -> bytes | None:
    """Compress one chunk, or return None when it would not get much smaller."""
    stored = _compressed(raw, codec, item_size)
    return stored if len(stored) <= _WORTH_WHILE * len(raw) else None


def _compressed(raw: memoryview, codec: Codec, item_size: int) -> bytes:
    blosc2 = _blosc2()
    block = min(codec.block, len(raw))
    stored: bytes = blosc2.compress2(
        raw,
        codec=blosc2.Codec[codec.name],
        clevel=codec.level,
        typesize=_shuffled(item_size),
        filters=[blosc2.Filter[codec.filter]],
        # Of whole items: what blosc2 makes of others it cannot decompress.
        blocksize=block - block % _shuffled(item_size),
        nthreads=1,
    )
    return stored


def _shuffled(item_size: int) -> int:
    """Return by how many bytes blosc2 can shuffle items of this size."""
    return item_size if item_size <= _MAX_TYPE_SIZE else 1


def _blosc2() -> Any:
    import blosc2

    # Else threads wait for each other. Each call has a context and memory of its own, so nothing is shared.
    blosc2.set_releasegil(True)
    return blosc2


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
    # blosc2 writes as many bytes as the chunk's own header declares, whatever the length of `out`: this is
    # safe only because check_chunk() has compared the two.
    try:
        _blosc2().decompress2(stored, dst=out, nthreads=1)
    except (ValueError, RuntimeError) as error:
        raise CorruptBlob(f"blosc2 cannot decompress a chunk: {error}. Recompute the value.") from error
