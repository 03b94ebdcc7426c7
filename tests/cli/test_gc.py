import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest


def blobs(store):
    return {path.name for path in store.glob("blobs/??/*")}


def test_the_plan_is_printed_and_nothing_removed(store, keys, run):
    result = run("gc", "--location", store, "--max-entries", 1)
    assert result.exit_code == 0
    assert "3 entries to remove" in result.stdout
    assert result.stdout.count("least recently used") == 3
    assert result.stdout.endswith("Nothing was removed. Say --yes to act.\n")
    assert blobs(store) == set(keys)


def test_input_that_is_no_terminal_agrees_to_nothing(store, keys, run):
    assert "Remove this?" not in run("gc", "--location", store, "--max-entries", 1, input="y\n").output
    assert blobs(store) == set(keys)


def test_yes_acts(store, run):
    result = run("gc", "--location", store, "--max-entries", 1, "--yes")
    assert result.exit_code == 0
    assert "3 entries to remove" in result.stdout
    assert "Done: " in result.stdout
    assert len(blobs(store)) == 1
    again = run("gc", "--location", store, "--max-entries", 1, "--yes").stdout
    assert again.startswith("There is nothing to remove: 1 entry of")
    assert json.loads(run("stats", "--location", store, "--json").stdout)["entries"] == 1


def test_json_plan_then_deed(store, keys, run):
    arguments = ("gc", "--location", store, "--max-size", "0", "--json")
    planned = json.loads(run(*arguments).stdout)
    assert set(planned) == {
        "executed", "evictions", "vanished", "adoptions", "sweeps", "uploads", "freed_size", "kept", "kept_size",
    }  # fmt: skip
    assert planned["executed"] is False
    assert sorted(each["key"] for each in planned["evictions"]) == keys
    assert set(planned["evictions"][0]) == {
        "key", "function", "creator", "stored_size", "last_used_at", "reason",
    }  # fmt: skip
    assert planned["freed_size"] == sum(each["stored_size"] for each in planned["evictions"])
    assert blobs(store) == set(keys)
    done = json.loads(run(*arguments, "--yes").stdout)
    assert done["executed"] is True
    assert not blobs(store)


def test_limits_of_one_function(store, run):
    assert "no limit. Say what of it may stay" in run("gc", "--location", store, "--function", "total").stderr
    run("gc", "--location", store, "--function", "feat*", "--max-entries", 0, "--yes")
    left = json.loads(run("ls", "--location", store, "--json").stdout)["entries"]
    assert [entry["function"].rpartition(".")[2] for entry in left] == ["total"]


def test_age(store, keys, run):
    assert run("gc", "--location", store, "--older-than", "30d").stdout.startswith(
        "There is nothing to remove: 4"
    )
    time.sleep(0.01)
    planned = json.loads(run("gc", "--location", store, "--older-than", "0s", "--json").stdout)
    assert len(planned["evictions"]) == 4


def test_without_limits_it_tidies_up(store, keys, run):
    (store / "blobs" / keys[0][:2] / keys[0]).unlink()
    leftover = store / "blobs" / keys[1][:2] / ".tmp-0123456789abcdef"
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    shown = run("gc", "--location", store).stdout
    assert "1 row to remove whose blobs are gone" in shown
    assert "1 old leftover of interrupted writers to sweep" in shown
    assert leftover.exists()
    run("gc", "--location", store, "--yes")
    assert not leftover.exists()
    assert blobs(store) == set(keys[1:])


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (
            "--older-than",
            "soon",
            "'soon' is not a duration. Write a number and a unit: 90s, 15m, 12h, 30d or 2w.",
        ),
        ("--older-than", "-3d", "'-3d' is not a duration"),
        ("--older-than", "", "'' is not a duration"),
        ("--max-size", "lots", "'lots' is not a size. Write bytes or a number and a unit"),
        ("--max-size", "-1", "'-1' is not a size"),
        ("--max-entries", "-1", "The limit on the number of entries, -1, is negative"),
    ],
)
def test_limits_without_a_meaning(store, keys, refused, option, value, said):
    line = refused("gc", "--location", store, option, value, "--yes")
    assert said in line
    if option != "--max-entries":
        assert option in line
    assert blobs(store) == set(keys)


def hear_ctrl_c():
    # Who runs the tests in the background of a shell has it ignored, and so would what they start.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def press_ctrl_c(process):
    # Between the question and the wait for its answer Python may miss one, so press as people do.
    for _ in range(30):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            continue
        return


def answer(start, store, text):
    """Answer the question of gc on a terminal; return what was shown and the exit code."""
    terminal, other_end = pty.openpty()
    process = start(
        "gc", "--location", store, "--max-entries", 1,
        stdin=other_end, stdout=other_end, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    os.close(other_end)
    shown = b""
    try:
        while b"Remove this? [y/N]" not in shown:
            assert select.select([terminal], [], [], 30)[0], shown
            shown += os.read(terminal, 4096)
        if text is None:
            press_ctrl_c(process)
        else:
            os.write(terminal, text)
        code = process.wait(30)
        while select.select([terminal], [], [], 0)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return shown.decode(), code


@pytest.mark.parametrize(
    ("text", "left", "code", "said"),
    [
        (b"y\n", 1, 0, "Done: "),
        (b"n\n", 4, 0, "Nothing was removed"),
        (b"\n", 4, 0, "Nothing was removed"),
        (b"\x04", 4, 130, "Interrupted"),
        (None, 4, 130, "Interrupted"),
    ],
    ids=["yes", "no", "enter", "end of input", "Ctrl-C"],
)
def test_on_a_terminal_it_asks(store, start, text, left, code, said):
    shown, ended = answer(start, store, text)
    assert said in shown
    assert "Traceback" not in shown
    assert ended == code
    assert len(blobs(store)) == left
