"""What importing costs, and a hit in a fresh process, beside joblib's and a process that does nothing."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pairs import compare, print_header

WORK = """
from {library} import Memory

@Memory({location!r}, verbose=0).cache
def work(n):
    return {{"n": n}}

work(1)
"""


# What is installed is compiled, whatever the shell of whoever develops says.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(*arguments):
    subprocess.run([sys.executable, *arguments], check=True, env=ENVIRONMENT)


print_header()
compare("import", lambda: run("-c", "import joblib"), lambda: run("-c", "import cachestore"))
with tempfile.TemporaryDirectory() as folder:
    scripts = {}
    for library in ("joblib", "cachestore"):
        scripts[library] = Path(folder) / f"with_{library}.py"
        scripts[library].write_text(WORK.format(library=library, location=str(Path(folder) / library)))
    compare(
        "hit of a small value in a fresh process",
        lambda: run(str(scripts["joblib"])),
        lambda: run(str(scripts["cachestore"])),
    )
    print_header("python -c pass")
    compare(
        "hit of a small value in a fresh process",
        lambda: run("-c", "pass"),
        lambda: run(str(scripts["cachestore"])),
    )
