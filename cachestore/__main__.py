"""Makes `python -m cachestore` the same as `cachestore`."""

from cachestore.cli import main

main(prog_name="cachestore")
