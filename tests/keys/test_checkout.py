"""Paths inside the checkout of a module are the same in every checkout, and no others are."""

from pathlib import Path, PurePosixPath

import pytest

from cachestore.keys import digest, identify
from cachestore.keys.checkout import Inside, portable


def checkout(folder, *, mark="pyproject.toml", module="acme.load"):
    """Make a checkout of a project, and return it with the names of one of its modules."""
    file = folder / "src" / (module.replace(".", "/") + ".py")
    file.parent.mkdir(parents=True)
    file.touch()
    if mark:
        (folder / mark).touch()
    return folder, {"__name__": module, "__file__": str(file)}


CONSTANTS = {
    "folder": lambda root: root / "src" / "acme",
    "file": lambda root: root / "src" / "acme" / "data" / "a.csv",
    "text": lambda root: str(root / "src" / "acme" / "data" / "a.csv"),
    "up": lambda root: f"{root}/src/acme/../data",
    "root": lambda root: root,
    "beside": lambda root: root / "data",
    "inside others": lambda root: {"a": [(root / "data", 1), {str(root)}], root: frozenset([str(root)])},
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_two_checkouts_are_alike(tmp_path, name):
    digests = set()
    for place in ("one", "deeper/two"):
        root, names = checkout(tmp_path / place)
        value = CONSTANTS[name](root)
        digests.add(digest(portable(value, names)))
        assert digest(value) not in digests
    assert len(digests) == 1


def test_all_of_them_differ(tmp_path):
    root, names = checkout(tmp_path)
    digests = {digest(portable(constant(root), names)) for constant in CONSTANTS.values()}
    assert len(digests) == len(CONSTANTS)


def test_what_is_not_inside_stays_as_it_is(tmp_path):
    root, names = checkout(tmp_path / "one")
    shared = ["a", {"b": (1, "/srv/data")}]
    for value in (
        tmp_path, str(tmp_path / "one2"), tmp_path / "oneness" / "a", "/srv/data", Path("data"), "data", "", 3,
        f"{root}/../two", f"{root}/src/acme/../../../two", shared,
    ):  # fmt: skip
        assert portable(value, names) is value


def test_no_other_value_has_the_digest_of_such_a_path(tmp_path):
    root, names = checkout(tmp_path)
    inside = portable(root / "data", names)
    assert inside == Inside("path", 2, "/data")
    others = [
        "/data",
        "../../data",
        PurePosixPath("../../data"),
        ("path", 2, "/data"),
        portable(f"{root}/data", names),
    ]
    assert digest(inside) not in map(digest, others)


def test_values_are_not_changed(tmp_path):
    root, names = checkout(tmp_path)
    value = {"a": [root]}
    assert portable(value, names) != {"a": [root]}
    assert value == {"a": [root]}


def test_without_a_project_the_folder_that_the_module_is_imported_from_is_the_top(tmp_path):
    root, names = checkout(tmp_path, mark=None)
    assert portable(root / "src" / "data", names) == Inside("path", 1, "/data")
    assert portable(root / "data", names) == root / "data"


def test_an_installed_module_is_no_part_of_the_project_around_it(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    site = tmp_path / ".venv" / "lib" / "site-packages"
    names = {"__name__": "acme.load", "__file__": str(site / "acme" / "load.py")}
    assert portable(site / "acme" / "data", names) == Inside("path", 0, "/data")
    assert portable(tmp_path / "data", names) == tmp_path / "data"


def test_a_repository_of_settings_at_home_is_no_project(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    names = {"__name__": "load", "__file__": str(tmp_path / "work" / "load.py")}
    assert portable(tmp_path / "data", names) == tmp_path / "data"


def test_links_to_the_checkout(tmp_path):
    root, _ = checkout(tmp_path / "one")
    (tmp_path / "link").symlink_to(root)
    names = {"__name__": "acme.load", "__file__": str(tmp_path / "link" / "src" / "acme" / "load.py")}
    assert (
        portable(tmp_path / "link" / "data", names)
        == portable(root / "data", names)
        == Inside("path", 2, "/data")
    )


def test_a_module_that_runs_as_a_program(tmp_path):
    root, names = checkout(tmp_path, mark=None)

    class Spec:
        name = "acme.load"

    program = {**names, "__name__": "__main__", "__spec__": Spec}
    assert portable(root / "src" / "data", program) == portable(root / "src" / "data", names)
    script = {**names, "__name__": "__main__", "__spec__": None}
    assert portable(root / "src" / "acme" / "data", script) == portable(root / "src" / "acme" / "data", names)


def test_nothing_is_inside_the_root_of_a_file_system():
    names = {"__name__": "load", "__file__": "/load.py"}
    assert portable("/data", names) == "/data"
    assert portable("/", names) == "/"


def test_what_has_no_file():
    assert portable("/data", {"__name__": "__main__"}) == "/data"


def test_what_leads_back_to_itself(tmp_path):
    _, names = checkout(tmp_path)
    ring = []
    ring.append(ring)
    assert portable(ring, names) is ring


def test_a_function_that_reads_such_a_path_is_the_same_in_every_checkout(load):
    source = """
        from pathlib import Path
        HERE = Path(__file__).parent
        FILES = {"raw": str(HERE / "raw.csv")}
        def read(): return HERE, FILES
    """
    first = identify(load(team=source).read)
    assert identify(load(team=source).read) == first
    assert identify(load(team=source.replace("raw.csv", "new.csv")).read) != first
