from pathlib import Path

from cachestore.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_documentation_is_what_the_commands_say():
    assert PAGE.read_text() == reference(), "run `make docs` and look at the difference"
