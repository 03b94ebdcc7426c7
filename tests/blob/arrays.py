"""Arrays of every dtype and layout that have memory of their own."""

from __future__ import annotations

from typing import Any

import numpy


def arrays(count: int) -> dict[str, numpy.ndarray[Any, Any]]:
    """Return arrays of about so many items, a multiple of 20, by what is particular to them."""
    numbers = numpy.arange(count)
    return {
        "floats": numbers.astype(float),
        "fortran": numpy.asfortranarray(numbers.astype(float).reshape(20, -1)),
        "strided": numbers[::2],
        "reversed": numbers[::-1],
        "columns": numbers.reshape(-1, 4)[:, 1:3],
        "transposed": numbers.reshape(4, 5, -1).transpose(1, 2, 0),
        "broadcast": numpy.broadcast_to(numbers, (3, count)),
        "booleans": numbers % 3 == 0,
        "complex": numbers * 1j,
        "half": numbers.astype("f2"),
        "big-endian": numbers.astype(">i4"),
        "texts": numbers.astype("U12"),
        "big-endian texts": numbers.astype(">U3"),
        "bytes": numbers.astype("S7"),
        "dates": numbers.astype("M8[ns]"),
        "25 seconds": numbers.astype("m8[25s]"),
        "no unit": numbers.astype("m8"),
        "records": numpy.zeros(
            count, [("a", "i4"), ("b", "f8", (2, 3)), ("when", "M8[s]"), ("in", [("x", "S3")])]
        ),
        "aligned records": numpy.ones(count, numpy.dtype([("a", "i1"), ("b", "f8")], align=True)),
        "overlapping": numpy.ones(
            count, numpy.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]})
        ),
        "gaps": numpy.ones(
            count, numpy.dtype({"names": ["a"], "formats": ["i4"], "offsets": [8], "itemsize": 20})
        ),
        "void": numpy.ones(count, "V11"),
    }
