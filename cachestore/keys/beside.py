"""What objects hold beside the content that they have by a base class: attributes and slots."""

from __future__ import annotations

from collections.abc import Iterable
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
    added = (cls for cls in type(value).__mro__ if not issubclass(base, cls))
    return {**getattr(value, "__dict__", {}), **slots_of(value, added)}


def slots_of(value: Any, classes: Iterable[type]) -> dict[str, Any]:
    """Return what is in the slots that some of its classes give an object; one that was never filled is none."""
    return {
        name: member.__get__(value)
        for cls in classes
        for name, member in vars(cls).items()
        if type(member) is MemberDescriptorType and hasattr(value, name)
    }
