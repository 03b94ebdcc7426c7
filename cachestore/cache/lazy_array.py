"""Arrays that stay in the store: a slice of one fetches what holds it."""

from __future__ import annotations

import copy
import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from cachestore.blob.array_slice import ArraySlice
from cachestore.errors import BlobError, CorruptBlob, ObjectNotFound
from cachestore.keys import digest_of
from cachestore.keys.stand_ins import stands_for_array
from cachestore.storage import blob_path

if TYPE_CHECKING:
    import numpy

    from cachestore.blob import BlobReader
    from cachestore.blob.array_body import ArrayLayout
    from cachestore.cache.cache import Cache

# What is read at once for a slice that leaves out much between its items.
_MOST_AT_ONCE: Final = 64 * 2**20

# Of that many arrays the blobs stay open: an open one costs a file, or the first request to a server.
_recent: deque[BlobReader] = deque(maxlen=16)


@stands_for_array
class LazyArray:
    """Is a stored array that is not loaded: `lazy[10:20]` fetches the chunks that hold these rows, and no others.

    It is indexed as numpy's arrays are, and each answer is an array in memory. Whole numbers, slices with any step,
    `...` and `numpy.newaxis` fetch what they name, at most with what lies close around it. Other indices (lists,
    masks, names of fields) load the whole array first, and so do loops and `numpy.asarray(lazy)`. It can be given to
    `dask.array.from_array`. Every chunk is checked before it is used.

    As an argument of another memorised call it makes the key that the loaded array would make, and is neither loaded
    nor digested again, unless it is small. Its pickle names the entry, and no secrets. The entry may go from the store,
    as every entry: then a slice is an `ObjectNotFound`, and calling the function again computes the array.

    Attributes
    ----------
    key
        The key of the entry.
    value_digest
        What `cachestore.digest` says of the array; None where nobody digested it.
    shape, dtype
        Those of the array.
    chunks
        The shape of a block that is stored together, or nearly so: the best block to fetch is a multiple of it.

    Examples
    --------
    >>> import cachestore, numpy
    >>> memory = cachestore.Memory("memory://lazy", verbose=0)
    >>> @memory.cache(lazy=True)
    ... def table(rows):
    ...     return numpy.arange(rows * 4).reshape(rows, 4)
    >>> table(1000)[-2:, ::-1]
    array([[3995, 3994, 3993, 3992],
           [3999, 3998, 3997, 3996]])
    >>> table(1000).shape
    (1000, 4)
    """

    _reader: Callable[[], BlobReader | None]

    def __init__(self, cache: Cache, reader: BlobReader, layout: ArrayLayout) -> None:
        self._cache = cache
        self._layout = layout
        self._head = reader.table.head
        self._encoding = reader.metadata.encoding
        self._chunk_size = max(
            (chunk.raw_size for frame in reader.table.frames for chunk in frame.chunks[:1]), default=1
        )
        self.key = reader.key
        self.value_digest = reader.value_digest
        self.function = reader.metadata.function
        self._keep_open(reader)

    # ---- what is known without a request

    @property
    def shape(self) -> tuple[int, ...]:
        """How many items it has along each axis."""
        return self._layout.shape

    @property
    def dtype(self) -> numpy.dtype[Any]:
        """The type of its items."""
        dtype = self._layout.dtype
        # The names of a record, and of those in it, can be changed in place.
        return dtype if dtype.names is None else copy.deepcopy(dtype)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many items it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes it has in memory."""
        return self._layout.size

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of the blocks in which it is best fetched."""
        places = list(range(self.ndim))
        block, size = [1] * self.ndim, self.dtype.itemsize
        for place in places if self._layout.order == "F" else reversed(places):
            block[place] = max(1, min(self.shape[place], self._chunk_size // size))
            size *= max(1, self.shape[place])
        return tuple(block)

    def __len__(self) -> int:
        """Say how long the first axis is."""
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        """Show everything but the items."""
        return (
            f"{type(self).__name__}({self.function}, {self.key[:12]}, shape={self.shape}, dtype={self.dtype})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        shown = {
            "Function": self.function,
            "Entry": self.key[:12],
            "Shape": self.shape,
            "Data type": self.dtype,
            "Bytes": f"{self.nbytes:,}",
            "Chunk shape": self.chunks,
        }
        rows = (f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in shown.items())
        return f"<table>{''.join(rows)}</table>"

    # ---- its items

    def __getitem__(self, index: Any) -> Any:
        """Fetch a part of the array, as an array in memory, or one item.

        Raises
        ------
        IndexError
            If the index leads out of the array.
        ObjectNotFound
            If the entry is not there any more.
        BlobError
            If it is damaged, or another value is there now.
        StorageError
            If the store does not answer.
        """
        part = ArraySlice.of(index, self.shape)
        if part is not None:
            return self._read(part)[part.finish]
        import numpy

        # What numpy refuses is refused before anything is fetched.
        numpy.broadcast_to(numpy.empty((), self.dtype), self.shape)[index]
        return numpy.asarray(self)[index]

    def __iter__(self) -> Iterator[Any]:
        """Load the array, and give its rows."""
        import numpy

        return iter(numpy.asarray(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray[Any, Any]:
        """Load the whole array."""
        if copy is False:
            raise ValueError(
                "A LazyArray is not in memory, so an array of it is always new. Leave copy=False out."
            )
        array: numpy.ndarray[Any, Any] = self[...]
        return array if dtype is None else array.astype(dtype, copy=False)

    # ---- what it is to others

    def array_encoding(self) -> bytes | None:
        """Return what stands for the array in a key; None where the blob does not say it."""
        if self._encoding is None or self.value_digest is None:
            return None
        encoding = bytes.fromhex(self._encoding)
        return encoding if digest_of(encoding) == self.value_digest else None

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Name the array to dask."""
        return "cachestore.LazyArray", self.value_digest or self._head.metadata_digest.hex()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle a reference: the cache without its secrets, the key, and what is known of the array."""
        return {name: value for name, value in self.__dict__.items() if name != "_reader"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the reference; nothing is asked for."""
        self.__dict__.update(state)
        self._reader = _no_reader

    # ---- how

    def _read(self, part: ArraySlice) -> numpy.ndarray[Any, Any]:
        try:
            try:
                return self._read_once(part)
            except CorruptBlob:
                # The blob may have been replaced since it was opened, or only what lies near is damaged.
                self._cache.store.distrust(blob_path(self.key))
                self._reader = _no_reader
                return self._read_once(part)
        except ObjectNotFound as error:
            raise ObjectNotFound(
                f"The array of {self.function} is not in {self._cache.location} any more (entry {self.key[:12]}). "
                "Call the function again to compute it."
            ) from error

    def _read_once(self, part: ArraySlice) -> numpy.ndarray[Any, Any]:
        import numpy

        reader = self._open()
        layout, dtype = self._layout, self.dtype
        runs = part.runs(layout.shape, dtype.itemsize, layout.order)
        size = math.prod(part.shape) * dtype.itemsize
        halves = part.halves(layout.order) if runs.size > max(_MOST_AT_ONCE, 2 * size) else None
        if halves is None:
            data = numpy.empty(runs.size, numpy.uint8)
            if size:
                reader.read_runs(0, runs.starts, runs.length, data.data)
            array: numpy.ndarray[Any, Any] = numpy.ndarray(
                runs.shape, dtype, data, strides=runs.strides if size else None
            )
            # What was read beside the items goes.
            return array if runs.size == size else array.copy()
        first, second, where = halves
        array = numpy.empty(part.shape, dtype, layout.order)
        array[where] = self._read_once(first)
        array[(*where[:-1], slice(where[-1].stop, None))] = self._read_once(second)
        return array

    def _open(self) -> BlobReader:
        reader = self._reader()
        if reader is None:
            reader = self._cache.open_blob(self.key)
            if reader.table.head != self._head:
                self._check_same(reader)
            self._keep_open(reader)
        return reader

    def _check_same(self, reader: BlobReader) -> None:
        # Put again: the digest says whether it is the same array.
        if (
            self.value_digest is None
            or reader.value_digest != self.value_digest
            or reader.layout != self._layout
        ):
            raise BlobError(
                f"The array of {self.function} was replaced by another value (entry {self.key[:12]}). "
                "Call the function again to get that."
            )

    def _keep_open(self, reader: BlobReader) -> None:
        _recent.append(reader)
        self._reader = weakref.ref(reader)


def _no_reader() -> None:
    """Stand for a reader that is not open."""


def load_lazily(cache: Cache, reader: BlobReader) -> object:
    """Return the array of a blob without loading it; any other value is loaded.

    Raises
    ------
    CorruptBlob
        If what is read of the blob is not as it was written.
    BlobError
        If a value that is no array cannot be unpickled here, or shall not be.
    """
    layout = reader.layout
    return cache.load(reader) if layout is None else LazyArray(cache, reader, layout)
