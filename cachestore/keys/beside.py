"""What objects hold beside the content that they have by a base class: attributes and slots."""

from __future__ import annotations

from types import MemberDescriptorType
from typing import Any


def beside(value: Any, base: type) -> dict[str, Any]:
    """Return what an object holds that is not a part of a base class, by name.

    Examples
    --------
    >>> from decimal import Decimal
    >>> class Money(Decimal):
    ...     __slots__ = ("currency",)
    >>> price = Money(3)
    >>> price.currency = "EUR"
    >>> beside(price, Decimal)
    {'currency': 'EUR'}
    """
    held = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        if issubclass(base, cls):
            continue
        for name, member in vars(cls).items():
            # One that was never filled is none.
            if type(member) is MemberDescriptorType and hasattr(value, name):
                held[name] = member.__get__(value)
    return held
