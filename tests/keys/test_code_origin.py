"""Whose code a module is."""

import json
import sys

import pytest

from cachestore.keys import code_origin
from cachestore.keys.code_origin import Origin, origin_of, package_version


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Make a folder of installed distributions."""
    root = tmp_path / "lib" / "site-packages"
    root.mkdir(parents=True)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(code_origin, "_known", {})

    def install(module, distribution, version="1.2.3", **files):
        (root / f"{module}.py").write_text("def f(): return 1")
        info = root / f"{distribution}-{version}.dist-info"
        info.mkdir()
        (info / "RECORD").write_text(f"{module}.py,,\n{info.name}/RECORD,,\n")
        for name, content in files.items():
            (info / name.replace("_json", ".json")).write_text(content)
        forget()

    def forget():
        for cached in vars(code_origin).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()

    install.root = root
    yield install
    for name in ("indexed", "built", "cloned", "from_conda", "from_wheel", "copied"):
        sys.modules.pop(name, None)
    forget()


@pytest.mark.parametrize(
    "module", ["json", "json.decoder", "builtins", "sys", "_io", "math", "cachestore.keys", "os.path"]
)
def test_standard(module):
    assert origin_of(module).kind == "standard"


@pytest.mark.parametrize("module", ["numpy", "numpy.linalg", "sklearn.svm", "pytest", "yaml"])
def test_packages(module):
    assert origin_of(module) == Origin("package", module.partition(".")[0])


def test_first_party(load):
    load(team="", **{"pack/__init__": "", "pack/tools": ""})
    assert {origin_of(name).kind for name in ("team", "__main__", "pack.tools", __name__)} == {"first-party"}


def test_what_was_installed_from_an_index_is_a_package(site):
    site("indexed", "Indexed-Things", "2.3.1")
    assert origin_of("indexed") == Origin("package", "indexed")
    assert package_version("indexed") == "2.3"


@pytest.mark.parametrize(
    "source", [{"url": "file:///src", "dir_info": {}}, {"url": "https://x", "vcs_info": {}}]
)
def test_what_was_built_from_a_checkout_is_first_party(site, source):
    site("built", "built", direct_url_json=json.dumps(source))
    site("indexed", "indexed")
    __import__("built")
    assert origin_of("built").kind == "first-party"
    assert origin_of("indexed").kind == "package"


def test_conda_builds_everything_from_directories(site):
    source = json.dumps({"url": "file:///home/conda/feedstock", "dir_info": {}})
    site("from_conda", "from_conda", direct_url_json=source, INSTALLER="conda\n")
    assert origin_of("from_conda").kind == "package"


def test_what_nobody_installed_is_first_party(site):
    site("indexed", "Indexed-Things")
    (site.root / "copied.py").write_text("def f(): return 1")
    assert origin_of("copied").kind == "first-party"
    assert origin_of("indexed").kind == "package"


@pytest.mark.parametrize("silent", ["old.egg-info", "silent-1.0.dist-info"])
def test_beside_a_distribution_that_does_not_tell_what_it_installed_all_are_packages(site, silent):
    site("indexed", "indexed")
    (site.root / silent).mkdir()
    (site.root / "copied.py").write_text("def f(): return 1")
    assert origin_of("copied").kind == "package"


def test_the_team_s_modules_in_a_folder_of_installed_ones(tmp_path, site, monkeypatch):
    """`pip install --target .` puts distributions beside them."""
    site.root = tmp_path / "bundle"
    (site.root / "indexed-1.0.dist-info").mkdir(parents=True)
    (site.root / "indexed-1.0.dist-info" / "RECORD").write_text("indexed.py,,\n")
    for name in ("indexed", "copied"):
        (site.root / f"{name}.py").write_text("def f(): return 1")
    monkeypatch.syspath_prepend(site.root)
    assert [origin_of(name).kind for name in ("indexed", "copied")] == ["package", "first-party"]


def test_versions_to_the_minor(monkeypatch):
    import numpy

    assert package_version("numpy") == ".".join(numpy.__version__.split(".")[:2])
    assert package_version("a_package_that_is_not_there") == "0"


def test_nothing_heavy_is_imported(run):
    heavy = ["importlib.metadata", "numpy", "pandas", "sklearn", "sqlalchemy", "fsspec", "blosc2", "joblib"]
    program = f"""
        import sys
        from cachestore.keys import KeyedFunction
        class Model:
            def fit(self): return self
        def f(x, model=Model()): return model.fit()
        KeyedFunction(f).key((dict(a=[1, 2.5, "b"]),), dict())
        print([name for name in {heavy!r} if name in sys.modules])
    """
    assert run(program) == "[]"
