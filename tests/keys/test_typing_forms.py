"""Types that are put together from others."""

import collections.abc
import copy
import textwrap
import typing

import pytest

from cachestore.keys import digest

T = typing.TypeVar("T")
Number = typing.NewType("Number", int)

DIFFERENT = [
    int, list, list[int], list[str], dict[str, int], tuple[int, ...], tuple[int], tuple[()], list[list[int]],
    typing.List, typing.List[int], typing.Dict[str, int], type[int],  # noqa: UP006
    int | str, int | None, int | str | None, list[int] | None, typing.Any, typing.Union[int, list], typing.Callable,  # noqa: UP007
    typing.Callable[[int], str], typing.Callable[[str], str], typing.Callable[..., str],
    collections.abc.Callable[[int], str], typing.Literal[1], typing.Literal[True], typing.Literal["a"],
    typing.Literal[1, "a"], typing.Annotated[int, 3], typing.Annotated[int, 4], typing.ClassVar[int],
    T, list[T], Number,
    typing.List["Node"], typing.List["Other"],  # noqa: F821, UP006
]  # fmt: skip


def test_all_differ():
    assert len(set(map(digest, DIFFERENT))) == len(DIFFERENT)


@pytest.mark.parametrize("value", DIFFERENT, ids=str)
def test_copies_are_equal(value):
    assert digest(copy.copy(value)) == digest(value)


def test_spellings_of_one_type_are_one():
    assert digest(int | str) == digest(str | int) == digest(typing.Union[str, int])  # noqa: UP007
    assert digest(typing.Optional[int]) == digest(int | None)  # noqa: UP045
    assert digest(typing.Literal[1, 2]) == digest(typing.Literal[2, 1])


def test_the_classes_inside_count(load):
    source = "class Row:\n    width = 1\n    def f(self): return 1\n"
    one = digest(list[load(team=source).Row])
    assert digest(list[load(team=source).Row]) == one
    assert digest(list[load(team=source.replace("return 1", "return 2")).Row]) != one
    assert digest(load(team=source.replace("return 1", "return 2")).Row | None) != digest(
        load(team=source).Row | None
    )


def test_a_process_that_a_script_spawned_knows_the_script_by_another_name(run):
    program = """
        import sys, typing
        from cachestore.keys import digest
        class One:
            def __reduce__(self): return "ONE"
        ONE = One()
        T, P = typing.TypeVar("T"), typing.ParamSpec("P")
        print(digest(T), digest(P), digest(ONE), digest(typing.NewType("Id", int)), digest(list[T]))
    """
    spawned = "import sys; sys.modules['__mp_main__'] = sys.modules['__main__']; __name__ = '__mp_main__'\n"
    assert run(program) == run(spawned + textwrap.dedent(program))


def test_what_a_declaration_says_counts():
    forms = [
        typing.TypeVar("T"), typing.TypeVar("T", bound=int), typing.TypeVar("T", int, str), typing.TypeVar("S"),
        typing.TypeVar("T", covariant=True), typing.ParamSpec("T"), typing.NewType("T", int), typing.NewType("T", str),
    ]  # fmt: skip
    assert len(set(map(digest, forms))) == len(forms)
    assert digest(typing.TypeVar("T", bound=int)) == digest(forms[1])


def test_on_every_python(run, python):
    executable, packages = python
    program = """
        import typing
        from cachestore.keys import digest
        T = typing.TypeVar("T", bound=int)
        for form in (T, typing.ParamSpec("P"), typing.NewType("N", int), typing.Annotated[T, 1],
                     typing.Optional[int], typing.Literal[1], typing.ClassVar[int], typing.Callable[[int], str]):
            print(digest(form))
    """
    assert run(program, python=str(executable), path=[packages]) == run(program)


@pytest.mark.skipif(not hasattr(typing, "TypeAliasType"), reason="this Python has no type statement")
def test_aliases_count_by_what_they_stand_for():
    one, other = (typing.TypeAliasType("Alias", form) for form in (int, str))
    assert digest(one) != digest(other)
