"""Tools of the process: they never count, and nothing is said of it."""

import asyncio
import concurrent.futures
import contextvars
import logging
import logging.handlers
import multiprocessing
import queue
import sys
import threading
import types
import weakref

import pytest

from cachestore.keys.inert import is_inert


class Audit(logging.Logger):
    pass


class CsvLogger:
    """Writes what the function returns: no tool, whatever it is called."""

    def row(self, x):
        return f"{x};"


class Worker(threading.Thread):
    def compute(self, x):
        return x + 1


LOG = logging.getLogger("a")
TOOLS = [
    LOG, LOG.info, Audit("a"), logging.LoggerAdapter(LOG), logging.StreamHandler(),
    logging.handlers.BufferingHandler(1), logging.Formatter(), threading.Lock(), threading.RLock(), threading.Event(),
    threading.Lock().acquire,
    threading.local(), threading.Thread(), queue.Queue(), queue.Queue().put, queue.SimpleQueue(),
    multiprocessing.Lock(), multiprocessing.get_context("spawn"), concurrent.futures.ThreadPoolExecutor(1),
    contextvars.ContextVar("a"), contextvars.ContextVar("a").get, contextvars.copy_context(),
    asyncio.Lock(), asyncio.Semaphore(), asyncio.Event(), asyncio.Queue(), weakref.WeakValueDictionary(),
    weakref.WeakKeyDictionary(), weakref.WeakSet(), object(),
]  # fmt: skip
OTHERS = [
    CsvLogger(), CsvLogger().row, Worker(), Worker().compute, logging.INFO, logging.getLogger, threading.Thread,
    [].append, "a".join, weakref.ref(Audit), weakref.finalize(Audit, print), 1, None, sys, types.SimpleNamespace(),
]  # fmt: skip


@pytest.mark.parametrize("value", TOOLS, ids=lambda value: type(value).__qualname__)
def test_tools_of_the_process(value):
    assert is_inert(value)


@pytest.mark.parametrize("value", OTHERS, ids=lambda value: type(value).__qualname__)
def test_everything_else_may_be_a_part_of_what_is_computed(value):
    assert not is_inert(value)


@pytest.mark.parametrize("package", ["structlog", "loguru"])
def test_loggers_of_known_packages(package):
    proxy = type("Proxy", (), {"__module__": f"{package}._config"})
    assert is_inert(proxy())
    assert not is_inert(type("Proxy", (), {"__module__": f"acme_{package}"})())


@pytest.mark.filterwarnings("ignore::cachestore.CachestoreWarning")
def test_what_looks_like_a_logger_counts(load):
    from cachestore.keys import identify

    source = """
        class CsvLogger:
            def row(self, x): return f"{x};"
        LOGGER = CsvLogger()
        def line(x): return LOGGER.row(x)
    """
    first = identify(load(team=source).line).version
    assert identify(load(team=source.replace("};", "},")).line).version != first
