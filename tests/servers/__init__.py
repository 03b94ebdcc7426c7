"""Real servers for the tests, each started at its first use, once per session, on free ports of loopback."""
