"""The example of docs/keys.md does what it says, and its settings are settings."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from cachestore.settings import Settings

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = (REPOSITORY / "docs" / "keys.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def is_known(folder, example, schema):
    (folder / "schema.sql").write_text(schema)
    (folder / "example.py").write_text(
        "import warnings, cachestore\nwarnings.simplefilter('error', cachestore.CachestoreWarning)\n"
        + example
        + "print(load.check_call_in_cache(3), weekday.check_call_in_cache(9))\nload(3), weekday(9)\n"
    )
    ran = subprocess.run(
        [sys.executable, "example.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[0]


def test_the_example_does_what_it_says(tmp_path):
    (example,) = blocks("python")
    assert is_known(tmp_path, example, "one") == "False False"
    assert is_known(tmp_path, example, "one") == "True True"
    assert is_known(tmp_path, example, "two") == "False True"
    assert is_known(tmp_path, example.replace('"sales"', '"costs"'), "two") == "False True"


def test_the_settings_are_settings():
    (settings,) = blocks("toml")
    assert Settings(**tomllib.loads(settings)).package_versions["numpy"] == "exact"
