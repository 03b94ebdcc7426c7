"""What all tests share: the servers."""

pytest_plugins = ["tests.servers.faults", "tests.servers.postgres", "tests.servers.s3"]
