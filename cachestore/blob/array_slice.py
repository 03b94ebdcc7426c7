"""Which bytes of an array hold a slice of it: arithmetic only, nothing is read here."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

Order = Literal["C", "F"]

# Bytes between two pieces that are worth leaving out; smaller gaps are read with what stands around them.
_GAP: Final = 4096


class Runs(NamedTuple):
    """Says which bytes to read, and how a slice lies in them once they stand one after the other.

    Parameters
    ----------
    starts
        Where each run begins among the bytes of the array, in ascending order.
    length
        How many bytes each of them has.
    shape, strides
        The slice, as it lies in the bytes of all runs, joined.
    """

    starts: list[int]
    length: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """The bytes of all runs."""
        return len(self.starts) * self.length


@dataclass(frozen=True, slots=True)
class ArraySlice:
    """Is what basic indexing selects of an array, as numpy understands it.

    Parameters
    ----------
    axes
        Which positions of each axis are selected, in ascending order.
    finish
        What to index the selected items with: it turns axes round, drops them and adds new ones.

    Examples
    --------
    >>> ArraySlice.of((..., slice(None, None, -2)), (4, 5))
    ArraySlice(axes=(range(0, 4), range(0, 6, 2)), finish=(Ellipsis, slice(None, None, None), slice(None, None, -1)))
    >>> ArraySlice.of((2, slice(1, 3)), (4, 5)).runs((4, 5), 8, "C")
    Runs(starts=[88], length=16, shape=(1, 2), strides=(40, 8))
    """

    axes: tuple[range, ...]
    finish: tuple[Any, ...]

    @classmethod
    def of(cls, index: Any, shape: tuple[int, ...]) -> ArraySlice | None:
        """Read an index: whole numbers, slices, `...` and None; the answer to any other is None.

        Raises
        ------
        IndexError
            If it leads out of the array.
        """
        members = list(index) if type(index) is tuple else [index]
        if not all(map(_is_basic, members)):
            return None
        dots = [place for place, member in enumerate(members) if member is Ellipsis]
        if len(dots) > 1:
            raise IndexError("an index can only have a single ellipsis ('...')")
        named = sum(member is not None and member is not Ellipsis for member in members)
        if named > len(shape):
            raise IndexError(
                f"too many indices for array: array is {len(shape)}-dimensional, but {named} were indexed"
            )
        place = dots[0] if dots else len(members)
        members[place : place + 1] = [slice(None)] * (len(shape) - named)
        axes: list[range] = []
        finish: list[Any] = []
        for member in members:
            if member is None:
                finish.append(None)
                continue
            axis = range(shape[len(axes)])
            if isinstance(member, slice):
                chosen = axis[member]
                finish.append(slice(None, None, -1) if chosen.step < 0 else slice(None))
                axes.append(chosen[::-1] if chosen.step < 0 else chosen)
            else:
                position = operator.index(member)
                if not -len(axis) <= position < len(axis):
                    raise IndexError(
                        f"index {position} is out of bounds for axis {len(axes)} with size {len(axis)}"
                    )
                finish.append(0)
                axes.append(range(axis[position], axis[position] + 1))
        if dots:
            # numpy answers with an array then, even where there is only one item.
            finish.insert(place, ...)
        return cls(tuple(axes), tuple(finish))

    @property
    def shape(self) -> tuple[int, ...]:
        """How many positions are selected of each axis."""
        return tuple(map(len, self.axes))

    def runs(self, shape: tuple[int, ...], item_size: int, order: Order) -> Runs:
        """Return which bytes of an array hold the slice.

        They cover it: where the gaps between selected items are small, they are read as well.

        Parameters
        ----------
        shape, item_size, order
            How the array lies.
        """
        if order == "F":
            turned = ArraySlice(self.axes[::-1], ()).runs(shape[::-1], item_size, "C")
            return turned._replace(shape=turned.shape[::-1], strides=turned.strides[::-1])
        lengths = self.shape
        if 0 in lengths:
            return Runs([], 0, lengths, (0,) * len(lengths))
        sizes = [item_size * math.prod(shape[place + 1 :]) for place in range(len(shape))]
        steps = [size * axis.step for size, axis in zip(sizes, self.axes, strict=True)]
        # From the first selected byte to the last one, within one position of the axes before.
        spans = [item_size]
        for step, length in zip(reversed(steps), reversed(lengths), strict=True):
            spans.insert(0, spans[0] + step * (length - 1))
        # Down to the last axis between whose positions much is left out, each position is a run of its own.
        level = 0
        for place, step in enumerate(steps):
            if step - spans[place + 1] >= _GAP:
                level = place + 1
        starts = [sum(axis[0] * size for axis, size in zip(self.axes[level:], sizes[level:], strict=True))]
        for axis, size in zip(reversed(self.axes[:level]), reversed(sizes[:level]), strict=True):
            starts = [position * size + start for position in axis for start in starts]
        length = spans[level]
        outer = [length * math.prod(lengths[place + 1 : level]) for place in range(level)]
        return Runs(starts, length, lengths, (*outer, *steps[level:]))

    def halves(self, order: Order) -> tuple[ArraySlice, ArraySlice, tuple[slice, ...]] | None:
        """Cut the slice in two along the axis whose positions lie furthest apart; None where it is one item.

        Returns
        -------
        first, second, where
            The two, and where the first one stands among the selected items; the second one is the rest of the axis.
        """
        places = range(len(self.axes))
        for place in places if order == "C" else reversed(places):
            axis = self.axes[place]
            middle = len(axis) // 2
            if middle:
                first, second = (
                    ArraySlice((*self.axes[:place], part, *self.axes[place + 1 :]), ())
                    for part in (axis[:middle], axis[middle:])
                )
                return first, second, (*[slice(None)] * place, slice(middle))
        return None


def _is_basic(member: Any) -> bool:
    if member is None or member is Ellipsis or isinstance(member, slice):
        return True
    if isinstance(member, bool):
        return False  # a mask, to numpy
    try:
        operator.index(member)
    except TypeError:
        return False
    return True
