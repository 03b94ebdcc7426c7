"""The command line: one file per command, each asking `cache` and saying what it answered.

`program` turns errors into exit codes, `options` holds what every command takes, `output` prints, `wording`
says sizes, durations and ages as people do, `reference` writes docs/cli.md. click and rich live here and
nowhere else. May import every room below; what is heavy is imported by the command that needs it, so that
`--help` is quick.
Never decides anything: what a collection gives up, whether it may, and what is damaged is said by `cache`.
"""

import click

from cachestore import __version__
from cachestore.cli.accept import accept
from cachestore.cli.config import config
from cachestore.cli.doctor import doctor
from cachestore.cli.gc import gc
from cachestore.cli.import_joblib import import_joblib
from cachestore.cli.ls import ls
from cachestore.cli.migrate import migrate
from cachestore.cli.program import Program
from cachestore.cli.pull import pull
from cachestore.cli.push import push
from cachestore.cli.rebuild import rebuild
from cachestore.cli.show import show
from cachestore.cli.stats import stats
from cachestore.cli.sync import sync
from cachestore.cli.verify import verify
from cachestore.cli.why import why

__all__ = ["main"]


@click.group(
    cls=Program,
    commands=[
        stats,
        ls,
        show,
        why,
        accept,
        gc,
        verify,
        rebuild,
        push,
        pull,
        sync,
        import_joblib,
        doctor,
        migrate,
        config,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="cachestore")
def main() -> None:
    """See what a team's cache holds and has saved, and look after it."""
