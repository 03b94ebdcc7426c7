import warnings

import pytest

import cachestore
from cachestore.cli import main


def test_the_version_and_the_name(start):
    shown, _ = start("--version").communicate(timeout=60)
    assert shown == f"cachestore, version {cachestore.__version__}\n"
    shown, _ = start("--help").communicate(timeout=60)
    assert shown.startswith("Usage: cachestore [OPTIONS] COMMAND")


def test_help_imports_nothing_heavy(start):
    process = start("--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in process.communicate(timeout=60)[1].splitlines()}
    assert "click" in imported
    assert not imported & {"numpy", "rich", "sqlalchemy", "fsspec", "blosc2", "joblib", "alembic", "blake3"}


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_takes_the_same_options(name, run):
    shown = run(name, "--help").stdout
    for option in ("--location PATH|URL", "--index PATH|URL", "--json", "-h, --help"):
        assert option in shown


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["stats", "--nonsense"], ["gc", "--max-entries", "five"]]
)
def test_wrong_usage(arguments, run):
    result = run(*arguments)
    assert result.exit_code == 2
    assert not result.stdout
    assert "Try 'cachestore" in result.stderr.replace("main", "cachestore")


def test_an_error_is_one_paragraph_and_no_traceback(start, tmp_path):
    process = start("stats", "--location", tmp_path / "nowhere")
    shown, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert not shown
    assert said.startswith("Error: There is no store at ")
    assert said.count("\n") == 1


def test_a_warning_is_a_sentence(run, monkeypatch, store):
    def warn(cache):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("The store\nis ill.", cachestore.CachestoreWarning, stacklevel=1)
        return original(cache)

    from cachestore.cache import overview

    original = overview.overview
    monkeypatch.setattr(overview, "overview", warn)
    result = run("stats", "--location", store, "--json")
    assert result.stderr == "Warning: The store is ill.\n"
    assert result.stdout.startswith("{")


def test_a_reader_that_has_enough_is_no_error(start, store):
    process = start("ls", "--location", store, "--json", env={"PYTHONUNBUFFERED": "1"})
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 141


def test_ctrl_c_is_no_error(run, store, monkeypatch):
    from cachestore.cache import overview

    def interrupted(cache):
        raise KeyboardInterrupt

    monkeypatch.setattr(overview, "overview", interrupted)
    result = run("stats", "--location", store)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\nInterrupted.\n")
