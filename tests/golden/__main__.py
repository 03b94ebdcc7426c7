"""Print the golden keys as JSON, or write their file: `python -m tests.golden write`, which `make golden` does.

What needs a package that is not installed is left out, but not of the file. With the word `backwards` everything
is computed in the other order: what is remembered of one value must not change the digest of another.
"""

import json
import sys
from pathlib import Path

from cachestore import keys
from cachestore.keys import KeyedFunction, encode
from tests.golden.calls import CALLS
from tests.golden.values import KINDS

FILE = Path(__file__).with_name("keys.json")


def main(*words):
    text = json.dumps(golden_keys("backwards" in words, "write" in words), indent=1) + "\n"
    if "write" in words:
        FILE.write_text(text)
    else:
        sys.stdout.write(text)


def golden_keys(backwards=False, complete=False):
    order = reversed if backwards else list
    golden = {}
    for kind in order(KINDS):
        try:
            values = kind()
        except ModuleNotFoundError:
            if complete:
                raise
            continue
        for name, value in order(list(values.items())):
            golden[f"{kind.__name__} value: {name}"] = digest(value)
    for name, (function, args, kwargs, ignore) in order(list(CALLS.items())):
        golden[f"call: {name}"] = KeyedFunction(function, ignore=ignore).key(args, kwargs).key
    return dict(sorted(golden.items()))


def digest(value):
    packages = [part for part in encode(value)[1] if part.startswith("package:")]
    if packages:
        raise ValueError(f"{value!r} brings {packages}: its digest is another with other versions of them")
    return keys.digest(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
