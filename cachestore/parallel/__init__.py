"""A joblib backend around any other: every task is looked up before it is sent, and workers store what they compute.

`register` names it "cachestore"; `parallel_config` opens it over an inner backend. What a task's key is stands in
`task_call` and `fold`; how an answer reaches `joblib.Parallel` in `caching_backend`; what runs in a worker in `task`.
May import `cache`, `keys`, `settings`, `errors`; works on a `Cache`, never on a `Memory`.
Never stores a fold that failed, nor what a worker with other code computed.
"""

from cachestore.parallel.registration import parallel_config, register

__all__ = ["parallel_config", "register"]
