"""A class whose text was edited after it was made is neither the one nor the other."""

import ast
import sys
from pathlib import Path

import pytest

from cachestore.keys import identify
from cachestore.keys.deviations import deviations
from cachestore.keys.own_version import class_definition_of, own_version

HEAD = """\
from __future__ import annotations
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypedDict
import pathlib
import sys
"""
PLAIN = HEAD.replace("from __future__ import annotations\n", "")
CLASS = """
@dataclass
class Options:
    depth: int
    where: pathlib.Path
    more: "Options | None" = None
    none: None = None
    __private: int = 1

class Base:
    __slots__ = ("a",)
    __tablename__ = "base"
    rate = 2

class Colour(Enum):
    RED = 1
    BLUE = "b"

class Point(NamedTuple):
    x: int
    why: int = 1

class Compatible:
    if sys.version_info < (3, 12):
        def __class_getitem__(cls, item): return cls
    def fit(self): return {lambda: i for i in range(3)}

class Row(TypedDict):
    key: int

class More(Row):
    y: int
"""
NAMES = ("Options", "Base", "Colour", "Point", "Row", "More", "Compatible")


@pytest.mark.parametrize("head", [HEAD, PLAIN])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Options", "depth: int", "depth: str"),
        ("Options", "depth: int", "depth: int\n    wide: int"),
        ("Options", "    depth: int\n", ""),
        ("Options", "Options | None", "Options | int"),
        ("Options", "where: pathlib.Path", "where: pathlib.PurePath"),
        ("Options", "__private: int", "__private: str"),
        ("Base", '("a",)', '("b",)'),
        ("Base", '__tablename__ = "base"', '__tablename__ = "bases"'),
        ("Base", "rate = 2", "rate = 3"),
        ("Base", "rate = 2", "rate = 2\n    other = 3"),
        ("Base", "    rate = 2\n", ""),
        ("Base", "rate = 2", "rate = 2\n    def new(self): return 1"),
        ("Colour", "RED = 1", "RED = 3"),
        ("Point", "why: int", "why: str"),
        ("Row", "key: int", "key: str"),
        ("Row", "key: int", "key: int\n    z: int"),
    ],
)
def test_an_edit_after_import_gives_neither_version(load, head, name, old, new):
    assert CLASS.count(old) == 1
    edited = CLASS.replace(old, new)
    before = identify(getattr(load(team=head + CLASS), name))
    team = load(team=head + CLASS)
    Path(team.__file__).write_text(head + edited)
    stale = identify(getattr(team, name))
    after = identify(getattr(load(team=head + edited), name))
    assert before.version != after.version != stale.version


def test_what_was_made_from_its_text_deviates_in_nothing(load):
    for head in (HEAD, PLAIN):
        team = load(team=head + CLASS)
        again = load(team=head + "\n# moved\n\n" + CLASS)
        for name in NAMES:
            assert own_version(getattr(team, name)) == own_version(getattr(again, name))


def test_values_that_are_set_later_are_not_in_the_text(load):
    source = "class Counter:\n    count = 0\n    def add(self):\n        Counter.count += 1\n"
    before = own_version(load(team=source).Counter)
    counter = load(team=source).Counter
    counter().add()
    assert own_version(counter) == before


def test_a_method_that_was_written_later_is_missing(load):
    source = "class Model:\n    def __fit(self): return 1\n"
    more = "    def new(self): return 2\n    if __debug__ is None:\n        def other(self): return 3\n"
    model = load(team=source).Model
    before = own_version(model)
    model = load(team=source).Model
    file = Path(sys.modules["team"].__file__)
    file.write_text(source + more)
    assert deviations(model, class_definition_of(model)[0], {}) == {"method new": b""}
    assert own_version(load(team=source + more).Model) != own_version(model) != before


def test_classes_are_the_same_on_every_python(load, run, python, tmp_path):
    program = (
        "import team; from cachestore.keys.own_version import own_version\n"
        f"print(*[own_version(getattr(team, name)).hex() for name in {NAMES}])"
    )
    executable, packages = python
    for head in (HEAD, PLAIN):
        team = load(team=head + CLASS)
        expected = " ".join(own_version(getattr(team, name)).hex() for name in NAMES)
        folder = Path(team.__file__).parent
        assert run(program, python=str(executable), path=[packages, folder]) == expected


def test_a_module_that_was_edited_after_import_counts_as_it_runs(load):
    source = "import helpers\ndef main(name): return getattr(helpers, name)()\n"
    helpers = "def one(): return {}\nclass Two:\n    def two(self): return 2\n"
    edited = {"team": source, "helpers": helpers.format(22)}
    team = load(team=source, helpers=helpers.format(1))
    before = identify(team.main)
    team = load(team=source, helpers=helpers.format(1))
    Path(team.helpers.__file__).write_text(edited["helpers"])
    with pytest.warns(match=r"helpers\.one runs as it was imported"):
        stale = identify(team.main)
    assert stale.version not in {before.version, identify(load(**edited).main).version}


def test_a_function_of_a_module_that_was_replaced_is_seen(load):
    helpers = load(helpers="def one(): return 1\ndef two(): return 2\n")
    before = own_version(helpers)
    helpers.one = helpers.two
    assert own_version(helpers) != before


def test_annotations_that_are_gone_from_the_text_deviate():
    (node,) = ast.parse("class Options:\n    depth: int").body
    options = type("Options", (), {"__annotations__": {"depth": int, "wide": int}})
    assert list(deviations(options, node, {})) == ["annotation of wide"]
