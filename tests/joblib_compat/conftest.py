import asyncio
import inspect

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run joblib's tests that are coroutines: it has a plugin for that, of which it uses no more."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def in_a_folder(tmp_path_factory, monkeypatch):
    """Have what joblib's tests leave in the working directory lie elsewhere."""
    monkeypatch.chdir(tmp_path_factory.mktemp("working"))
