"""Digests that users register for types: what stands for an object of such a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from cachestore.keys.containers import CONTAINERS
from cachestore.keys.encoding import record
from cachestore.keys.functions import FUNCTIONS, encode_class
from cachestore.keys.scalars import LEAVES, SMALL
from cachestore.keys.stream import KINDS
from cachestore.keys.walk import Encoder, Refusal, Walk

OWN = "__cachestore_digest__"
"""The method by which a class says itself what stands for its instances."""

_registered: WeakKeyDictionary[type, Callable[[Any], object]] = WeakKeyDictionary()

found: WeakKeyDictionary[type, Encoder] = WeakKeyDictionary()
"""Which rule was found for which type; a registration makes all of them be looked for again."""

_FIXED: tuple[Mapping[type, object], ...] = (LEAVES, KINDS, CONTAINERS, FUNCTIONS)

F = TypeVar("F", bound=Callable[[Any], object])


def register_digest(cls: type) -> Callable[[F], F]:
    """Register the function that says what to digest in place of an object of a type.

    It holds for subclasses too, as a method would: of a class and its bases the nearest counts that is registered
    or has a method `__cachestore_digest__`. A subclass with more in it needs a function of its own. The
    class counts beside what the function returns, by its name and, the team's own, by its code. The function's
    own code does not count: what it returns is what matters. Register where the class is defined, so that every
    process that has the class knows its digest.

    Parameters
    ----------
    cls
        Any class but a built-in scalar, container or function.

    Returns
    -------
    callable
        A decorator, which returns the function that it is given. The function takes an object and returns
        a value with a digest, never the object itself.

    Raises
    ------
    TypeError
        If `cls` is no class, or a built-in one whose digest is fixed.

    Examples
    --------
    >>> class Table:
    ...     def __init__(self, url, version):
    ...         self.url, self.version, self.connection = url, version, open
    >>> @register_digest(Table)
    ... def _(table):
    ...     return table.url, table.version
    >>> from cachestore.keys import digest
    >>> digest(Table("sql://sales", 7)) == digest(Table("sql://sales", 7))
    True
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_digest takes a class, not {cls!r}. Write @register_digest(MyClass).")
    if cls is object or issubclass(cls, type) or any(cls in fixed for fixed in _FIXED):
        raise TypeError(
            f"The digest of {cls.__name__!r} is fixed, so that equal values are equal for everyone. Register a "
            f"class of your own, or replace one argument's digest: cache(key={{'name': function}})."
        )

    def register(function: F) -> F:
        _registered[cls] = function
        found.clear()
        # By their bases: what an abstract class says of others is not asked elsewhere either.
        for small in [small for small in list(SMALL) if cls in small.__mro__]:
            del SMALL[small]
        return function

    return register


def enter_small(rules: Mapping[type, Callable[[Any], Any]]) -> None:
    """Enter quick rules for values of packages, but for types of which somebody said what stands for them."""
    SMALL.update((cls, rule) for cls, rule in rules.items() if find_encoder(cls) is None)


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type that says itself what stands for it, or for which somebody said it."""
    for base in cls.__mro__:
        function = _registered.get(base)
        if function is not None:
            return _replaced("registered", function, "registered digest")
        if OWN in vars(base):
            # None takes back what a base class says, as it does for Python's own methods.
            return None if vars(base)[OWN] is None else _replaced("own", _ask, f"{OWN}()")
    return None


def _ask(value: Any) -> object:
    return value.__cachestore_digest__()


def _replaced(tag: str, function: Callable[[Any], object], title: str) -> Encoder:
    def encode(walk: Walk, value: Any) -> bytes:
        what = f"<{type(value).__qualname__}>"
        try:
            replacement = function(value)
        except Exception as error:
            raise Refusal(what, f"its {title} failed ({error})") from error
        if replacement is value:
            raise Refusal(what, f"its {title} returns the object itself")
        # The class counts with its code: what is done with such an object depends on its methods.
        return record(tag, encode_class(walk, type(value)), walk.named("", replacement))

    return encode
