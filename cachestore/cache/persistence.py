"""joblib's dump and load, which also take fsspec URLs, and write and read blobs."""

from __future__ import annotations

import io
import os
import platform
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from cachestore.blob import BlobReader, Encoded, Metadata, encode
from cachestore.blob.header import pack_header
from cachestore.blob.mapping import is_mappable, map_value
from cachestore.cache.mapping import check_mode, checked_mode, mappable_file
from cachestore.cache.meter import Meter
from cachestore.errors import BlobError, CorruptBlob, ObjectNotFound, SettingsError, StorageError
from cachestore.settings.settings import Compress, without_password
from cachestore.storage import HeldObject, LocalStore, ObjectStore, RangedObject, open_store

# The first bytes of every blob, whichever format it has.
_MAGIC: Final = pack_header()[:8]
_OLD_MAGIC: Final = b"ZF"  # of joblib before 0.10, which wants a file's name

# With colons: a chain of filesystems is refused as such, not taken for a path.
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]+)://(.*)", re.DOTALL)
_LOCAL: Final = {"file", "local"}
_EXTENSION: Final = ".b2"
_METHOD: Final = "blosc2"

_PIECE: Final = 8 * 2**20  # what is asked for at once where small reads follow each other
_WINDOW: Final = 32 * 2**20  # and at most


class _NoSuchFile(ObjectNotFound, FileNotFoundError):
    """Says that nothing lies at a URL, to callers who expect what `open` raises too."""


def dump(
    value: Any,
    filename: str | os.PathLike[str] | Any,
    compress: Any = 0,
    protocol: int | None = None,
) -> list[str] | None:
    """Write a value into one file, as `joblib.dump` does, or to a URL.

    Parameters
    ----------
    value
        Anything that can be pickled.
    filename
        A path, a file object, or an fsspec URL such as `s3://bucket/model.pkl.gz`. At a URL the object is
        whole or absent; credentials come from fsspec's configuration and the environment.
    compress
        joblib's forms: a level, True, a method, or a method and a level; without one, the name's extension
        chooses. `("blosc2", level)` or a name that ends in `.b2` writes a blob.
    protocol
        The protocol of the pickle; a blob's is always 5.

    Returns
    -------
    list of str or None
        The name that was given; None for a file object.

    Raises
    ------
    StorageError
        If what is behind a URL cannot be written.
    SettingsError
        If the URL or the level of a blob has no meaning.
    BlobError
        If the value cannot become a blob.

    Examples
    --------
    >>> dump([1, 2], "memory://models/numbers.pkl.gz")
    ['memory://models/numbers.pkl.gz']
    >>> load("memory://models/numbers.pkl.gz")
    [1, 2]
    """
    import joblib

    target = os.fspath(filename) if isinstance(filename, os.PathLike) else filename
    url = _Url.of(filename)
    blob = _means_blob(target, compress)
    if blob and not isinstance(target, str) and not hasattr(target, "write"):
        compress, blob = 0, False  # joblib says what is wrong with the name
    if not blob and url is None:
        written: list[str] | None = joblib.dump(value, filename, compress=compress, protocol=protocol)
        return written
    if blob and url is None and not isinstance(target, str):
        for part in _encoded(value, compress):
            target.write(part)
        return None
    with Meter(f"dump {url.shown if url else target}") as meter:
        if url is not None and not blob:
            with url.failures("write"), url.written(meter) as temporary:
                joblib.dump(value, str(temporary), compress=compress, protocol=protocol)
        else:
            parts = meter.passing(_encoded(value, compress))
            if url is None:
                _write(Path(target), parts)
            else:
                url.put(parts)
    return [target]


def load(
    filename: str | os.PathLike[str] | Any,
    mmap_mode: str | None = None,
    ensure_native_byte_order: bool | Literal["auto"] = "auto",
) -> Any:
    """Read a value back that `dump` or `joblib.dump` wrote; a blob is known by its first bytes.

    A pickle can run any code when it is loaded: load only what comes from people whom you trust. `load_policy` is for
    `Memory` and its stores; this unpickles whatever it says, as joblib's does.

    Parameters
    ----------
    filename
        A path, a file object, or an fsspec URL.
    mmap_mode
        As joblib's, for files that are not compressed; else, and with a remote URL or a file object, it is ignored with
        joblib's warning. A blob is never edited: `r+` and `w+` mean `c`, and say so.
    ensure_native_byte_order
        As joblib's; the arrays of a blob keep the byte order that they were dumped with.

    Raises
    ------
    ObjectNotFound
        If nothing lies at a URL; it is a `FileNotFoundError` too.
    StorageError
        If a URL cannot be read.
    CorruptBlob
        If any byte of a blob is not as it was written. Nothing of it was unpickled then.
    """
    import joblib

    if mmap_mode is not None and ensure_native_byte_order not in {False, "auto"}:
        # joblib refuses the two together, before it opens anything.
        return joblib.load(filename, mmap_mode, ensure_native_byte_order)
    url = _Url.of(filename)
    with Meter(f"load {url.shown if url else filename}") as meter:
        return _load(filename, url, mmap_mode, ensure_native_byte_order, meter)


def _load(
    filename: Any,
    url: _Url | None,
    mmap_mode: str | None,
    ensure_native_byte_order: bool | Literal["auto"],
    meter: Meter,
) -> Any:
    import joblib

    named = filename if isinstance(filename, os.PathLike) else getattr(filename, "name", filename)
    shown = url.shown if url else str(named)
    with (
        nullcontext(filename) if url is None else url.opened(meter) as target,
        _without_secrets(url),
        _naming(shown),
    ):
        reader = _blob_reader(target, url)
        if reader is not None:
            if mmap_mode is not None:
                check_mode(mmap_mode)
            if mmap_mode is None or len(reader.table.frames) == 1:  # nothing in it is large
                return reader.value()
            stream = mappable_file(reader)
            if stream is not None:
                private = checked_mode(mmap_mode, stacklevel=3) != "r"
                with stream:
                    return map_value(reader, stream, private=private, policy="any")
            why = "file, which is not on a local disk," if is_mappable(reader.table) else "compressed file"
            warnings.warn(
                f'mmap_mode "{mmap_mode}" is not compatible with {why} {shown}. "{mmap_mode}" flag will be ignored. '
                f'A local file that was dumped with compress=("blosc2", 0) can be mapped.',
                stacklevel=3,
            )
            return reader.value()
        if isinstance(target, io.BufferedReader) and url is not None and target.peek(2)[:2] == _OLD_MAGIC:
            return _load_old(target, mmap_mode, ensure_native_byte_order)
        return joblib.load(target, mmap_mode=mmap_mode, ensure_native_byte_order=ensure_native_byte_order)


@contextmanager
def _naming(shown: str) -> Iterator[None]:
    """Let errors of a blob out with the name of its file."""
    try:
        yield
    except BlobError as error:
        raise type(error)(f"Cannot load {shown}: {error}") from error


def _means_blob(target: Any, compress: Any) -> bool:
    if isinstance(compress, tuple):
        return len(compress) == 2 and compress[0] == _METHOD
    if isinstance(compress, str):
        return compress == _METHOD
    # As with joblib's extensions: a method that is named counts more than the name.
    return isinstance(target, str) and target.endswith(_EXTENSION)


def _encoded(value: object, compress: Any) -> Encoded:
    """Return a blob of the value."""
    if isinstance(compress, tuple):
        setting: Compress = compress[1]
    elif isinstance(compress, str) or (compress == 0 and not isinstance(compress, float)):
        # Nothing was asked for but a blob: what suits the data, as joblib's extensions mean a default level.
        setting = None
    else:
        setting = compress
    # No call made it: an empty key is that of no call, so a blob that strays into a store answers none.
    metadata = Metadata(
        key="",
        function="cachestore.dump",
        code_version="",
        code_parts={},
        arguments={},
        started_at=datetime.now(UTC),
        seconds=0.0,
        creator="",
        python=platform.python_version(),
    )
    return encode(value, metadata, compress=setting)


@dataclass(frozen=True, slots=True)
class _Url:
    """Names one object: a store's location, and its name in there; or a local file."""

    text: str
    location: str
    name: str
    path: Path | None

    @classmethod
    def of(cls, filename: Any) -> _Url | None:
        """Return the URL that a text is, or None for anything else: a `Path` is always a path."""
        match = _URL.fullmatch(filename) if isinstance(filename, str) else None
        if match is None:
            return None
        scheme, rest = match[1], match[2]
        folder, _, name = rest.rpartition("/")
        shown = without_password(filename)
        if name in {"", ".", ".."} or "\0" in name:
            raise SettingsError(f"{shown!r} names no file. Write a URL such as s3://bucket/model.pkl.")
        if "?" in filename and scheme.lower() not in _LOCAL:
            raise SettingsError(
                f"{shown!r} had a question mark, and what follows one may be secret. Give a plain URL, and "
                "options in fsspec's own configuration."
            )
        path = Path(rest).expanduser() if scheme.lower() in _LOCAL else None
        return cls(filename, f"{scheme}://{folder}", name, path)

    @property
    def shown(self) -> str:
        """The URL without secrets."""
        return without_password(self.text) or ""

    def store(self) -> ObjectStore:
        """Open the store that the object is in."""
        return open_store(self.location)

    @contextmanager
    def opened(self, meter: Meter) -> Iterator[Path | io.BufferedReader]:
        """Give what joblib reads it from: a local file's path, or a file across the network."""
        if self.path is not None:
            yield self.path
            return
        with closing(self.store()) as store:
            file = _RemoteFile(_MeteredStore(store, meter), self.name, self.shown)
            yield io.BufferedReader(file, buffer_size=_PIECE)

    def put(self, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts, whole or not at all."""
        if self.path is None:
            with _without_secrets(self), closing(self.store()) as store:
                store.put(self.name, parts)
            return
        with self.failures("write"):
            _write(self.path, parts)

    @contextmanager
    def written(self, meter: Meter) -> Iterator[Path]:
        """Give a local file to write, of a name that ends alike; it is put whole when it is complete."""
        import tempfile

        if self.path is not None:
            with _whole(self.path) as temporary:
                yield temporary
            return
        # A URL that means nothing is refused before the work.
        with closing(self.store()) as store, tempfile.TemporaryDirectory(prefix="cachestore-") as folder:
            temporary = Path(folder, f"value{self.name[-32:]}")
            yield temporary
            with temporary.open("rb") as file, _without_secrets(self):
                store.put(self.name, meter.passing(iter(lambda: file.read(_PIECE), b"")))

    @contextmanager
    def failures(self, verb: str) -> Iterator[None]:
        """Turn the errors of local files into ours, which name the URL."""
        try:
            yield
        except StorageError:  # one of them is an OSError as well
            raise
        except FileNotFoundError as error:
            kind = _NoSuchFile if verb == "read" else StorageError
            raise kind(f"Cannot {verb} {self.shown}: there is no such file or directory.") from error
        except OSError as error:
            raise StorageError(
                f"Cannot {verb} {self.shown}: {error.strerror or error}. Look at the place and its rights."
            ) from error


@contextmanager
def _without_secrets(url: _Url | None) -> Iterator[None]:
    """Let errors of a store out without the password that a URL holds, whoever quoted it."""
    try:
        yield
    except StorageError as error:
        if url is None:
            raise
        text = str(error).replace(url.text, url.shown)
        password = urlsplit(url.text).password
        if password:
            text = text.replace(password, "***").replace(unquote(password), "***")
        # Causes are text of others, who may have quoted the password: they stay behind with it.
        cause = None if password else error
        if isinstance(error, ObjectNotFound):
            raise _NoSuchFile(text) from cause
        raise StorageError(text, transient=error.transient) from cause


@contextmanager
def _whole(final: Path) -> Iterator[Path]:
    """Give a file beside the final one that takes its place when it is complete, and else goes away."""
    import tempfile

    if final.exists() and not final.is_file():
        yield final  # a pipe or a device is written to, not replaced
        return
    named, final = final, final.resolve()  # a link stays, and what it leads to is replaced
    try:
        # A folder rather than a file: the name's end, by which joblib chooses the compressor, stays as it is.
        beside = tempfile.TemporaryDirectory(prefix=".tmp-", dir=final.parent)
    except OSError as error:
        # The name of the temporary one says nothing to anybody.
        raise OSError(error.errno, error.strerror, str(named)) from error
    with beside as folder:
        temporary = Path(folder, final.name)
        yield temporary
        # Whole or not at all if the process dies; as joblib's files it is not synced to the disk.
        temporary.replace(final)


def _write(final: Path, parts: Iterable[bytes | memoryview]) -> None:
    with _whole(final) as temporary, temporary.open("wb") as file:
        file.writelines(parts)


def _blob_reader(target: Any, url: _Url | None) -> BlobReader | None:
    """Return a reader of the blob that lies there, or None where something else does."""
    if url is not None and url.path is None:
        if target.peek(len(_MAGIC))[: len(_MAGIC)] != _MAGIC:
            return None
        return BlobReader.open(RangedObject(target.raw.store, url.name))
    if hasattr(target, "read"):
        return _checked(target.read()) if _first_bytes(target) == _MAGIC else None
    if url is not None:
        with url.failures("read"):
            os.stat(target)  # noqa: PTH116 - what is missing is an error of ours
    # Whatever is no regular file can be read once only, or not at all: by joblib.
    if isinstance(target, int) or not os.path.isfile(target):  # noqa: PTH113 - bytes are names as well
        return None
    with open(target, "rb") as file:  # noqa: PTH123 - as joblib opens it, with the same errors
        first, size = file.read(len(_MAGIC)), os.fstat(file.fileno()).st_size
    if first != _MAGIC:
        return None
    path = Path(os.fsdecode(target))
    reader = BlobReader.open(LocalStore(path.parent).open(path.name))
    return _of_size(reader, size)


def _first_bytes(file: Any) -> Any:
    """Return the first bytes of a file object, which stays where it is; nothing where that cannot be."""
    try:
        start = file.tell()
        first = file.read(len(_MAGIC))
        file.seek(start)
    except (AttributeError, OSError):
        # A pipe, say: what is there without reading on may be less, and then joblib has the word.
        return file.peek(len(_MAGIC))[: len(_MAGIC)] if hasattr(file, "peek") else b""
    return first


def _checked(data: bytes) -> BlobReader:
    return _of_size(BlobReader.open(HeldObject(data)), len(data))


def _of_size(reader: BlobReader, size: int) -> BlobReader:
    # What lies between the parts that a reader asks for would else go unseen.
    if reader.size != size:
        raise CorruptBlob(f"The blob has {size} bytes and declares {reader.size}. Dump the value again.")
    return reader


class _MeteredStore:
    """Is as much of a store as objects are read from, and counts what is read."""

    def __init__(self, store: ObjectStore, meter: Meter) -> None:
        self._store = store
        self._meter = meter

    def get_suffix(self, path: str, length: int) -> bytes:
        return self._counted(self._store.get_suffix(path, length))

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        return self._counted(self._store.get_range(path, start, stop))

    def version(self, path: str) -> str:
        return self._store.version(path)

    def _counted(self, data: bytes) -> bytes:
        self._meter.add(len(data))
        return data


class _RemoteFile(io.RawIOBase):
    """Reads an object of a store from start to end, a range at a time, so that it is never in memory whole.

    All ranges are of one object, which is made sure before any byte of them is handed on: a small object comes with
    the first one, and of another the store is asked behind each further range whether it is still the same.
    """

    def __init__(self, store: Any, path: str, name: str) -> None:
        super().__init__()
        self.store = store
        self.name = name  # joblib's warnings say it
        self._path = path
        self._position = 0
        self._end: int | None = None
        self._first: tuple[int, bytes] | None = None
        self._version: str | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end of a remote file is not known before it is read")
        self._position = offset + (self._position if whence == os.SEEK_CUR else 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position == self._end:
            return 0
        wanted = min(len(buffer), _WINDOW)
        if self._first is not None and self._version is None:
            self._identify(*self._first)
        data = self.store.get_range(self._path, self._position, self._position + wanted)
        if self._first is None:
            self._first = self._position, data
        elif self.store.version(self._path) != self._version:
            raise self._replaced()
        buffer[: len(data)] = data
        self._position += len(data)
        if len(data) < wanted:
            self._end = self._position
        return len(data)

    def _identify(self, start: int, data: bytes) -> None:
        """Learn the object's version, and make sure that the first range is of that one."""
        self._version = self.store.version(self._path)
        if self.store.get_range(self._path, start, start + len(data)) != data:
            raise self._replaced()
        self._first = start, b""  # it is large

    def _replaced(self) -> StorageError:
        return StorageError(
            f"{self.name} was replaced while it was read, and parts of two files are no value. Load it again.",
            transient=True,
        )


def _load_old(file: io.BufferedReader, mmap_mode: Any, ensure_native_byte_order: Any) -> Any:
    """Load a compressed file of joblib before 0.10, which reads these by name."""
    import tempfile

    import joblib

    with tempfile.NamedTemporaryFile(prefix="cachestore-") as copy:
        while piece := file.read(_PIECE):
            copy.write(piece)
        copy.flush()
        return joblib.load(copy.name, mmap_mode=mmap_mode, ensure_native_byte_order=ensure_native_byte_order)
