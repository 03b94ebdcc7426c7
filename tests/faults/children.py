"""Forked children: another process, or another account, without the time that starting Python takes."""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

_WITHIN = 60.0


def in_a_child(
    work: Callable[[], Any], *, user: int = 0, groups: tuple[int, ...] = (), umask: int = 0o022
) -> tuple[int, Any]:
    """Do work in a forked child; return its exit code, and what the work returned (as JSON) or said.

    Parameters
    ----------
    user, groups
        Whom the child becomes, and of which groups, the first its own; 0 stays root.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.umask(umask)
            if user:
                os.setgroups(groups)
                os.setgid(groups[0])
                os.setuid(user)
            os.write(writing, json.dumps(work()).encode())
            code = 0
        except BaseException:
            os.write(writing, json.dumps(traceback.format_exc()[-20_000:]).encode())
        finally:
            sys.stderr.flush()
            # Whatever happens, a child never goes on as if it were the tests.
            os._exit(code)
    os.close(writing)
    said = b""
    with selectors.DefaultSelector() as waiting, os.fdopen(reading, "rb", buffering=0) as stream:
        waiting.register(stream, selectors.EVENT_READ)
        while True:
            if not waiting.select(_WITHIN):
                os.kill(child, signal.SIGKILL)
            piece = stream.read(2**16)
            if not piece:
                break
            said += piece
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, json.loads(said) if said else None
