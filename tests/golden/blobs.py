"""The golden blobs, one file for each value: `python -m tests.golden.blobs` writes those that there are not yet.

`make golden` does. What is written once is never written again: it says what every later reader must read.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

from blake3 import blake3

from cachestore.blob import Metadata, Parent, encode
from tests.golden.blob_values import KINDS

FOLDER = Path(__file__).with_name("blobs")
DIGESTS = FOLDER / "digests.json"

COMPRESS = (
    ("lz4hc", 9, "bitshuffle"), False, True, ("lz4", 5), None, ("zlib", 1), ("blosclz", 5),
    ("blosc2:zstd", 5, "bitshuffle"), ("zstd", 9, "noshuffle"),
)  # fmt: skip


def values():
    """Return each value, and what it is called: the kind of its body, and a name."""
    return {f"{kind.__name__}/{name}": value for kind in KINDS for name, value in kind().items()}


def described(name):
    """Return what a golden blob says of itself, which differs from one to the other, and how it is compressed."""
    number = crc32(name.encode())
    metadata = Metadata(
        key=f"{number:064x}" if number % 3 else "",
        function=f"golden.{name}",
        code_version="cd" * 32,
        code_parts={"function:golden:größe": "01" * 32, "package:numpy": "2.4"},
        arguments={"table": "23" * 32},
        started_at=datetime(2026, 1, 2, 3, 4, 5, number % 10**6, tzinfo=UTC),
        seconds=number / 1000,
        creator="ana",
        python="3.11.7",
        packages={"numpy": "2.4.6"},
        parents=(Parent("67" * 32, "89" * 32), Parent("ef" * 32, None)) if number % 2 else (),
        value_digest=f"{number + 1:064x}" if number % 5 else None,
        expires_at=datetime(2030, 1, 2, tzinfo=UTC) if number % 4 == 0 else None,
        epoch=number,
        drew_random=number % 2 == 0,
        summaries={"table": "3 × 4"} if number % 3 == 0 else {},
        encoding=f"{number:016x}" if number % 7 == 0 else None,
    )
    return metadata, COMPRESS[number % len(COMPRESS)]


def file_of(name):
    """Return where a golden blob lies."""
    return FOLDER / (name.replace(" ", "-") + ".blob")


def main():
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for name, value in values().items():
        file = file_of(name)
        if name in digests or file.exists():
            continue
        metadata, compress = described(name)
        data = b"".join(encode(value, metadata, compress=compress))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as opened:
            opened.write(data)
        digests[name] = blake3(data).hexdigest()
    DIGESTS.write_text(json.dumps(dict(sorted(digests.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
