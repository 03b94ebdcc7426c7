"""What the README promises is true: its examples are run, its commands, settings and goals exist."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from cachestore.settings import Settings

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(script, folder):
    return subprocess.run(
        [sys.executable, script],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ).stdout


def test_the_first_example_prints_what_it_says(tmp_path):
    example, said = blocks("python")[0], blocks("console")[0]
    name = example.splitlines()[0].removeprefix("# ")
    (tmp_path / name).write_text(example)
    expected = [text.split("\n", 1)[1] for text in said.split("$ python ")[1:]]
    assert len(expected) == 2
    assert [run(name, tmp_path), run(name, tmp_path)] == expected


def test_it_is_as_short_as_it_claims():
    code = [line for line in blocks("python")[0].splitlines() if line and not line.startswith("#")]
    assert len(code) <= 8


def test_the_search_computes_as_few_folds_as_it_says(tmp_path):
    (tmp_path / "search.py").write_text(
        blocks("python")[1]
        + "from cachestore.index import Selection\n"
        + "cache.store_backend.merge_uses()\n"
        + "entries = cache.store_backend.index.select(Selection())\n"
        + "print(len(entries), sum(entry.hits for entry in entries))\n"
    )
    assert run("search.py", tmp_path) == "20 10\n"
    assert "10 of these 15 folds" in README


def test_a_pipeline_fits_its_transformer_once(tmp_path):
    (tmp_path / "pipeline.py").write_text(
        blocks("python")[2]
        + "from cachestore.index import Selection\n"
        + "cache = cachestore.open().store_backend\n"
        + "cache.merge_uses()\n"
        + "print([entry.hits for entry in cache.index.select(Selection())])\n"
    )
    assert [run("pipeline.py", tmp_path), run("pipeline.py", tmp_path)] == ["[0]\n", "[1]\n"]


def test_joblib_stores_here_as_it_says(tmp_path):
    (example,) = [block for block in blocks("python") if "register_joblib_store" in block]
    (tmp_path / "theirs.py").write_text(example.replace("s3://team/cache", str(tmp_path)))
    assert run("theirs.py", tmp_path).splitlines()[-1] == "(3, 2)"
    assert (tmp_path / "cachestore" / "store.json").exists()


def test_large_arrays_are_given_as_it_says(tmp_path):
    (tmp_path / "arrays.py").write_text(blocks("python")[3])
    said = [
        "<class 'numpy.memmap'>",
        "(100, 4)",
        "4",
        r"LazyArray\(numpy\.sort, \w{12}, shape=\(300, 200, 100\).*",
    ]
    for _ in range(2):
        lines = run("arrays.py", tmp_path).splitlines()
        printed = [line for line in lines if line.startswith(("<", "(", "4", "Lazy"))]
        assert printed[:3] == said[:3]
        assert re.fullmatch(said[3], printed[3])


def test_every_python_example_is_run():
    assert len(blocks("python")) == 5


def test_settings_in_the_examples_are_settings():
    for block in blocks("toml"):
        Settings(**tomllib.loads(block))


def test_every_setting_is_explained():
    explained = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert sorted(explained) == sorted(field.name for field in fields(Settings))


def commands():
    for block in blocks("console"):
        for line in block.splitlines():
            if line.startswith("$ cachestore "):
                yield line.split("#")[0].split()[2:]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_commands_in_the_examples_are_understood(words, tmp_path):
    """At a place without a store: what is understood is refused for that alone, `config` shows it."""
    ran = subprocess.run(
        [sys.executable, "-m", "cachestore", *(word.strip("'") for word in words)],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert "Usage" not in ran.stderr
    assert ran.returncode == (0 if words == ["config"] else 2)


def test_goals_and_files_that_are_named_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    for goal in re.findall(r"(?:\$ |`)make (\w+)", README):
        assert re.search(rf"^{goal}:", makefile, re.MULTILINE), goal
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (REPOSITORY / link).exists(), link
