import json
import os
import pty
import select
import subprocess
from datetime import datetime, timedelta, timezone

import pytest

from cachestore.cli.output import print_json, print_table, progress


def test_json_times_are_in_utc(capsys):
    print_json({"at": datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))})
    assert json.loads(capsys.readouterr().out) == {"at": "2024-05-01T10:00:00+00:00"}


def test_what_has_no_json_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match="has no JSON"):
        print_json({"at": object()})


def test_a_table_is_whole_where_no_terminal_is(capsys):
    name = "team." * 60 + "f"
    print_table(("function", "hits"), [(name, "3"), ("g", "12")], right={"hits"})
    assert capsys.readouterr().out.splitlines() == [
        f"function{' ' * (len(name) - 8)}  hits",
        f"{name}     3",
        f"g{' ' * (len(name) - 1)}    12",
    ]


def test_no_bar_where_nobody_looks(capsys):
    with progress("reading") as tell:
        tell(1, 2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def on_terminal(start, *arguments, columns=80):
    terminal, other_end = pty.openpty()
    process = start(
        *arguments, stdin=subprocess.DEVNULL, stdout=other_end, stderr=subprocess.STDOUT,
        env={"COLUMNS": str(columns), "TERM": "xterm"},
    )  # fmt: skip
    os.close(other_end)
    shown = b""
    try:
        while select.select([terminal], [], [], 30)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_keys_are_whole_on_any_terminal(store, keys, start, columns):
    shown = on_terminal(start, "ls", "--location", store, columns=columns)
    assert all(key[:12] in shown for key in keys)
    assert shown.count("just now") == 4


def test_json_on_a_terminal_is_json(store, start):
    assert json.loads(on_terminal(start, "stats", "--location", store, "--json", columns=40))["entries"] == 4


def test_a_bar_leaves_nothing_in_the_answer(store, start):
    process = start("verify", "--location", store)
    shown, said = process.communicate(timeout=60)
    assert (shown, said) == ("4 blobs are whole.\n", "")
