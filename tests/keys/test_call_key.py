"""Keys: what they are made of, and that every part of it counts."""

import dataclasses
import pickle

from cachestore.keys import Arguments, FunctionIdentity, call_key, digest, encode

F = FunctionIdentity("team.f", digest("version"), {"function:team:f": "1"})


def test_everything_counts():
    base = call_key(F, Arguments({"x": encode(1)[0], "y": encode(2)[0]}))
    others = [
        call_key(dataclasses.replace(F, name="team.g"), Arguments({"x": encode(1)[0], "y": encode(2)[0]})),
        call_key(
            dataclasses.replace(F, version=digest("other")), Arguments({"x": encode(1)[0], "y": encode(2)[0]})
        ),
        call_key(F, Arguments({"x": encode(2)[0], "y": encode(1)[0]})),
        call_key(F, Arguments({"x": encode(1)[0], "z": encode(2)[0]})),
        call_key(F, Arguments({"x": encode(1)[0]})),
        call_key(F, Arguments({"x": encode(1)[0], "y": encode(2)[0]}), argument_parts={"class:team:M": "1"}),
        call_key(F, Arguments({"x": encode(1)[0], "y": encode(2)[0]}), argument_parts={"class:team:M": "2"}),
        call_key(
            F, Arguments({"x": encode(1)[0], "y": encode(2)[0]}), argument_parts={"function:team:f": "2"}
        ),
    ]
    assert len({base.key, *(other.key for other in others)}) == 9
    assert len(base.key) == 64


def test_order_does_not_count():
    assert call_key(F, Arguments({"x": b"1", "y": b"2"})) == call_key(F, Arguments({"y": b"2", "x": b"1"}))


def test_parts_of_the_arguments_are_parts_of_the_code():
    key = call_key(F, Arguments({}), argument_parts={"class:team:M": "1"})
    assert key.code_parts == {"function:team:f": "1", "class:team:M": "1"}
    assert key.code_version != F.version
    same = call_key(F, Arguments({}), argument_parts=F.parts)
    assert same.code_version == F.version


def test_keys_can_be_sent():
    key = call_key(F, Arguments({"x": b"1"}))
    assert pickle.loads(pickle.dumps(key)) == key


def test_arguments_are_shown_by_their_digests():
    assert call_key(F, Arguments({"x": encode([1])[0]})).arguments == {"x": digest([1])}


def test_another_version_of_the_same_call_has_the_key_that_it_had():
    key = call_key(F, Arguments({"x": b"1"}))
    other = call_key(dataclasses.replace(F, version=digest("other")), Arguments({"x": b"1"}))
    assert key.in_version(other.code_version) == other.key != key.key


def test_the_key_of_format_1():
    # Golden: whoever changes it changes the key of every entry there is.
    assert call_key(FunctionIdentity("f", "0" * 64, {}), Arguments({"x": encode(1)[0]})).key == (
        "64379ee0e5fda7f049fd09e8bbd449db6f83035c1cd90e807f9b421ca0eb6918"
    )
