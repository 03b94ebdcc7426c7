"""A module that is handed on, with what is in it."""

from tests.golden import functions

STEPS = [1, 2]


def run(x):
    return [functions.helper(x) for _ in STEPS]
