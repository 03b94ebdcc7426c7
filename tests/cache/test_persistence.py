from __future__ import annotations

import io
import mmap
import os
import warnings
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numpy as np
import pytest

import cachestore
from cachestore.blob.header import pack_header
from cachestore.errors import CachestoreWarning, CorruptBlob, ObjectNotFound, SettingsError, StorageError
from cachestore.storage import open_store
from cachestore.storage.fsspec_store import FsspecStore

ARRAY = np.arange(6000.0).reshape(60, 100)
VALUES = {
    "none": None,
    "number": 3,
    "text": "äöü" * 1000,
    "bytes": bytes(range(256)) * 100,
    "nested": {"a": [1, (2.5, None)], 3: {4, 5}},
    "array": ARRAY,
    "fortran": np.asfortranarray(ARRAY),
    "empty": np.empty((0, 3)),
    "objects": np.array([1, "two", None], dtype=object),
    "dates": np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"),
    "records": np.zeros(4, dtype=[("a", "i4"), ("b", "U3")]),
    "arrays": [ARRAY, ARRAY[::2], {"x": ARRAY.astype("f4")}],
    "moment": datetime(2026, 1, 1, tzinfo=UTC),
}
FORMS = [0, False, True, 1, 9, "zlib", "gzip", "bz2", "lzma", "xz", "lz4", ("zlib", 3), ("gzip", 9), ("bz2", 1),
         ("lzma", 6), ("xz", 2), ("lz4", 1), ("zlib", 0)]  # fmt: skip
EXTENSIONS = ["", ".pkl", ".z", ".gz", ".bz2", ".xz", ".lzma", ".lz4", ".pkl.gz"]
BLOBS = [("blosc2", 0), ("blosc2", 1), ("blosc2", 9), "blosc2"]
OLD_FILES = sorted((Path(joblib.__file__).parent / "test" / "data").glob("joblib_*_p*_np*"))


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif isinstance(a, dict) and any(isinstance(item, np.ndarray) for item in a.values()):
        assert list(a) == list(b)
        same(list(a.values()), list(b.values()))
    else:
        assert a == b


def possible(compress="", name=""):
    asks = (
        name.endswith(".lz4") or compress == "lz4" or (isinstance(compress, tuple) and compress[0] == "lz4")
    )
    if asks:
        pytest.importorskip("lz4", reason="lz4 is not installed")


def is_blob(data):
    return data.startswith(pack_header()[:8])


@pytest.fixture(scope="session", autouse=True)
def memory_alone():
    yield
    import fsspec

    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def memory(tmp_path):
    return f"memory://{tmp_path.name}"


@pytest.fixture
def bucket(s3_server, s3_store_url, monkeypatch):
    """A fresh location on each S3 server, which fsspec's own configuration reaches."""
    from fsspec.config import conf

    location, options = s3_store_url(s3_server)
    monkeypatch.setitem(conf, "s3", options)
    return location


class TestLikeJoblib:
    @pytest.mark.parametrize("compress", FORMS, ids=str)
    def test_the_same_bytes(self, tmp_path, compress):
        possible(compress)
        (tmp_path / "ours").mkdir()
        (tmp_path / "theirs").mkdir()
        ours, theirs = (str(tmp_path / who / "x") for who in ("ours", "theirs"))
        assert cachestore.dump(ARRAY, ours, compress=compress) == [ours]
        joblib.dump(ARRAY, theirs, compress=compress)
        # gzip writes the time at byte 4.
        assert Path(ours).read_bytes()[8:] == Path(theirs).read_bytes()[8:]
        same(cachestore.load(theirs), ARRAY)
        same(joblib.load(ours), ARRAY)

    @pytest.mark.parametrize("extension", EXTENSIONS)
    @pytest.mark.parametrize("kind", [str, Path])
    def test_every_extension(self, tmp_path, extension, kind):
        possible(name=extension)
        name = kind(tmp_path / f"x{extension}")
        assert cachestore.dump(VALUES["nested"], name) == [str(name)]
        assert joblib.load(name) == VALUES["nested"]
        joblib.dump(VALUES["nested"], name)
        assert cachestore.load(name) == VALUES["nested"]

    @pytest.mark.parametrize("what", VALUES)
    def test_every_value(self, tmp_path, what):
        cachestore.dump(VALUES[what], tmp_path / "x")
        same(cachestore.load(tmp_path / "x"), VALUES[what])

    @pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)], ids=str)
    def test_file_objects(self, tmp_path, compress):
        for file in (io.BytesIO(), (tmp_path / "x").open("w+b")):
            with file:
                assert cachestore.dump(ARRAY, file, compress=compress) is None
                file.seek(0)
                same(cachestore.load(file), ARRAY)

    def test_one_file_object_holds_several(self):
        file = io.BytesIO()
        cachestore.dump([1], file)
        cachestore.dump([2], file)
        file = io.BufferedReader(io.BytesIO(file.getvalue()))
        assert [cachestore.load(file), cachestore.load(file)] == [[1], [2]]

    @pytest.mark.parametrize("protocol", [2, 4, 5])
    def test_the_protocol(self, tmp_path, protocol):
        cachestore.dump("x", tmp_path / "x", protocol=protocol)
        assert (tmp_path / "x").read_bytes()[:2] == bytes([0x80, protocol])

    def test_a_pipe_and_a_name_in_bytes(self, tmp_path):
        cachestore.dump([1], tmp_path / "x")
        (tmp_path / "x.b2").write_bytes((tmp_path / "x").read_bytes())
        with pytest.raises(TypeError, match="not int"):
            cachestore.load(os.open(tmp_path / "x", os.O_RDONLY))
        assert cachestore.load(os.fsencode(tmp_path / "x.b2")) == [1]
        reading, writing = os.pipe()
        os.write(writing, (tmp_path / "x").read_bytes())
        os.close(writing)
        try:
            assert cachestore.load(f"/dev/fd/{reading}") == [1]
        finally:
            os.close(reading)

    def test_mapped(self, tmp_path):
        cachestore.dump(ARRAY, tmp_path / "x")
        assert isinstance(cachestore.load(tmp_path / "x", mmap_mode="r"), np.memmap)
        assert isinstance(cachestore.load(f"file://{tmp_path}/x", mmap_mode="r"), np.memmap)
        with pytest.warns(UserWarning, match="is not compatible with compressed file"):
            cachestore.dump(ARRAY, tmp_path / "z", compress=3)
            cachestore.load(tmp_path / "z", mmap_mode="r")

    @pytest.mark.parametrize("file", OLD_FILES, ids=lambda file: file.name)
    def test_files_of_old_versions(self, file):
        outcomes = []
        for load in (joblib.load, cachestore.load):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    outcomes.append(load(file))
                except Exception as error:
                    outcomes.append((type(error), str(error)))
        assert repr(outcomes[0]) == repr(outcomes[1])

    @pytest.mark.parametrize(
        "arguments",
        [
            ("x", 5),
            ("x", None),
            ("x", "f", ("zlib", 3, 1)),
            ("x", "f", ("zlib", 10)),
            ("x", "f", 10),
            ("x", "f", -1),
            ("x", "f", "nonsense"),
            ("x", "f", ("nonsense", 3)),
            ("x", "no/such/folder/f"),
            ("x", "f", 0, 99),
            (lambda: 1, "f"),
        ],
        ids=lambda arguments: " ".join(
            each if isinstance(each, str) else getattr(each, "__name__", repr(each)) for each in arguments
        ),
    )
    def test_the_same_refusals(self, tmp_path, monkeypatch, arguments):
        monkeypatch.chdir(tmp_path)
        refusals = []
        for dump in (joblib.dump, cachestore.dump):
            with pytest.raises(Exception) as caught:
                dump(*arguments)
            refusals.append((caught.type, str(caught.value)))
        assert refusals[0] == refusals[1]

    @pytest.mark.parametrize("mmap_mode", [None, "r"])
    @pytest.mark.parametrize("native", [True, "auto"])
    @pytest.mark.parametrize("name", ["absent", "damaged", "empty", "folder"])
    def test_the_same_refusals_of_load(self, tmp_path, monkeypatch, name, mmap_mode, native):
        monkeypatch.chdir(tmp_path)
        Path("damaged").write_bytes(b"\x1f\x8bnonsense")
        Path("empty").write_bytes(b"")
        Path("folder").mkdir()
        refusals = []
        for load in (joblib.load, cachestore.load):
            with pytest.raises(Exception) as caught:
                load(name, mmap_mode=mmap_mode, ensure_native_byte_order=native)
            refusals.append((caught.type, str(caught.value)))
        assert refusals[0] == refusals[1]


class TestUrls:
    @pytest.mark.parametrize("compress", FORMS, ids=str)
    def test_every_form(self, memory, compress):
        possible(compress)
        url = f"{memory}/x"
        assert cachestore.dump(ARRAY, url, compress=compress) == [url]
        same(cachestore.load(url), ARRAY)

    @pytest.mark.parametrize("extension", EXTENSIONS)
    def test_the_extension_chooses(self, memory, tmp_path, extension):
        possible(name=extension)
        url = f"{memory}/x{extension}"
        cachestore.dump(ARRAY, url)
        joblib.dump(ARRAY, tmp_path / f"x{extension}")
        assert lying_at(url)[8:] == (tmp_path / f"x{extension}").read_bytes()[8:]
        same(cachestore.load(url), ARRAY)

    @pytest.mark.parametrize("what", VALUES)
    @pytest.mark.parametrize("name", ["x.pkl", "x.b2"])
    def test_every_value(self, memory, what, name):
        cachestore.dump(VALUES[what], f"{memory}/{name}")
        same(cachestore.load(f"{memory}/{name}"), VALUES[what])

    def test_more_than_one_window(self, memory, monkeypatch):
        from cachestore.cache import persistence

        monkeypatch.setattr(persistence, "_PIECE", 1000)
        monkeypatch.setattr(persistence, "_WINDOW", 1700)
        for name in ("x", "x.gz", "x.xz"):
            cachestore.dump([ARRAY, "text"], f"{memory}/{name}")
            same(cachestore.load(f"{memory}/{name}"), [ARRAY, "text"])

    @pytest.mark.parametrize("name", ["x.pkl", "x.z"])
    @pytest.mark.parametrize("behind", range(4))
    def test_what_is_replaced_meanwhile_is_no_mixture(self, memory, monkeypatch, name, behind):
        from cachestore.cache import persistence

        monkeypatch.setattr(persistence, "_PIECE", 1000)
        monkeypatch.setattr(persistence, "_WINDOW", 1700)
        # Alike but for the numbers: nothing in the file itself tells.
        before, after = (np.random.default_rng(seed).random(2000) for seed in (1, 2))
        cachestore.dump(before, f"{memory}/{name}", compress=name.endswith("z"))
        real, ranges = FsspecStore.get_range, []

        def get_range(self, path, start, stop):
            data = real(self, path, start, stop)
            ranges.append(start)
            if len(ranges) == 1 + behind:
                monkeypatch.setattr(FsspecStore, "get_range", real)
                cachestore.dump(after, f"{memory}/{name}", compress=name.endswith("z"))
            return data

        monkeypatch.setattr(FsspecStore, "get_range", get_range)
        with pytest.raises(StorageError, match=rf"{name} was replaced while it was read") as caught:
            cachestore.load(f"{memory}/{name}")
        assert caught.value.transient
        same(cachestore.load(f"{memory}/{name}"), after)

    @pytest.mark.parametrize(("name", "requests"), [("x.pkl", 1), ("x.gz", 1), ("x.b2", 2)])
    def test_a_small_object_takes_few_requests(
        self, s3_server, bucket, proxy_to, monkeypatch, name, requests
    ):
        from fsspec.config import conf

        proxy = proxy_to(s3_server.endpoint_url)
        monkeypatch.setitem(conf, "s3", {**conf["s3"], "endpoint_url": proxy.endpoint_url})
        cachestore.dump([ARRAY], f"{bucket}/{name}")
        same(cachestore.load(f"{bucket}/{name}"), [ARRAY])
        assert proxy.methods == ["PUT", *requests * ["GET"]]

    def test_no_request_asks_for_more_than_a_window(self, memory, monkeypatch):
        from cachestore.cache import persistence

        real, lengths = FsspecStore.get_range, []

        def get_range(self, path, start, stop):
            lengths.append(stop - start)
            return real(self, path, start, stop)

        monkeypatch.setattr(FsspecStore, "get_range", get_range)
        monkeypatch.setattr(persistence, "_PIECE", 1000)
        monkeypatch.setattr(persistence, "_WINDOW", 5000)
        cachestore.dump(100_000 * b"x", f"{memory}/x")
        assert cachestore.load(f"{memory}/x") == 100_000 * b"x"
        assert max(lengths) == 5000

    def test_right_at_the_root(self):
        cachestore.dump([1], "memory://alone.pkl")
        assert cachestore.load("memory://alone.pkl") == [1]

    def test_files(self, tmp_path):
        url = f"file://{tmp_path}/x.gz"
        assert cachestore.dump([1], url) == [url]
        assert joblib.load(tmp_path / "x.gz") == [1]
        assert cachestore.load(url) == [1]
        # Nothing of a store is left in somebody's folder.
        assert names_in(tmp_path) == ["x.gz"]

    @pytest.mark.parametrize("name", ["x.pkl", "x.pkl.gz", "x.b2"])
    def test_a_real_server(self, bucket, s3_server, name):
        url = f"{bucket}/models/{name}"
        assert cachestore.dump([ARRAY, "text"], url) == [url]
        same(cachestore.load(url), [ARRAY, "text"])
        with pytest.raises(ObjectNotFound):
            cachestore.load(f"{bucket}/models/absent")

    @pytest.mark.parametrize("name", ["x.pkl", "x.b2"])
    def test_mapping_is_ignored_with_a_warning(self, memory, name):
        cachestore.dump(ARRAY, f"{memory}/{name}")
        with pytest.warns(UserWarning, match=rf'{name}.*"r" flag will be ignored|"r" flag.*ignored'):
            loaded = cachestore.load(f"{memory}/{name}", mmap_mode="r")
        same(loaded, ARRAY)
        with pytest.raises(ValueError, match="Native byte ordering"):
            cachestore.load(f"{memory}/{name}", mmap_mode="r", ensure_native_byte_order=True)

    def test_a_file_of_joblib_before_0_10(self, memory):
        import fsspec

        old = Path(joblib.__file__).parent / "test/data/joblib_0.9.2_compressed_pickle_py35_np19.gz"
        fsspec.filesystem("memory").pipe_file(f"{memory}/old.gz", old.read_bytes())
        with pytest.warns(DeprecationWarning, match="version less than 0.10"):
            expected = joblib.load(old)
        with pytest.warns(DeprecationWarning, match="version less than 0.10"):
            same(cachestore.load(f"{memory}/old.gz"), expected)

    def test_big_endian_arrays_become_native(self, memory):
        cachestore.dump(ARRAY.astype(">f8"), f"{memory}/x")
        assert cachestore.load(f"{memory}/x").dtype.isnative


class TestBlobs:
    @pytest.mark.parametrize("compress", BLOBS, ids=str)
    @pytest.mark.parametrize("what", VALUES)
    def test_every_level(self, tmp_path, compress, what):
        assert cachestore.dump(VALUES[what], tmp_path / "x", compress=compress) == [str(tmp_path / "x")]
        assert is_blob((tmp_path / "x").read_bytes())
        same(cachestore.load(tmp_path / "x"), VALUES[what])
        assert names_in(tmp_path) == ["x"]

    @pytest.mark.parametrize("compress", [0, False, True, 1, 9])
    def test_the_extension_chooses(self, tmp_path, memory, compress):
        for name in (str(tmp_path / "x.b2"), f"file://{tmp_path}/y.b2", f"{memory}/x.b2"):
            cachestore.dump(ARRAY, name, compress=compress)
            assert is_blob(lying_at(name))
            same(cachestore.load(name), ARRAY)

    def test_a_method_counts_more_than_the_extension(self, tmp_path):
        cachestore.dump(ARRAY, tmp_path / "x.b2", compress=("zlib", 3))
        same(joblib.load(tmp_path / "x.b2"), ARRAY)

    def test_level_0_is_raw_and_9_is_small(self, tmp_path):
        sizes = []
        for level in (0, 9):
            cachestore.dump(ARRAY, tmp_path / "x", compress=("blosc2", level))
            sizes.append((tmp_path / "x").stat().st_size)
        assert sizes[0] > ARRAY.nbytes > 2 * sizes[1]

    @pytest.mark.parametrize("wrong", [10, -1, "x", 1.5, None.__class__])
    def test_a_level_that_means_nothing(self, tmp_path, wrong):
        with pytest.raises(SettingsError, match="compress"):
            cachestore.dump(ARRAY, tmp_path / "x", compress=("blosc2", wrong))
        assert names_in(tmp_path) == []

    def test_no_name(self):
        with pytest.raises(ValueError, match="Second argument should be a filename"):
            cachestore.dump(ARRAY, 5, compress=("blosc2", 3))

    def test_file_objects(self, tmp_path):
        for file in (io.BytesIO(), (tmp_path / "x").open("w+b")):
            with file:
                assert cachestore.dump(ARRAY, file, compress=("blosc2", 3)) is None
                file.seek(0)
                same(cachestore.load(file), ARRAY)

    def test_mapping_is_ignored_with_a_warning_here(self, tmp_path):
        cachestore.dump(ARRAY, tmp_path / "x.b2")
        with pytest.warns(UserWarning, match="is not compatible with compressed file") as caught:
            cachestore.load(tmp_path / "x.b2", mmap_mode="r")
        assert caught[0].filename == __file__
        assert 'compress=("blosc2", 0) can be mapped' in str(caught[0].message)
        with pytest.raises(ValueError, match="mmap_mode is 'zz'"):
            cachestore.load(tmp_path / "x.b2", mmap_mode="zz")

    def test_of_a_raw_one_elsewhere_the_place_is_named_as_the_reason(self, memory):
        cachestore.dump(ARRAY, f"{memory}/x.b2", compress=("blosc2", 0))
        with pytest.warns(UserWarning, match="not on a local disk") as caught:
            same(cachestore.load(f"{memory}/x.b2", mmap_mode="r"), ARRAY)
        assert "compressed file" not in str(caught[0].message)

    @pytest.mark.parametrize("place", ["path", "file URL", "URL"])
    @pytest.mark.parametrize(
        "spoil", [lambda whole: whole[:-5], lambda whole: whole[:900] + b"?" + whole[901:]]
    )
    def test_errors_of_a_damaged_one_name_it(self, tmp_path, memory, place, spoil):
        cachestore.dump(ARRAY, tmp_path / "x.b2")
        name = laid(place, spoil((tmp_path / "x.b2").read_bytes()), tmp_path, memory)
        with pytest.raises(CorruptBlob, match=f"^Cannot load {name}: "):
            cachestore.load(name)

    def test_a_missing_directory_is_an_error_of_the_target(self, tmp_path):
        with pytest.raises(FileNotFoundError) as caught:
            cachestore.dump(ARRAY, tmp_path / "absent" / "x.b2")
        assert caught.value.filename == f"{tmp_path}/absent/x.b2"

    def test_which_forms_of_compress_make_a_blob(self, tmp_path):
        def is_blob(compress):
            cachestore.dump(ARRAY, tmp_path / "x.b2", compress=compress)
            return (tmp_path / "x.b2").read_bytes()[:8] == pack_header()[:8]

        assert all(map(is_blob, [0, True, 5, "blosc2", ("blosc2", 5)]))
        assert not any(map(is_blob, ["zlib", ("zlib", 3)]))

    @pytest.mark.parametrize("mode", ["r+", "w+"])
    def test_a_mode_that_would_edit_a_blob_does_not_and_says_so(self, tmp_path, mode):
        cachestore.dump(ARRAY, tmp_path / "x.b2", compress=("blosc2", 0))
        with pytest.warns(CachestoreWarning, match="means 'c'") as caught:
            mapped = cachestore.load(tmp_path / "x.b2", mmap_mode=mode)
        assert caught[0].filename == __file__
        mapped[0] = 7
        mapped.flush()
        same(cachestore.load(tmp_path / "x.b2"), ARRAY)
        with pytest.raises(ValueError, match="Give one of 'r'"):
            cachestore.load(tmp_path / "x.b2", mmap_mode="x")

    @pytest.mark.parametrize("mode", ["r", "c"])
    @pytest.mark.parametrize("place", ["path", "file URL"])
    @pytest.mark.filterwarnings("error")
    def test_mapped(self, tmp_path, place, mode):
        nested = {"a": np.arange(12_000.0), "b": [1]}
        cachestore.dump(nested, tmp_path / "nested.b2", compress=("blosc2", 0))
        for what in ("array", "fortran"):
            name = f"{tmp_path}/{what}.b2"
            cachestore.dump(VALUES[what], name, compress=("blosc2", 0))
            whole = Path(name).read_bytes()
            mapped = cachestore.load(f"file://{name}" if place == "file URL" else name, mmap_mode=mode)
            assert isinstance(mapped, np.memmap)
            assert mapped.flags.f_contiguous == (what == "fortran")
            np.testing.assert_array_equal(mapped, ARRAY)
            assert mapped.flags.writeable == (mode != "r")
            if mode != "r":
                mapped[0] = 7
                mapped.flush()
            assert Path(name).read_bytes() == whole
        nested = cachestore.load(tmp_path / "nested.b2", mmap_mode=mode)
        assert nested["b"] == [1]
        np.testing.assert_array_equal(nested["a"], np.arange(12_000.0))
        assert is_mapped(nested["a"])

    @pytest.mark.filterwarnings("error")
    def test_what_has_nothing_large_is_not_mapped_and_says_nothing(self, tmp_path):
        cachestore.dump([1, "text"], tmp_path / "x.b2")
        assert cachestore.load(tmp_path / "x.b2", mmap_mode="r") == [1, "text"]

    def test_a_damaged_byte_is_not_mapped(self, tmp_path):
        cachestore.dump(ARRAY, tmp_path / "x.b2", compress=("blosc2", 0))
        damaged = bytearray((tmp_path / "x.b2").read_bytes())
        damaged[1000] ^= 1
        (tmp_path / "x.b2").write_bytes(damaged)
        with pytest.raises(CorruptBlob):
            cachestore.load(tmp_path / "x.b2", mmap_mode="r")

    @pytest.mark.parametrize("place", ["path", "file object", "file URL", "URL"])
    def test_no_damaged_byte_is_believed(self, tmp_path, memory, place):
        cachestore.dump({"a": [1, "text"]}, tmp_path / "x.b2")
        whole = (tmp_path / "x.b2").read_bytes()
        for at in range(8, len(whole), 7):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            with pytest.raises(cachestore.BlobError):
                cachestore.load(laid(place, bytes(damaged), tmp_path, memory))
        for wrong in (whole[:-1], whole + b"x", whole[:100]):
            with pytest.raises(CorruptBlob):
                cachestore.load(laid(place, wrong, tmp_path, memory))

    def test_bytes_between_are_seen(self, tmp_path):
        random = np.random.default_rng(1).integers(0, 255, 3 * 2**20, np.uint8)
        cachestore.dump(random, tmp_path / "x.b2")
        whole = (tmp_path / "x.b2").read_bytes()
        cut = len(whole) - 2**20
        (tmp_path / "x.b2").write_bytes(whole[:cut] + b"inserted" + whole[cut:])
        with pytest.raises(CorruptBlob, match="declares"):
            cachestore.load(tmp_path / "x.b2")

    def test_nothing_is_unpickled_before_all_is_checked(self, tmp_path):
        cachestore.dump([Tattletale(tmp_path / "told"), ARRAY], tmp_path / "x.b2")
        damaged = bytearray((tmp_path / "x.b2").read_bytes())
        damaged[len(damaged) // 2] ^= 1
        cachestore.load(tmp_path / "x.b2")
        (tmp_path / "told").rmdir()
        (tmp_path / "x.b2").write_bytes(damaged)
        with pytest.raises(CorruptBlob):
            cachestore.load(tmp_path / "x.b2")
        assert names_in(tmp_path) == ["x.b2"]

    @pytest.mark.parametrize("url", [False, True])
    def test_a_link_stays_a_link(self, tmp_path, url):
        (tmp_path / "link.b2").symlink_to("real.b2")
        for value in ([1], [2]):
            cachestore.dump(value, f"file://{tmp_path}/link.b2" if url else tmp_path / "link.b2")
            assert cachestore.load(tmp_path / "real.b2") == value
        assert (tmp_path / "link.b2").is_symlink()
        assert names_in(tmp_path) == ["link.b2", "real.b2"]

    @pytest.mark.parametrize("url", [False, True])
    def test_a_pipe_is_written_to(self, tmp_path, url):
        pipe = tmp_path / "pipe.b2"
        os.mkfifo(pipe)
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            cachestore.dump([1], f"file://{pipe}" if url else pipe)
            assert is_blob(os.read(reading, 2**16))
        finally:
            os.close(reading)
        assert pipe.is_fifo()

    def test_an_old_object_stays_when_the_new_one_fails(self, tmp_path):
        cachestore.dump([1], tmp_path / "x.b2")
        with pytest.raises(cachestore.BlobError, match="cannot be pickled"):
            cachestore.dump(Unpicklable(), tmp_path / "x.b2")
        assert cachestore.load(tmp_path / "x.b2") == [1]


class TestFailures:
    def test_a_disk_that_fails_at_the_end(self, tmp_path, monkeypatch):
        def fails(*_):
            raise OSError(28, "No space left on device")

        cachestore.dump([1], tmp_path / "x.b2")
        monkeypatch.setattr(Path, "replace", fails)
        with pytest.raises(OSError, match="No space left"):
            cachestore.dump([2], tmp_path / "x.b2")
        with pytest.raises(StorageError, match="No space left"):
            cachestore.dump([2], f"file://{tmp_path}/x.b2")
        monkeypatch.undo()
        assert cachestore.load(tmp_path / "x.b2") == [1]
        assert names_in(tmp_path) == ["x.b2"]

    @pytest.mark.parametrize("name", ["x.pkl", "x.gz", "x.b2"])
    def test_what_cannot_be_pickled_leaves_all_as_it_was(self, tmp_path, memory, name):
        for place in (memory, f"file://{tmp_path}"):
            with pytest.raises((RuntimeError, cachestore.BlobError)):
                cachestore.dump([ARRAY, Unpicklable()], f"{place}/{name}")
            with pytest.raises(ObjectNotFound):
                cachestore.load(f"{place}/{name}")
            cachestore.dump([1], f"{place}/{name}")
            with pytest.raises((RuntimeError, cachestore.BlobError)):
                cachestore.dump([ARRAY, Unpicklable()], f"{place}/{name}")
            assert cachestore.load(f"{place}/{name}") == [1]
        assert names_in(tmp_path) == [name]

    @pytest.mark.parametrize("name", ["x.pkl", "x.b2"])
    def test_stores_are_closed(self, memory, monkeypatch, name):
        from cachestore.cache import persistence

        opened, closed = [], []

        def opening(location):
            opened.append(open_store(location))
            return opened[-1]

        monkeypatch.setattr(persistence, "open_store", opening)
        monkeypatch.setattr(FsspecStore, "close", lambda store: closed.append(store))
        cachestore.dump([1], f"{memory}/{name}")
        assert cachestore.load(f"{memory}/{name}") == [1]
        with pytest.raises(ObjectNotFound):
            cachestore.load(f"{memory}/absent-{name}")
        assert opened == closed
        assert len(opened) == 3

    @pytest.mark.parametrize("name", ["x.pkl", "x.b2"])
    def test_what_is_absent(self, tmp_path, memory, name):
        for place in (memory, f"file://{tmp_path}"):
            for kind in (ObjectNotFound, FileNotFoundError, KeyError):
                with pytest.raises(kind, match=name):
                    cachestore.load(f"{place}/{name}")

    def test_a_folder_that_is_absent(self, tmp_path):
        for name in ("x", "x.b2"):
            with pytest.raises(StorageError, match=f"no/{name}"):
                cachestore.dump(1, f"file://{tmp_path}/no/{name}")

    @pytest.mark.parametrize("name", ["x.pkl", "x.b2"])
    def test_a_store_that_fails(self, memory, monkeypatch, name):
        def fails(*_):
            raise StorageError("the disk is full", transient=True)

        cachestore.dump([1], f"{memory}/{name}")
        with monkeypatch.context() as patch:
            patch.setattr(FsspecStore, "_write", fails)
            with pytest.raises(StorageError, match="disk is full") as caught:
                cachestore.dump([2], f"{memory}/{name}")
        assert caught.value.transient is True
        assert cachestore.load(f"{memory}/{name}") == [1]

    @pytest.mark.parametrize("name", ["x.pkl", "x.gz", "x.b2"])
    def test_a_store_that_fails_half_way(self, memory, monkeypatch, name):
        from cachestore.cache import persistence

        monkeypatch.setattr(persistence, "_PIECE", 1000)
        random = np.random.default_rng(1).integers(0, 255, 3 * 2**20, np.uint8)
        cachestore.dump(random, f"{memory}/{name}")
        real, seen = FsspecStore.get_range, []

        def fails(self, path, start, stop):
            seen.append(start)
            if len(seen) > 1:
                raise StorageError("the line broke", transient=True)
            return real(self, path, start, stop)

        monkeypatch.setattr(FsspecStore, "get_range", fails)
        monkeypatch.setattr(FsspecStore, "get_suffix", lambda *_: fails(*_, 0))
        with pytest.raises(StorageError, match="the line broke") as caught:
            cachestore.load(f"{memory}/{name}")
        assert caught.value.transient is True

    @pytest.mark.parametrize("operation", ["dump", "load"])
    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("memory://", "names no file"),
            ("s3://bucket/", "names no file"),
            ("memory://x/..", "names no file"),
            ("memory://x/a?versionId=1", "question mark"),
            ("nonsense://x/y", "Nobody knows the protocol"),
            ("simplecache::memory://x/y", "chains filesystems"),
            ("s3://ab", "names no bucket"),
        ],
    )
    def test_a_url_that_means_nothing(self, operation, url, said):
        with pytest.raises(SettingsError, match=said):
            cachestore.dump(1, url) if operation == "dump" else cachestore.load(url)

    @pytest.mark.parametrize(
        "url",
        [
            "s3://ana:hidden@bucket/x.pkl",
            "https://127.0.0.1:1/x.pkl?token=hidden",
            "ftp://ana:hidden@127.0.0.1:1/x.pkl",
            "http://ana:hidden@127.0.0.1:1/x.pkl",
        ],
    )
    @pytest.mark.parametrize("operation", ["dump", "load"])
    def test_no_secret_is_told(self, operation, url):
        import traceback

        with pytest.raises(cachestore.CachestoreError) as caught:
            cachestore.dump(1, url) if operation == "dump" else cachestore.load(url)
        # The lines of code are this file's; what the errors say is all else.
        said = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.__cause__)
        assert "hidden" not in said

    @pytest.mark.parametrize("quoted", ["hid%25den", "hid%den"])
    def test_a_secret_that_a_filesystem_quotes_is_not_told(self, monkeypatch, quoted):
        def fails(*_):
            raise StorageError(f"cannot log in as ana with {quoted}")

        monkeypatch.setattr(FsspecStore, "get_range", fails)
        with pytest.raises(StorageError) as caught:
            cachestore.load("ftp://ana:hid%25den@127.0.0.1/x")
        assert "hid%" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_secrets_of_the_configuration_reach_no_object(self, bucket, s3_server):
        from fsspec.config import conf

        for name in ("x.pkl", "x.b2"):
            cachestore.dump([1], f"{bucket}/{name}")
        held, prefix = bucket.removeprefix("s3://").split("/")
        for name in ("x.pkl", "x.b2"):
            got = s3_server.client().get_object(Bucket=held, Key=f"{prefix}/{name}")["Body"].read()
            assert conf["s3"]["secret"].encode() not in got


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("never")


class Tattletale:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap | mmap.mmap):
        array = getattr(array, "base", None) if not isinstance(array, memoryview) else array.obj
    return array is not None


def names_in(folder):
    return [file.name for file in folder.iterdir()]


def lying_at(name):
    if name.startswith("memory://"):
        import fsspec

        return fsspec.filesystem("memory").cat_file(name)
    return Path(name.removeprefix("file://")).read_bytes()


def laid(place, data, tmp_path, memory):
    if place == "file object":
        return io.BytesIO(data)
    if place == "URL":
        import fsspec

        fsspec.filesystem("memory").pipe_file(f"{memory}/laid", data)
        return f"{memory}/laid"
    (tmp_path / "laid").write_bytes(data)
    return tmp_path / "laid" if place == "path" else f"file://{tmp_path}/laid"


def test_a_blob_in_the_middle_of_a_buffered_file(tmp_path):
    cachestore.dump([1, 2], tmp_path / "x.b2")
    before = b"h" * (io.DEFAULT_BUFFER_SIZE - 4)
    (tmp_path / "both").write_bytes(before + (tmp_path / "x.b2").read_bytes())
    with (tmp_path / "both").open("rb") as file:
        file.read(len(before))
        assert cachestore.load(file) == [1, 2]


def test_load_unpickles_whatever_the_policy_of_a_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("CACHESTORE_LOAD_POLICY", "data")
    cachestore.dump(1j, tmp_path / "value.b2")
    assert cachestore.load(tmp_path / "value.b2") == 1j
    assert "`load_policy` is for" in cachestore.load.__doc__
