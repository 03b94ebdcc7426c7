"""Run the demonstration: `python -m cachestore.demo [--store local|s3]`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from cachestore.demo.seaweedfs import KEY, REGION, SECRET, running_seaweedfs, s3_client

_TEAM = {
    "ana": ["--C", "0.1", "1", "10", "--depth", "2", "3"],
    "ben": ["--C", "1", "10", "100", "--depth", "3", "4"],
}


def main() -> None:
    """Have two teammates work, one after the other, and print what the index says of it."""
    parser = argparse.ArgumentParser(prog="python -m cachestore.demo", description=main.__doc__)
    parser.add_argument(
        "--store",
        choices=["local", "s3"],
        default="local",
        help="a directory, or a real S3 server on loopback",
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cachestore-demo-") as folder:
        team = Path(folder)
        named: AbstractContextManager[dict[str, str]] = (
            _s3_store(team) if chosen.store == "s3" else nullcontext({})
        )
        with named as store:
            before = _Books()
            for name, grid in _TEAM.items():
                checkout = _checkout(team, name)
                env = {**_plain_environ(), **store, "CACHESTORE_USER": name}
                _work(name, grid, checkout, env)
                after = _Books.read(checkout, env)
                after.print_since(before, name)
                before = after
            for command in (["stats"], ["ls", "--limit", "8"], ["gc", "--older-than", "30d"]):
                print(f"\n$ cachestore {' '.join(command)}", flush=True)
                subprocess.run(_command(command), cwd=checkout, env=env, check=True)


@dataclass(frozen=True)
class _Books:
    """Is what the index says of folds and of everything, at one moment."""

    folds: int = 0
    folds_reused: int = 0
    others: int = 0
    others_reused: int = 0
    seconds_saved: float = 0.0

    @classmethod
    def read(cls, checkout: Path, env: Mapping[str, str]) -> _Books:
        """Ask the command line, as people would."""
        listed = subprocess.run(
            _command(["ls", "--json"]), cwd=checkout, env=env, check=True, stdout=subprocess.PIPE
        )
        entries = json.loads(listed.stdout)["entries"]
        folds = [entry for entry in entries if entry["function"].endswith("._fit_and_score")]
        others = [entry for entry in entries if entry not in folds]
        return cls(
            folds=len(folds),
            folds_reused=sum(entry["hits"] for entry in folds),
            others=len(others),
            others_reused=sum(entry["hits"] for entry in others),
            seconds_saved=sum(entry["seconds_saved"] for entry in entries),
        )

    def print_since(self, before: _Books, name: str) -> None:
        """Say what a teammate computed and reused."""
        print(
            f"  The index says: {name} computed {self.folds - before.folds} folds and reused "
            f"{self.folds_reused - before.folds_reused}; computed {self.others - before.others} other results and "
            f"reused {self.others_reused - before.others_reused}; "
            f"saved {self.seconds_saved - before.seconds_saved:.1f} s of computing.",
            flush=True,
        )


@contextmanager
def _s3_store(team: Path) -> Iterator[dict[str, str]]:
    """Run an S3 server, and name its store and the team's index in the environment."""
    print("Starting SeaweedFS, a real S3 server, on loopback ...", flush=True)
    server = team / "s3"
    server.mkdir()
    with running_seaweedfs(server) as url:
        s3_client(url).create_bucket(Bucket="team")
        options = {
            "key": KEY, "secret": SECRET, "endpoint_url": url, "client_kwargs": {"region_name": REGION}
        }  # fmt: skip
        yield {
            "CACHESTORE_LOCATION": "s3://team/cache",
            "CACHESTORE_STORAGE_OPTIONS": json.dumps(options),
            "CACHESTORE_INDEX": str(team / "index.sqlite"),
        }


def _plain_environ() -> dict[str, str]:
    # Whoever shows this has a store of their own named there, perhaps.
    return {name: value for name, value in os.environ.items() if not name.startswith("CACHESTORE_")}


def _checkout(team: Path, name: str) -> Path:
    """Give a teammate a checkout of the project, with a comment of their own in the code."""
    checkout = team / name
    shutil.copytree(Path(__file__).parent / "project", checkout, ignore=shutil.ignore_patterns("__pycache__"))
    code = checkout / "digits" / "features.py"
    code.write_text(
        f"# {name} was here: a comment does not change what the code computes.\n{code.read_text()}"
    )
    return checkout


def _work(name: str, grid: list[str], checkout: Path, env: Mapping[str, str]) -> None:
    print(f"\n{name}, in {checkout}: python search.py {' '.join(grid)}", flush=True)
    subprocess.run([sys.executable, "search.py", *grid], cwd=checkout, env=env, check=True)


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "cachestore", *words]


if __name__ == "__main__":
    main()
