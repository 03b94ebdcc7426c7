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


class Counted:
    """Stands in place of a function."""

    def __init__(self, function, by):
        functools.update_wrapper(self, function)
        self.by = by
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return self.by * self.__wrapped__(x)


class Tool:
    """Holds what classes hold."""

    rates = {"a": RATE, "b": [adder(1), lambda x: x - 1]}  # noqa: RUF012
    point: "Point | None" = None
    made = 0

    class Inner:
        def value(self):
            return helper(1)

    def __init__(self):
        Tool.made += 1

    def times(self, x, by):
        return x * by

    twice = functools.partialmethod(times, 2)

    @functools.singledispatchmethod
    def said(self, x):
        return str(x)

    @said.register
    def _(self, x: int):
        return helper(x)

    @said.register
    def _(self, x: float):
        return x

    @functools.cached_property
    def late(self):
        return [adder(*i) for i in map(lambda j: (j + 1,), range(3))]  # noqa: C417


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


counted = Counted(helper, 2)
helper.unit = "m"


def using_tools(x, key=lambda v: v + 1):
    return Tool().twice(x), counted(x), key(x), helper.unit, max(x, key=lambda v: RATE - v)


def importing(x):
    from tests.golden import below

    return getattr(below, "run")(x)  # noqa: B009
