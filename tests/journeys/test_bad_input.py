"""Bad input: one paragraph that says what to do, and nothing lost."""

import sqlite3

import pytest

WORK = "import cachestore\ncachestore.Memory({!r}, verbose=0).eval(abs, -1)\n"


def paragraph(ran):
    """Return the only paragraph on stderr."""
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, ran.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ls", "--location", "foo://bucket"], "foo"),
        (["ls", "--location", "nowhere"], "no store"),
        (["gc", "--older-than", "soon"], "soon"),
        (["gc", "--max-size", "lots"], "lots"),
        (["gc", "--max-entries", "-3"], "-3"),
        (["show", "ffff"], "ffff"),
    ],
)
def test_the_command_line_says_what_was_wrong(python, command, tmp_path, words, said):
    python(WORK.format(str(tmp_path)))
    stored = files_of(tmp_path / "cachestore")
    if "--location" not in words:
        words = [*words, "--location", str(tmp_path)]
    ran = command(*words)
    assert said in ran.stderr
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "nowhere").exists()
    assert files_of(tmp_path / "cachestore") == stored


def files_of(store):
    # What waits beside the index is taken in by the next that looks.
    return sorted(path for path in store.rglob("*") if not path.name.endswith(".spool"))


def test_an_unknown_protocol_in_code_is_an_error_at_once(python):
    ran = python(WORK.format("foo://bucket/x"), check=False)
    assert ran.returncode == 1
    assert "SettingsError" in ran.stderr
    assert "foo" in ran.stderr.splitlines()[-1]


def test_a_bucket_that_is_not_there(command, at):
    said = paragraph(command("stats", environ=at | {"CACHESTORE_LOCATION": "s3://no-such-bucket-here/x"}))
    assert "no-such-bucket-here" in said


def test_an_index_of_a_newer_version(python, command, tmp_path):
    python(WORK.format(str(tmp_path)))
    index = tmp_path / "cachestore" / "index.sqlite"
    with sqlite3.connect(index) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for words in (["ls"], ["gc", "--older-than", "1d", "--yes"], ["migrate"], ["rebuild"]):
        said = paragraph(command(*words, "--location", str(tmp_path)))
        assert "pgrade" in said
    assert (tmp_path / "cachestore" / "blobs").is_dir()


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        ("s3fs", "cachestore.Memory('s3://bucket/x')", "pip install 'cachestore[s3]'"),
        (
            "psycopg",
            "cachestore.Memory('x', index='postgresql://h/d')",
            "pip install 'cachestore[postgres]'",
        ),
        (
            "distributed",
            "cachestore.Memory('x', verbose=0).parallel('dask')",
            "pip install 'cachestore[dask]'",
        ),
    ],
)
def test_what_is_optional_and_missing_is_answered_with_what_to_install(python, module, code, said):
    ran = python(f"import sys\nsys.modules[{module!r}] = None\nimport cachestore\n{code}\n", check=False)
    assert "MissingExtra" in ran.stderr
    assert said in ran.stderr


def test_the_base_works_without_what_is_optional(python):
    absent = ["s3fs", "boto3", "psycopg", "distributed", "dask", "sklearn", "pandas", "pyarrow"]
    code = f"import sys\nfor name in {absent}: sys.modules[name] = None\n" + WORK.format("here")
    code += "import joblib\nwith cachestore.Memory('here', verbose=0).parallel('threading'):\n"
    code += "    print(joblib.Parallel()(joblib.delayed(abs)(n) for n in (-1, -2)))\n"
    assert python(code).stdout == "[1, 2]\n"
