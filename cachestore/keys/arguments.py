"""Binding a call's arguments to the names of the parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from operator import itemgetter
from types import MethodType
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from cachestore.errors import WrongCall


def bind(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    ignore: Collection[str] = (),
) -> dict[str, object]:
    """Bind arguments as a call would, with defaults, and leave the ignored ones out.

    Parameters
    ----------
    function
        What is called; the receiver of a bound method becomes the argument `self`.
    args, kwargs
        The arguments of the call.
    ignore
        Names of parameters that do not count; `*` and `**` stand for the surplus ones.

    Returns
    -------
    dict
        The value of each parameter by its name; `*args` as a tuple and `**kwargs` as a dict under the name of
        their parameter.

    Raises
    ------
    ValueError
        If a name in `ignore` is no parameter.
    WrongCall
        If the arguments do not fit the signature.

    Examples
    --------
    >>> def scale(x, factor=2.0, *, verbose=False): ...
    >>> bind(scale, (3,), {}, ignore=["verbose"])
    {'x': 3, 'factor': 2.0}
    """
    if isinstance(function, MethodType):
        args = (function.__self__, *args)
        function = function.__func__
    return parameters_of(function).bind(args, kwargs, ignore)


def check_names(function: Callable[..., Any], names: Collection[str], what: str) -> None:
    """Refuse names that are no parameters of a function.

    Raises
    ------
    ValueError
        If there is one; `what` says where it stands.
    """
    if not names:
        return
    known = parameters_of(function.__func__ if isinstance(function, MethodType) else function).names()
    for name in names:
        if name not in known:
            raise ValueError(
                f"{what} names {name!r}, which is no parameter of {getattr(function, '__qualname__', function)}. "
                f"It has: {', '.join(known) or 'no parameters'}."
            )


class Parameters:
    """Holds what of a signature binding needs, found once."""

    __slots__ = (
        "_defaults",
        "_keywords_only",
        "_names",
        "_positional",
        "_positional_only",
        "_rest",
        "in_order",
        "marker",
        "name",
        "names_sorted",
        "sort",
        "surplus",
    )

    def __init__(self, function: Callable[..., Any], marker: tuple[object, ...]) -> None:
        self.marker = marker
        self.name = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
        self._positional: list[str] = []
        self._positional_only: set[str] = set()
        self._keywords_only: list[str] = []
        self._defaults: dict[str, object] = {}
        # The names of the parameters that take what is left over, by their stars.
        self.surplus: dict[str, str] = {}
        try:
            parameters = inspect.signature(function).parameters.values()
        except (ValueError, TypeError):
            # Some built-in functions do not say what they take.
            self.surplus = {"*": "*", "**": "**"}
            parameters = {}.values()
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.surplus["*"] = parameter.name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self.surplus["**"] = parameter.name
            elif parameter.kind is parameter.KEYWORD_ONLY:
                self._keywords_only.append(parameter.name)
            else:
                self._positional.append(parameter.name)
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    self._positional_only.add(parameter.name)
            if parameter.default is not parameter.empty:
                self._defaults[parameter.name] = parameter.default
        self.in_order = (*self._positional, *self._keywords_only)
        self._names = frozenset(self.in_order)
        self.names_sorted = tuple(sorted(self.names()))
        places = [self.in_order.index(name) for name in self.names_sorted if name in self._names]
        # Puts values in the order of their names.
        self.sort: Callable[[tuple[Any, ...]], tuple[Any, ...]] = (
            itemgetter(*places) if places != sorted(places) else tuple
        )
        # By how many arguments are given, the defaults that complete them; not where some are missing.
        self._rest: dict[int, tuple[Any, ...]] = {}
        for given in range(len(self._positional) + 1):
            missing = self.in_order[given:]
            if not self.surplus and self._defaults.keys() >= set(missing):
                self._rest[given] = tuple(self._defaults[name] for name in missing)

    def names(self) -> list[str]:
        return [*self.in_order, *self.surplus.values()]

    def bind(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], ignore: Collection[str] = ()
    ) -> dict[str, object]:
        """Bind the arguments of a call, and leave the ignored ones out."""
        bound = self.gather(args, kwargs, ignore)
        return {name: bound[name] for name in self.names() if name in bound}

    def gather(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], ignore: Collection[str] = ()
    ) -> dict[str, object]:
        """Bind the arguments of a call in any order."""
        bound = self._bind_plain(args, kwargs)
        if bound is None:
            bound = self._bind_any(args, kwargs)
        if ignore:
            self._leave_out(bound, ignore)
        return bound

    def in_place(self, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Bind arguments that are all given by their places; None where they are too few or too many."""
        rest = self._rest.get(len(args))
        return None if rest is None else args + rest

    def _bind_plain(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, object] | None:
        """Bind what nearly every call looks like, quickly; None for everything else, mistakes among it."""
        size = len(args)
        if self.surplus or size > len(self._positional):
            return None
        given: dict[str, object] = dict(zip(self._positional, args))  # noqa: B905 - a keyword costs as much as zip
        if kwargs:
            given.update(kwargs)
            if len(given) != size + len(kwargs):
                return None
            if self._positional_only and not self._positional_only.isdisjoint(kwargs):
                return None
        elif size == len(self.in_order):
            return given
        if len(given) != len(self.in_order):
            given = self._defaults | given
        return given if given.keys() == self._names else None

    def _leave_out(self, bound: dict[str, object], ignore: Collection[str]) -> None:
        if isinstance(ignore, str):
            raise ValueError(f"ignore is the text {ignore!r}. Give a list of names: [{ignore!r}].")  # noqa: TRY004
        for name in ignore:
            if bound.pop(self.surplus.get(name, name), _MISSING) is _MISSING:
                raise ValueError(
                    f"Ignore list: argument {name!r} is not defined for function {self.name}. "
                    f"It has: {', '.join(bound) or 'no parameters'}."
                )

    def _bind_any(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, object]:
        bound: dict[str, object] = dict(zip(self._positional, args, strict=False))
        extra = args[len(self._positional) :]
        if extra and "*" not in self.surplus:
            raise WrongCall(
                f"Too many arguments for {self.name}: {self.name}() takes {len(self._positional)} positional arguments "
                f"but {len(args)} were given"
            )
        left = dict(kwargs)
        missing = []
        for names, given in ((self._positional, len(args)), (self._keywords_only, 0)):
            for name in names[given:]:
                if name in left and name not in self._positional_only:
                    bound[name] = left.pop(name)
                elif name in self._defaults:
                    bound[name] = self._defaults[name]
                else:
                    missing.append(name)
        if left and "**" not in self.surplus:
            self._refuse(left, bound)
        for name in left:
            if name in bound and name not in self._positional_only:
                raise WrongCall(f"{self.name}() got multiple values for argument {name!r}")
        if missing:
            raise WrongCall(
                f"Wrong number of arguments for {self.name}: {self.name}() missing required arguments: "
                f"{', '.join(map(repr, missing))}"
            )
        if "*" in self.surplus:
            bound[self.surplus["*"]] = extra
        if "**" in self.surplus:
            bound[self.surplus["**"]] = left
        return bound

    def _refuse(self, left: Mapping[str, Any], bound: Mapping[str, object]) -> NoReturn:
        name = next(iter(left))
        if name in self._positional_only:
            raise WrongCall(f"{self.name}() got a positional-only argument passed as keyword: {name!r}")
        if name in bound:
            raise WrongCall(f"{self.name}() got multiple values for argument {name!r}")
        raise WrongCall(
            f"Too many keyword arguments for {self.name}: {self.name}() got an unexpected keyword argument {name!r}"
        )


_MISSING = object()
_known: WeakKeyDictionary[Callable[..., Any], Parameters] = WeakKeyDictionary()


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """Return the parameters of a function, found anew when its code or defaults were replaced."""
    # What a signature is made from, as far as it can be replaced in place.
    marker = (
        getattr(function, "__code__", None),
        getattr(function, "__defaults__", None),
        getattr(function, "__kwdefaults__", None),
    )
    try:
        known = _known.get(function)
        if known is None or any(one is not other for one, other in zip(known.marker, marker, strict=True)):
            known = _known[function] = Parameters(function, marker)
    except TypeError:  # neither hashable nor weakly referable, as a callable object may be
        return Parameters(function, marker)
    return known
