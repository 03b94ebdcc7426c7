"""A function whose calls have keys: its identity, how its arguments are bound, and which of them count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from copy import copy
from types import MethodType
from typing import Any

from cachestore.errors import KeyingError
from cachestore.keys.arguments import Parameters, check_names, parameters_of
from cachestore.keys.call_key import Arguments, CallKey, call_key, join_parts
from cachestore.keys.declared import NOTHING, Declared
from cachestore.keys.function_identity import FunctionIdentity, find_identity, name_of, plain_function
from cachestore.keys.hasher import digest_of, encode, lay_out
from cachestore.keys.rules import DELIVERED, Rules
from cachestore.keys.stream import PLAIN
from cachestore.keys.surroundings import configured_here
from cachestore.keys.watched import Watched

AMBIENT = "(surroundings)"
"""Stands among the names of arguments for what surrounds a call; no parameter can have this name."""


class KeyedFunction:
    """Makes the keys of the calls of one function.

    Parameters
    ----------
    function
        What is called.
    ignore
        Names of arguments that do not tell calls apart.
    rules
        How code is looked at.
    declared
        What the author says of the version, and of single arguments.
    carried
        The identity that came with a function that was pickled by value: its source is elsewhere.

    Examples
    --------
    >>> def scale(x, factor=2.0): return x * factor
    >>> keyed = KeyedFunction(scale)
    >>> keyed.key((3,), {}).key == keyed.key((), {"x": 3, "factor": 2.0}).key
    True
    """

    __slots__ = (
        "_declared",
        "_found",
        "_function",
        "_ignore",
        "_parameters",
        "_plain",
        "_receiver",
        "_rules",
        "carried",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        ignore: Collection[str] = (),
        rules: Rules = DELIVERED,
        declared: Declared = NOTHING,
        carried: FunctionIdentity | None = None,
    ) -> None:
        check_names(function, declared.keyed, "key")
        self._plain = plain_function(function)
        # The receiver of a bound method is its first argument.
        self._receiver = (function.__self__,) if isinstance(function, MethodType) else ()
        self._function = function.__func__ if isinstance(function, MethodType) else function
        self._parameters: Parameters | None = None
        self._ignore = ignore
        self._rules = rules
        self._declared = declared
        self._found: tuple[FunctionIdentity, Watched] | None = None
        self.carried = carried

    @property
    def name(self) -> str:
        """The name of the function, which is that of its identity."""
        return name_of(self._plain)

    def bound_to(self, receiver: object) -> KeyedFunction:
        """Return the same for the method of one object: what was found of the function holds for it too."""
        with suppress(KeyingError):  # is said by the call
            self.identity()
        bound = copy(self)
        bound._receiver = (receiver,)
        return bound

    def identity(self) -> FunctionIdentity:
        """Return the identity of the function, found anew when something on the way was replaced.

        Raises
        ------
        KeyingError
            If something that it carries has no stable digest, or what was declared cannot be found.
        """
        if self.carried is not None:
            return self.carried
        found = self._found
        if found is None or not found[1].is_unchanged():
            found = self._found = find_identity(self._plain, self._rules, self._declared)
            self._parameters = None
        return found[0]

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, object]:
        """Bind the arguments of a call that count."""
        return self._known_parameters().bind(self._receiver + args, kwargs, self._ignore)

    def _known_parameters(self) -> Parameters:
        parameters = self._parameters
        if parameters is None:
            parameters = self._parameters = parameters_of(self._function)
        return parameters

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, ambient: object = None) -> CallKey:
        """Return the key of a call, and the digests that it is made of.

        Parameters
        ----------
        ambient
            What of the surroundings decides the result too; None is scikit-learn's configuration in this thread, for
            a function that is its own or uses it.

        Raises
        ------
        KeyingError
            If the function or an argument has no stable digest.
        TypeError
            If the function cannot be called so.
        """
        identity = self.identity()
        parameters = self._parameters or self._known_parameters()
        if ambient is None and "package:sklearn" in identity.parts:
            ambient = configured_here()
        if self._receiver:
            args = self._receiver + args
        alone = not (ambient or self._declared.keyed)
        # Most calls are of plain arguments by their places, which marshal writes alike in every process: those do not
        # pay for more.
        values = parameters.in_place(args) if alone and not kwargs and not self._ignore else None
        if values is not None and _are_plain(values):
            return call_key(identity, Arguments.in_place(parameters, values))
        bound = parameters.gather(args, kwargs, self._ignore)
        parts: dict[str, str] = {}
        standing = _laid_out(bound) if alone else None
        if standing is not None:
            arguments = Arguments(standing, True)
        else:
            encodings: dict[str, bytes] = {}
            for name, value in bound.items():
                encodings[name], inside = self._encode_argument(name, value)
                if inside:
                    parts = join_parts(parts, inside)
            if ambient is None and "package:sklearn" in parts:
                ambient = configured_here()
            if ambient:
                encodings[AMBIENT], _ = encode(ambient, name="the surroundings")
            arguments = Arguments(encodings)
        return call_key(identity, arguments, argument_parts=parts)

    def changed(self, call: CallKey, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
        """Return the names of the arguments that are no longer what they were when a call's key was made.

        An argument that has no digest any more has changed too.
        """
        changed = []
        for name, value in self.bind(args, kwargs).items():
            try:
                if digest_of(self._encode_argument(name, value)[0]) == call.arguments.get(name):
                    continue
            except KeyingError:
                pass
            changed.append(name)
        return changed

    def _encode_argument(self, name: str, value: object) -> tuple[bytes, dict[str, str]]:
        keyed = self._declared.keyed.get(name)
        if keyed is not None:
            try:
                value = ("key", keyed(value))
            except Exception as error:
                raise KeyingError(
                    f"key[{name!r}] of {name_of(self._plain)} failed on its argument: {type(error).__name__}: {error}"
                ) from error
        return encode(value, name=f"argument {name!r}", rules=self._rules)


def _are_plain(values: Iterable[object]) -> bool:
    try:
        return PLAIN.issuperset(map(type, values))
    except TypeError:  # a class may have no hash
        return False


def _laid_out(bound: Mapping[str, object]) -> Mapping[str, Any] | None:
    if _are_plain(bound.values()):
        return bound
    try:
        return lay_out(bound)
    except TypeError:  # the longer way says which argument it is
        return None
