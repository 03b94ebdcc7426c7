"""Functions of a team as there are many: each kind of code that a key looks at."""

import collections
import contextlib
import dataclasses
import enum
import functools

RATE = 1.5
TABLE = {"a": (1, 2), "b": (3,)}
MISSING = object()

Pair = collections.namedtuple("Pair", "x y")


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0

    @property
    def norm(self):
        return helper(self.x) + self.y


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    x: int


class Base:
    scale = 2

    def predict(self, x):
        return self.scale * x


class Model(Base):
    def __init__(self, names):
        self.names = names

    def predict(self, x):
        return super().predict(x) + RATE

    @classmethod
    def make(cls, *names):
        return cls(set(names))

    @staticmethod
    def double(x):
        return 2 * x


class Spoken:
    def __init__(self, value):
        self.value = value

    def __cachestore_digest__(self):
        return ["spoken", self.value]


def helper(x: float) -> float:
    """Say nothing that counts."""
    return x * RATE  # a comment


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def adder(n):
    def add(x, *, by=1):
        return x + n + by

    return add


def plain(x, y=2, *rest, flag=False, **others):
    return x, y, rest, flag, others


def positional(x, /, y=MISSING):
    return x, y


@logged
def decorated(x):
    return helper(x)


@functools.lru_cache
def remembered(x):
    return helper(x)


@contextlib.contextmanager
def opened(x):
    yield helper(x)


@functools.singledispatch
def shown(x):
    return 0


@shown.register
def _(x: int):
    return 1


def recursive(n):
    return 1 if n == 0 else n * indirect(n - 1)


def indirect(n):
    return recursive(n)


def spelled(x, width=3):
    return f"{x:>{width}}{'a'}b{x!r:{width}}"


def branching(value):
    match value:
        case [1, *rest] if rest:
            return [y for y in rest if (z := y) is not None and z]
        case {"a": 1, **others}:
            return others
        case Point(x=3) | Fixed(3):
            return lambda y: {k: v for k, v in TABLE.items() if k != y}
    try:
        return value[0]
    except* ValueError as error:
        raise RuntimeError from error
    finally:
        del value


async def awaited(x):
    async with opened(x) as y:
        return [z async for z in y]
