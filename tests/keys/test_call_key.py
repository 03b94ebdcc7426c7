"""Keys: what they are made of, and that every part of it counts."""

import dataclasses
import pickle

from cachestore.keys import FunctionIdentity, call_key, digest

F = FunctionIdentity("team.f", digest("version"), {"function:team:f": "1"})


def test_everything_counts():
    base = call_key(F, {"x": digest(1), "y": digest(2)})
    others = [
        call_key(dataclasses.replace(F, name="team.g"), {"x": digest(1), "y": digest(2)}),
        call_key(dataclasses.replace(F, version=digest("other")), {"x": digest(1), "y": digest(2)}),
        call_key(F, {"x": digest(2), "y": digest(1)}),
        call_key(F, {"x": digest(1), "z": digest(2)}),
        call_key(F, {"x": digest(1)}),
        call_key(F, {"x": digest(1), "y": digest(2)}, argument_parts={"class:team:M": "1"}),
        call_key(F, {"x": digest(1), "y": digest(2)}, argument_parts={"class:team:M": "2"}),
        call_key(F, {"x": digest(1), "y": digest(2)}, argument_parts={"function:team:f": "2"}),
    ]
    assert len({base.key, *(other.key for other in others)}) == 9
    assert len(base.key) == 64


def test_order_does_not_count():
    assert call_key(F, {"x": "1", "y": "2"}) == call_key(F, {"y": "2", "x": "1"})


def test_parts_of_the_arguments_are_parts_of_the_code():
    key = call_key(F, {}, argument_parts={"class:team:M": "1"})
    assert key.code_parts == {"function:team:f": "1", "class:team:M": "1"}
    assert key.code_version != F.version
    same = call_key(F, {}, argument_parts=F.parts)
    assert same.code_version == F.version


def test_keys_can_be_sent():
    key = call_key(F, {"x": "1"})
    assert pickle.loads(pickle.dumps(key)) == key


def test_the_key_of_format_0():
    # Golden: whoever changes it changes the key of every entry there is.
    assert call_key(FunctionIdentity("f", "0" * 64, {}), {"x": "1" * 64}).key == (
        "53a829c206effcc803b58ced71ffda22676499ab30d659ee3094c00c85dfc0f6"
    )
