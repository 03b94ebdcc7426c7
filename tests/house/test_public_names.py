"""What is promised is there: public names, and nothing else by accident."""

import doctest
import importlib
import pkgutil

import pytest

import cachestore


def test_every_public_name_can_be_had():
    for name in cachestore.__all__:
        assert getattr(cachestore, name) is not None
        assert name in dir(cachestore)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'memory_of_an_elephant'"):
        cachestore.memory_of_an_elephant


def test_errors_are_one_tree():
    from cachestore import errors

    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning):
            assert issubclass(kind, cachestore.CachestoreError)
            assert getattr(cachestore, name) is kind
            assert str(kind("what was wrong, and what to do")) == "what was wrong, and what to do"


def modules():
    for module in pkgutil.walk_packages(cachestore.__path__, "cachestore."):
        if ".demo" not in module.name and not module.name.endswith("__main__"):
            yield module.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples_in_docstrings_are_true(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize("name", list(modules()))
def test_every_module_says_what_it_is(name):
    described = (importlib.import_module(name).__doc__ or "").strip().splitlines()
    assert described
    assert len(described) <= 15 or name == "cachestore.cache.cache"
