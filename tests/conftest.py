"""What all tests share: the servers, and how laws are tried."""

from hypothesis import settings

pytest_plugins = [
    "tests.servers.s3",
    "tests.servers.azure",
    "tests.servers.faults",
    "tests.servers.postgres",
    "tests.servers.rclone",
]

# How long an example takes says something of the machine only.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")
