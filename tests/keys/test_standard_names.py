"""Names of the standard library: one thing has one, on every Python."""

import asyncio
import decimal
import functools
import importlib.resources
import io
import json
import os
import pathlib
import re
import threading
import types
import zipfile

import pytest

from cachestore.keys.standard_names import named_publicly, standard_name

NAMES = {
    pathlib.Path: "pathlib.Path",
    pathlib.PurePosixPath: "pathlib.PurePosixPath",
    zipfile.Path: "zipfile.Path",
    re.error: "re.error",
    re.compile: "re.compile",
    threading.Lock: "threading.Lock",
    io.open: "io.open",
    decimal.getcontext: "decimal.getcontext",
    importlib.resources.contents: "importlib.resources.contents",
    importlib.resources.files: "importlib.resources.files",
    asyncio.current_task: "asyncio.current_task",
    os.path.normpath: "os.path.normpath",
    os.path.islink: "os.path.islink",
    os.path.join: "os.path.join",
    os.getpid: "os.getpid",
    types.UnionType: "types.UnionType",
    json.JSONDecoder: "json.decoder.JSONDecoder",
}


def name_of(value):
    return ".".join(named_publicly(value.__module__, value.__qualname__))


@pytest.mark.parametrize("value", NAMES)
def test_here(value):
    assert name_of(value) == NAMES[value]


@pytest.mark.parametrize("value", NAMES)
def test_functions_and_classes_have_one_kind_of_name(value):
    assert standard_name(value).replace(":", ".") == NAMES[value]


def test_what_is_none_of_the_standard_library():
    made = types.new_class("SimpleNamespace")
    made.__module__ = "types"
    for value in (
        made,
        test_here,
        lambda x: x,
        "a".join,
        [].append,
        functools.partial(len),
        pytest.raises,
        json,
        3,
    ):
        assert standard_name(value) is None


def test_on_every_python(run, python):
    executable, packages = python
    program = f"""
        import asyncio, decimal, importlib.resources, io, json, os.path, pathlib, re, threading, types, zipfile
        from cachestore.keys.standard_names import named_publicly
        for path in {list(NAMES.values())!r}:
            value = eval(path)
            print(".".join(named_publicly(value.__module__, value.__qualname__)))
    """
    assert run(program, python=str(executable), path=[packages]).splitlines() == list(NAMES.values())


def test_two_things_keep_two_names():
    compiler = re._compiler if hasattr(re, "_compiler") else pytest.skip("this Python has no such module")
    assert name_of(compiler.compile) != name_of(re.compile)
    assert named_publicly("_socket", "socket") == ("_socket", "socket") != ("socket", "socket")
    assert named_publicly("ntpath", "join") != named_publicly("posixpath", "join")


def test_other_modules_keep_their_names(load):
    load(**{"team/__init__": "from team._local import Path", "team/_local": "class Path: pass"})
    assert named_publicly("team._local", "Path") == ("team._local", "Path")


def test_a_function_that_names_them_is_the_same_on_every_python(run, python, tmp_path):
    executable, packages = python
    (tmp_path / "team.py").write_text(
        "from pathlib import Path\nfrom re import error\nfrom os.path import normpath, islink\n"
        "from threading import Lock\nfrom decimal import getcontext\nimport os.path as paths\n"
        "def f(): return Path, error, normpath, islink, Lock, getcontext, paths, open\n"
    )
    program = "import team; from cachestore.keys import identify; print(identify(team.f).version)"
    here = run(program, path=[tmp_path])
    assert run(program, python=str(executable), path=[packages, tmp_path]) == here
