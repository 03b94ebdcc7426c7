"""What writing and reading values costs beside joblib's persistence and raw blosc2, in time, bytes and memory."""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import blosc2
import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

import cachestore

RANDOM = np.random.default_rng(0)


def arrays(count: int) -> dict[str, Callable[[], np.ndarray]]:
    """Return what makes arrays of `count` numbers, by name: one of them in memory at a time."""
    return {
        "random": lambda: RANDOM.random(count),
        "cumulative sum": lambda: np.cumsum(RANDOM.standard_normal(count)),
        "rounded sinusoid": lambda: np.round(np.sin(np.arange(count) / 1000), 4),
        "labels": lambda: RANDOM.integers(0, 10, count),
        "float32 noise": lambda: RANDOM.standard_normal(2 * count, dtype="f4"),
        "timestamps": lambda: 1_700_000_000_000 + np.cumsum(RANDOM.integers(0, 2000, count)),
    }


def mixed_frame(rows: int) -> pd.DataFrame:
    """Return a frame of numbers, flags and texts."""
    names = [f"name{i % 1000}" for i in range(rows)]
    columns = {f"float{i}": RANDOM.random(rows) for i in range(3)}
    columns |= {f"int{i}": RANDOM.integers(0, 100, rows) for i in range(2)}
    return pd.DataFrame(columns | {"flag": RANDOM.random(rows) > 0.5, "text": names, "other": names[::-1]})


def objects() -> dict[str, Callable[[], object]]:
    """Return what makes values that are more than one array, by name."""
    digits = load_digits(return_X_y=True)
    return {
        "list of 1000 small arrays": lambda: [RANDOM.random(1000) for _ in range(1000)],
        "mixed DataFrame, 1e6 x 8": lambda: mixed_frame(1_000_000),
        "RandomForestClassifier(100)": lambda: RandomForestClassifier(100, random_state=0).fit(*digits),
    }


class Peak:
    """Measures by how many MB the memory of this process rises above where it was, what the work returns included."""

    def __enter__(self) -> "Peak":
        self._before = self._most = _resident()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()
        self.megabytes = (self._most - self._before) / 1e6

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self._most = max(self._most, _resident())


def _resident() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):  # not the pages of files that are mapped
            return int(line.split()[1]) * 1024
    raise RuntimeError("no line Anonymous in smaps_rollup")


def seconds(work: Callable[[], object]) -> float:
    """Return how long the work takes; what it returns is given up before the next."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Way:
    """Dumps and loads one value in one way, and keeps what it measured."""

    def __init__(
        self, name: str, folder: Path, dump: Callable[[object, Path], object], load: Callable[[Path], object]
    ):
        self.name = name
        self.file = folder / name.replace(" ", "-")
        self._dump, self._load = dump, load
        self.dumps: list[float] = []
        self.loads: list[float] = []

    def warm_up(self, value: object, size: int) -> None:
        with Peak() as peak:
            self._dump(value, self.file)
        self.dump_extra = peak.megabytes
        with Peak() as peak:
            self._load(self.file)
        self.load_extra = peak.megabytes - size / 1e6

    def turn(self, value: object) -> None:
        # What others have written goes to the disk before the clock starts, not on this one's time; and each begins a
        # new file, for who writes an old one anew has its memory at hand, where a file that is replaced needs more.
        self.file.unlink()
        os.sync()
        self.dumps.append(seconds(lambda: self._dump(value, self.file)))
        os.sync()
        self.loads.append(seconds(lambda: self._load(self.file)))

    @property
    def size(self) -> int:
        return self.file.stat().st_size


def ways(folder: Path) -> list[Way]:
    """Return joblib compressed and plain, and blobs compressed and plain."""
    return [
        Way("joblib lz4", folder, lambda value, file: joblib.dump(value, file, compress=("lz4", 3)), joblib.load),
        Way("joblib raw", folder, joblib.dump, joblib.load),
        Way("blob", folder, lambda value, file: cachestore.dump(value, str(file), compress="blosc2"), cachestore.load),
        Way("blob raw", folder, lambda value, file: cachestore.dump(value, str(file), compress=("blosc2", 0)),
            cachestore.load),
    ]  # fmt: skip


def ratio(theirs: list[float], ours: list[float]) -> str:
    """Return how many times faster ours are, pair by pair."""
    ratios = sorted(their / our for their, our in zip(theirs, ours, strict=True))
    return f"{median(ratios):6.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def measure(name: str, value: object, size: int, folder: Path, *, pairs: int) -> None:
    """Dump and load one value in all ways in turn, and print how they compare."""
    every = ways(folder)
    for way in every:
        way.warm_up(value, size)
    for number in range(pairs):
        for way in every if number % 2 else reversed(every):
            way.turn(value)
    lz4, plain, blob, raw = every
    for ours, theirs in ((blob, lz4), (raw, plain)):
        print(
            f"{name:28} {ours.name:8} / {theirs.name:10} dump {ratio(theirs.dumps, ours.dumps):24} "
            f"load {ratio(theirs.loads, ours.loads):24} size {theirs.size / ours.size:5.2f}   "
            f"extra MB {ours.dump_extra:6.0f} {ours.load_extra:6.0f}   joblib's {theirs.dump_extra:6.0f} "
            f"{theirs.load_extra:6.0f}"
        )
    for way in every:
        way.file.unlink()


def share_of_blosc2(name: str, array: np.ndarray, *, pairs: int) -> None:
    """Print how fast blobs are made and read in memory, beside blosc2 alone: same codec, same threads, no digests."""
    from datetime import UTC, datetime

    from cachestore.blob import BlobReader, Metadata, encode

    nothing = Metadata("", "benchmark", "", {}, {}, datetime.now(UTC), 0.0, "", "")
    threads = blosc2.nthreads
    options = {"codec": blosc2.Codec.LZ4, "clevel": 5, "typesize": array.itemsize, "nthreads": threads,
               "filters": [blosc2.Filter.SHUFFLE]}  # fmt: skip

    def compress() -> blosc2.SChunk:
        return blosc2.SChunk(chunksize=2**20, data=array, cparams=options, dparams={"nthreads": threads})

    packed = compress()
    blob = Held(list(encode(array, nothing, compress=("lz4", 5))))
    theirs_in, ours_in, theirs_out, ours_out = [], [], [], []
    for _ in range(pairs):
        theirs_in.append(seconds(compress))
        ours_in.append(seconds(lambda: list(encode(array, nothing, compress=("lz4", 5)))))
        theirs_out.append(seconds(lambda: packed.get_slice(out=np.empty_like(array))))
        ours_out.append(seconds(lambda: BlobReader.open(blob).value()))
    print(
        f"{name:28} of blosc2 alone: encoding {ratio(theirs_in, ours_in)}, decoding {ratio(theirs_out, ours_out)}"
    )


class Held:
    """Is a blob in memory, in pieces as a store would give them."""

    suffix_length = 2**16

    def __init__(self, parts: list[bytes | memoryview]) -> None:
        self._data = memoryview(b"".join(parts))
        self.at_once = blosc2.nthreads

    def suffix(self, length: int) -> memoryview:
        return self._data[-length:]

    def range(self, start: int, stop: int) -> memoryview:
        return self._data[start:stop]

    def read_into(self, start: int, outs: list[memoryview]) -> int:
        end = start
        for out in outs:
            out[:] = self._data[end : end + out.nbytes]
            end += out.nbytes
        return end - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=800, help="the size of the arrays")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    count = given.megabytes * 125_000
    print("How many times faster, median and range of pairs; size: theirs / ours; extra: beyond the value\n")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in arrays(count).items():
            array = make()
            measure(f"{name}, {given.megabytes} MB", array, array.nbytes, Path(folder), pairs=given.pairs)
            share_of_blosc2(name, array, pairs=given.pairs)
        for name, build in objects().items():
            value = build()
            measure(name, value, 0, Path(folder), pairs=3 * given.pairs)


if __name__ == "__main__":
    main()
