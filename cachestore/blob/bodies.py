from enum import IntEnum
from typing import Literal, NamedTuple

from cachestore.blob.pickling import pickle_value, unpickle_value

LoadPolicy = Literal["any", "data"]


class BodyKind(IntEnum):
    PICKLE = 0


class Body(NamedTuple):
    kind: int
    raw: memoryview
    buffers: list


def body_of(value):
    raw, buffers = pickle_value(value)
    return Body(0, raw, buffers)


def value_of(kind, raw, buffers, *, policy):
    return unpickle_value(raw, buffers)
