"""What lives in one process, or is used up by looking: refused, with a word on what to give instead."""

import array
import asyncio
import concurrent.futures
import contextlib
import csv
import ctypes
import io
import itertools
import os
import queue
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import weakref

import numpy as np
import pytest
import sqlalchemy

from cachestore.errors import KeyingError
from cachestore.keys import digest


async def coroutine():
    pass


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int),)


class Thing:
    pass


THING = Thing()

REFUSED = {
    "it can be run through only once": [
        lambda: (i for i in range(3)),
        lambda: iter([1]),
        lambda: iter({1: 2}),
        lambda: map(str, [1]),
        lambda: zip([1], [2], strict=True),
        lambda: enumerate("a"),
        lambda: reversed([1]),
        lambda: itertools.count(),
        lambda: itertools.chain([1]),
        lambda: csv.reader(["a,b"]),
        lambda: np.nditer(np.zeros(2)),
        coroutine,
    ],
    "it is an open file": [
        lambda: open(os.devnull),  # noqa: PTH123, SIM115
        lambda: open(os.devnull, "wb"),  # noqa: PTH123, SIM115
        lambda: io.FileIO(os.devnull),
        tempfile.TemporaryFile,
        tempfile.NamedTemporaryFile,
        tempfile.SpooledTemporaryFile,
    ],
    "it is an open connection": [
        socket.socket,
        lambda: sqlite3.connect(":memory:"),
        lambda: sqlite3.connect(":memory:").cursor(),
        lambda: sqlalchemy.create_engine("sqlite://"),
        lambda: sqlalchemy.create_engine("sqlite://").connect(),
    ],
    "it is a tool of this process": [
        threading.Lock,
        threading.RLock,
        threading.Event,
        threading.Thread,
        threading.local,
        queue.Queue,
        queue.SimpleQueue,
        asyncio.new_event_loop,
        lambda: concurrent.futures.ThreadPoolExecutor(1),
        lambda: subprocess.Popen([sys.executable, "-c", ""]),
        lambda: ctypes.CDLL(None),
    ],
    "it stands for a result that is not there yet": [concurrent.futures.Future],
    "it may be empty at any time": [
        lambda: weakref.ref(THING),
        lambda: weakref.proxy(THING),
        weakref.WeakValueDictionary,
        weakref.WeakKeyDictionary,
        weakref.WeakSet,
    ],
    "it is memory of this process": [
        lambda: ctypes.c_int(3),
        lambda: Point(3),
        lambda: (ctypes.c_int * 2)(1, 2),
        lambda: ctypes.pointer(ctypes.c_int(1)),
    ],
    "it cannot be taken apart": [sys._getframe, lambda: coroutine.__code__, lambda: {}.keys()],
}


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("reason", "make"), [(reason, make) for reason, makers in REFUSED.items() for make in makers]
)
def test_what_lives_in_this_process_is_refused(reason, make):
    value = make()
    with pytest.raises(KeyingError) as caught:
        digest({"it": [value]}, name="argument 'x'")
    text = str(caught.value)
    assert text.startswith(f"argument 'x' -> ['it'][0] -> <{type(value).__qualname__}>: {reason}")
    for way_out in (
        "(ignore=[...])",
        "(key={...})",
        "cachestore.register_digest",
        "__cachestore_digest__(self)",
    ):
        assert way_out in text
    if isinstance(value, ctypes.CDLL):
        return  # its `close` is that of C, and takes whatever stands in a register for the number of a file
    with contextlib.suppress(Exception):
        value.wait() if isinstance(value, subprocess.Popen) else value.close()


def test_files_in_memory_are_values():
    assert digest(io.BytesIO(b"a")) == digest(io.BytesIO(b"a")) != digest(io.BytesIO(b"b"))
    read = io.StringIO("a")
    read.read()
    assert digest(read) != digest(io.StringIO("a"))


def test_iterators_of_the_team_count_by_their_state():
    class Steps:
        def __init__(self, at):
            self.at = at

        def __next__(self):
            return self.at

    assert digest(Steps(1)) == digest(Steps(1)) != digest(Steps(2))


def test_packed_numbers():
    values = [
        array.array("i", [1]),
        array.array("i", [2]),
        array.array("q", [1]),
        array.array("I", [1]),
        array.array("d", [1]),
        array.array("i", [1, 1]),
        array.array("i").tobytes(),
        array.array("i"),
    ]
    assert len(set(map(digest, values))) == len(values)
    assert digest(values[0]) == digest(array.array("i", [1]))
