import re
import warnings

import numpy as np
import pytest

from cachestore import CachestoreWarning, Memory, NotMemorizedResult


@pytest.fixture
def memory(alone, tmp_path):
    return Memory(tmp_path / "store", verbose=0)


def table(n):
    return np.ones((n, 3))


def total(array):
    return float(array.sum())


def text(html):
    return re.sub(r"<[^>]*>", " ", html)


def facts(html):
    return dict(re.findall(r"<th>([^<]*)</th><td>([^<]*)</td>", html))


def test_a_memory_shows_what_it_holds_and_the_functions_that_saved_most(memory):
    for n in range(7):
        name = f"f{n}"
        namespace = {}
        exec(f"def {name}(x): return {n}", namespace)
        memory.cache(namespace[name], version="1")(1)
    cached = memory.cache(table)
    cached(2), cached(2), cached(2)
    html = memory._repr_html_()
    shown = facts(html)
    assert (shown["Entries"], shown["Hits"], shown["Location"]) == ("8", "2", memory.store_backend.location)
    assert shown["Stored"].endswith(" bytes")
    assert html.count("<tr>") == 6 + 1 + 5


def test_a_memory_without_entries_or_location_is_shown(memory):
    assert facts(memory._repr_html_())["Entries"] == "0"
    assert Memory(None)._repr_html_() is None


def test_a_function_shows_its_hits_and_what_they_saved(memory):
    cached = memory.cache(table)
    assert facts(cached._repr_html_())["Entries"] == "0"
    cached(2), cached(2), cached(3)
    memory.cache(total)(np.ones(3))
    shown = facts(cached._repr_html_())
    assert (shown["Function"], shown["Entries"], shown["Hits"]) == (f"{__name__}.table", "2", "1")
    assert shown["Saved"].endswith(" s")


def test_a_result_shows_what_it_is_and_what_it_was_made_from(memory):
    tables, totals = memory.cache(table), memory.cache(total)
    result = tables.call_and_shelve(2)
    shown = facts(result._repr_html_())
    assert (shown["Function"], shown["Kind"], shown["Shape"]) == (
        f"{__name__}.table",
        "numpy.ndarray",
        "(2, 3)",
    )
    assert shown["Size"] == f"{memory.store_backend.peek(result.key).raw_size:,} bytes"
    assert "Made from" not in shown

    def both(n):
        return totals(tables(n))

    shown = facts(memory.cache(both).call_and_shelve(2)._repr_html_())
    assert "Shape" not in shown
    made_from = memory.cache(both).call_and_shelve(2)._repr_html_().count("Made from")
    assert made_from == 2
    assert shown["Made from"].startswith(f"{__name__}.total ")


def test_looking_counts_no_use(memory):
    cached = memory.cache(table)
    result = cached.call_and_shelve(2)
    result._repr_html_()
    assert facts(cached._repr_html_())["Hits"] == "0"


def test_whatever_has_a_meaning_in_html_is_escaped(alone, tmp_path, monkeypatch):
    monkeypatch.setenv("CACHESTORE_USER", "<b>ana</b>")
    memory = Memory(tmp_path / "<i>&", verbose=0)

    def local(x):
        return x

    cached = memory.cache(local)
    for html in (cached.call_and_shelve(1)._repr_html_(), cached._repr_html_(), memory._repr_html_()):
        assert "&lt;locals&gt;" in html
        assert set(re.findall(r"</?(\w+)", html)) <= {"table", "tr", "th", "td"}


def test_what_cannot_be_read_is_shown_as_plain_text(memory):
    cached = memory.cache(table)
    result = cached.call_and_shelve(2)
    memory.store_backend.close()
    directory = memory.store_backend.store.directory()
    for path in directory.glob("index.sqlite*"):
        path.unlink()
    (directory / "index.sqlite").write_text("no database at all" * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CachestoreWarning)
        assert memory._repr_html_() is None  # as IPython takes it
        assert cached._repr_html_() is None
        assert "numpy.ndarray" in result._repr_html_()  # needs no index
        for path in directory.glob("blobs/*/*"):
            path.unlink()
        assert result._repr_html_() is None


def test_what_is_not_memorised_has_the_plain_text_only():
    assert not hasattr(NotMemorizedResult(1), "_repr_html_")
