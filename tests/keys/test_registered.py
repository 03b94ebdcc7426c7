"""Digests that users register for their types."""

import collections
import collections.abc
import enum
import numbers
import threading

import numpy as np
import pytest

import cachestore
from cachestore.errors import KeyingError
from cachestore.keys import digest, encode, register_digest


class Table:
    def __init__(self, url):
        self.url = url
        self.lock = threading.Lock()


class Wide(Table):
    pass


class Speaking(Table):
    def __cachestore_digest__(self):
        return ["speaking", self.url]


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    from cachestore.keys import registered

    monkeypatch.setattr(registered, "_registered", registered._registered.copy())
    digest(np.zeros(1))  # the quick rules of numpy are entered once, when it is met first
    small = dict(registered.SMALL)
    yield
    registered.found.clear()
    registered.SMALL.update(small)


def test_a_registered_digest_stands_for_the_object_at_once():
    with pytest.raises(KeyingError, match=r"value -> \[0\].lock -> <lock>"):
        digest([Table("a")])
    returned = register_digest(Table)(by_url := lambda table: table.url)
    assert returned is by_url
    assert digest([Table("a")]) == digest([Table("a")]) != digest([Table("b")])
    assert digest(Table("a")) != digest("a")
    assert cachestore.register_digest is register_digest


def test_the_class_counts():
    register_digest(Table)(lambda table: table.url)
    assert digest(Table("a")) != digest(Wide("a"))
    assert set(encode(Wide("a"))[1]) == {f"class:{__name__}:Table", f"class:{__name__}:Wide"}


def test_an_edited_method_of_the_class_counts(load):
    source = "class Model:\n    def predict(self, x): return x + 1\n"

    def registered(source):
        model = load(team=source).Model
        register_digest(model)(lambda model: "weights")
        return digest(model())

    assert registered(source) == registered(source + "# more\n") != registered(source.replace("1", "2"))


def test_the_nearest_base_that_says_something_counts():
    register_digest(Table)(lambda table: "table")
    assert digest(Speaking("a")) != digest(Speaking("b"))
    register_digest(Speaking)(lambda table: "registered")
    assert digest(Speaking("a")) == digest(Speaking("b"))
    register_digest(Wide)(lambda table: table.url)
    assert digest(Wide("a")) != digest(Wide("b"))


def test_what_a_class_says_of_itself_holds_for_its_subclasses():
    class Silent(Speaking):
        pass

    assert digest(Silent("a")) == digest(Silent("a")) != digest(Speaking("a"))


def test_a_type_of_a_library_can_be_registered():
    from sklearn.svm import SVC

    before = digest(SVC(C=1))
    register_digest(SVC)(lambda model: "one model")
    assert digest(SVC(C=1)) == digest(SVC(C=2)) != before


@pytest.mark.parametrize("cls", [np.ndarray, np.generic, np.float64])
def test_a_registered_digest_goes_before_a_quick_rule(cls):
    value = np.float64(1.5) if cls is not np.ndarray else np.zeros(3)
    before = digest(value), digest([value])
    register_digest(cls)(lambda value: "registered")
    assert digest(value) not in before
    assert digest([value]) not in before
    assert digest([value]) == digest([value + 1])


def test_a_digest_may_be_registered_before_the_first_use(run):
    program = """
        import numpy as np
        from cachestore.keys import digest, register_digest
        register_digest(np.ndarray)(lambda array: "registered")
        digest(np.float64(1))
        assert digest(np.zeros(3)) == digest(np.ones(3)) and digest([np.zeros(3)]) == digest([np.ones(3)])
    """
    run(program)


@pytest.mark.parametrize(
    "cls", [int, str, list, dict, collections.OrderedDict, object, type, enum.EnumMeta, type(len)]
)
def test_what_is_fixed_stays_fixed(cls):
    with pytest.raises(TypeError, match="is fixed"):
        register_digest(cls)


def test_no_class():
    with pytest.raises(TypeError, match="takes a class, not 'Table'"):
        register_digest("Table")


def test_a_digest_that_fails_or_says_nothing():
    register_digest(Table)(lambda table: 1 / 0)
    with pytest.raises(KeyingError, match=r"-> <Table>: its registered digest failed \(division by zero\)"):
        digest([Table("a")])
    register_digest(Table)(lambda table: table)
    with pytest.raises(KeyingError, match="returns the object itself"):
        digest(Table("a"))
    register_digest(Table)(lambda table: {"lock": table.lock})
    with pytest.raises(KeyingError, match=r"value\['lock'\] -> <lock>|value -> \['lock'\] -> <lock>"):
        digest(Table("a"))


def test_an_abstract_class_says_nothing_of_built_in_values():
    values = [b"a", bytearray(b"a"), 1j, range(3), np.float64(1)]
    before = digest(values)
    register_digest(collections.abc.Sequence)(len)
    register_digest(numbers.Complex)(abs)
    assert digest(values) == before
