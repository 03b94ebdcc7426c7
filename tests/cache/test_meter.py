import io

import pytest

from cachestore.cache import meter
from cachestore.cache.meter import Meter
from cachestore.cache.persistence import dump, load


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return iter(range(100)).__next__


def test_what_takes_long_is_said_and_taken_away(clock):
    terminal = Terminal()
    with Meter("load x", stream=terminal, clock=clock) as counted:
        counted.add(10**6)
        assert terminal.getvalue() == ""
        counted.add(10**6)
        assert terminal.getvalue() == "\rload x: 2 MB in 2 s"
        counted.add(10**9)
    assert terminal.getvalue().endswith("\rload x: 1,002 MB in 3 s\r" + 23 * " " + "\r")


def test_parts_pass_unchanged(clock):
    terminal = Terminal()
    parts = [b"ab", memoryview(b"efgh").cast("I"), b""]
    with Meter("dump x", stream=terminal, clock=clock) as counted:
        passing = counted.passing(parts)
        # A put that is tried again asks for them again.
        assert list(passing) == list(passing) == parts
    assert "dump x: 0 MB in 6 s" in terminal.getvalue()


def test_nothing_is_written_where_nobody_looks(clock):
    stream = io.StringIO()
    with Meter("dump x", stream=stream, clock=clock) as counted:
        for _ in range(9):
            counted.add(1)
    assert stream.getvalue() == ""


def test_a_terminal_that_goes_away_stops_nothing(clock):
    terminal = Terminal()
    with Meter("dump x", stream=terminal, clock=clock) as counted:
        terminal.close()
        terminal.isatty = lambda: True
        for _ in range(9):
            counted.add(1)


@pytest.mark.parametrize("name", ["value.b2", "value.pkl", "value.pkl.gz"])
def test_dump_and_load_say_how_far_they_are_without_secrets(monkeypatch, name):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(meter, "_QUIET", 0.0)
    monkeypatch.setattr(meter, "_PAUSE", 0.0)
    url = f"memory://ana:hunter2@meter/{name}"
    dump(bytes(3_000_000), url)
    assert f"dump memory://ana@meter/{name}: " in terminal.getvalue()
    assert load(url) == bytes(3_000_000)
    assert f"load memory://ana@meter/{name}: " in terminal.getvalue()
    assert "hunter2" not in terminal.getvalue()
