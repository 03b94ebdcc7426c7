"""What lives in one process only or is used up by looking: why it has no digest, and what to give instead."""

from __future__ import annotations

import io
import types
from typing import Any

from cachestore.keys.code_origin import origin_of
from cachestore.keys.walk import Encoder, Refusal, Walk

_ONCE = "it can be run through only once (give a list of what it yields)"
_FILE = "it is an open file (give its path, or what it holds)"
_CONNECTION = "it is an open connection (give the address and the query, or the rows)"
_PROCESS = "it is a tool of this process (make it where it is used)"
_LATER = "it stands for a result that is not there yet (give the result)"
_WEAK = "it may be empty at any time (give what it refers to)"
_MEMORY = "it is memory of this process (give its value, or bytes(value))"

# By names, so that no module is imported for a value that is none of its own; subclasses are alike.
_REASONS = {
    ("builtins", "weakref"): _WEAK,  # Python 3.11 calls it so in `__qualname__` of its proxies
    ("weakref", "ReferenceType"): _WEAK,
    ("weakref", "ProxyType"): _WEAK,
    ("weakref", "CallableProxyType"): _WEAK,
    ("weakref", "WeakMethod"): _WEAK,
    ("weakref", "WeakValueDictionary"): _WEAK,
    ("weakref", "WeakKeyDictionary"): _WEAK,
    ("_weakrefset", "WeakSet"): _WEAK,
    ("socket", "socket"): _CONNECTION,
    ("_socket", "socket"): _CONNECTION,
    ("ssl", "SSLContext"): _CONNECTION,
    ("subprocess", "Popen"): _PROCESS,
    ("threading", "Thread"): _PROCESS,
    ("threading", "Event"): _PROCESS,
    ("threading", "Condition"): _PROCESS,
    ("threading", "Semaphore"): _PROCESS,
    ("threading", "Barrier"): _PROCESS,
    ("_thread", "lock"): _PROCESS,
    ("_thread", "RLock"): _PROCESS,
    ("_thread", "_local"): _PROCESS,
    ("_thread", "_localdummy"): _PROCESS,
    ("queue", "Queue"): _PROCESS,
    ("_queue", "SimpleQueue"): _PROCESS,
    ("multiprocessing.process", "BaseProcess"): _PROCESS,
    ("multiprocessing.pool", "Pool"): _PROCESS,
    ("multiprocessing.queues", "Queue"): _PROCESS,
    ("multiprocessing.connection", "_ConnectionBase"): _CONNECTION,
    ("concurrent.futures._base", "Executor"): _PROCESS,
    ("concurrent.futures._base", "Future"): _LATER,
    ("_asyncio", "Future"): _LATER,
    ("_asyncio", "Task"): _LATER,
    ("asyncio.events", "AbstractEventLoop"): _PROCESS,
    ("distributed.client", "Future"): _LATER,
    ("distributed.client", "Client"): _CONNECTION,
    ("_ctypes", "_SimpleCData"): _MEMORY,
    ("_ctypes", "Structure"): _MEMORY,
    ("_ctypes", "Union"): _MEMORY,
    ("_ctypes", "Array"): _MEMORY,
    ("_ctypes", "_Pointer"): _MEMORY,
    ("_ctypes", "CFuncPtr"): _MEMORY,
    ("ctypes", "CDLL"): _PROCESS,
    ("mmap", "mmap"): _FILE,
    ("tempfile", "_TemporaryFileWrapper"): _FILE,
    ("tempfile", "SpooledTemporaryFile"): _FILE,
    ("zipfile", "ZipFile"): _FILE,
    ("tarfile", "TarFile"): _FILE,
    ("sqlalchemy.engine.base", "Engine"): _CONNECTION,
    ("sqlalchemy.engine.base", "Connection"): _CONNECTION,
    ("sqlalchemy.orm.session", "Session"): _CONNECTION,
}
_IN_MEMORY = (io.BytesIO, io.StringIO)


def find_encoder(cls: type) -> Encoder | None:
    """Return a rule that refuses, for a type whose objects have no digest that lasts."""
    reason = _reason(cls)
    if reason is None:
        return None

    def refuse(walk: Walk, value: Any) -> bytes:
        raise Refusal(f"<{type(value).__qualname__}>", reason)

    return refuse


def _reason(cls: type) -> str | None:
    if issubclass(cls, types.GeneratorType | types.CoroutineType | types.AsyncGeneratorType):
        return _ONCE
    if issubclass(cls, io.IOBase):
        # Those in memory are values: what they hold, and where their reader stands.
        return None if issubclass(cls, _IN_MEMORY) else _FILE
    for base in cls.__mro__:
        reason = _REASONS.get((base.__module__, base.__qualname__))
        if reason is not None:
            return reason
    if origin_of(cls.__module__).kind == "first-party":
        # What the team writes is taken apart: it may well pickle its iterators and connections by value.
        return None
    # The protocol of Python's databases (PEP 249).
    if _has(cls, "cursor", "commit", "rollback", "close") or _has(cls, "execute", "fetchone", "close"):
        return _CONNECTION
    if hasattr(cls, "__next__"):
        return _ONCE
    return None


def _has(cls: type, *methods: str) -> bool:
    return all(callable(getattr(cls, method, None)) for method in methods)
