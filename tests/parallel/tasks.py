"""Tasks of a team's own package, for workers to import."""

import joblib

import cachestore


def square(number):
    return number * number


def where_is_the_cache(number):
    return cachestore.open().location


def squares_in_parallel(numbers):
    return joblib.Parallel(n_jobs=2)(joblib.delayed(square)(number) for number in numbers)


def fail(number):
    raise LookupError(f"no {number} here")
