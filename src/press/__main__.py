"""The press's command line: ``python -m press --help``."""

from press.cli import app

app(prog_name="python -m press")
