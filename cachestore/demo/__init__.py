"""The main job, shown: two teammates in two checkouts share results through one store.

`python -m cachestore.demo` gives each a copy of `project/`, runs it in a process of its own, and prints what the index
says of it. Uses the public names and the command line only.
"""
