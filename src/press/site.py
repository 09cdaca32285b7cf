"""Build the site and make sure that it is there."""

import contextlib
import gzip
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from press import book
from press.book import BookError

#: Pages that must exist besides one for each chapter.
KEY_PAGES = ("index", "book/index", "book/how-to", "book/api", "book/glossary", "book/bibliography")


def build_site(root: Path) -> list[str]:
    """Build the whole site into ``_build/html`` and return what to tell the user.

    From clean doctrees, with every warning an error: a second build on old doctrees would pass
    over what the first complained of. Raises ``BookError`` when a warning or a missing page says
    that readers would get less than there is.
    """
    build = root / "_build"
    expected = {root / "_toc.yml": book.table_of_contents(root)}
    for path, text in expected.items():
        if not path.is_file() or path.read_text("utf8") != text:
            raise BookError(f"{path.name} and the chapters disagree: run python -m press toc")
    for stale in (build / ".doctrees", build / "html"):
        shutil.rmtree(stale, ignore_errors=True)
    start = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "build", str(root), "-W", "-n", "--keep-going"]
    log = build / "site.log"
    status = _run_alone(command, log)
    if status:
        lines = log.read_text("utf8").splitlines()
        complaints = [line for line in lines if "WARNING" in line or "ERROR" in line]
        raise BookError(
            f"the site does not build (log: {log}):\n" + "\n".join(complaints or lines[-30:])
        )
    names = [*KEY_PAGES, *(f"book/{chapter.name}" for chapter in book.written(root))]
    missing = [name for name in names if not (build / "html" / f"{name}.html").is_file()]
    if missing:
        raise BookError(f"the build ended well but made no page for: {', '.join(missing)}")
    rows = [
        f"{name}.html: {_kilobytes(build / 'html' / f'{name}.html')} kB compressed"
        for name in names[1:]
    ]
    return [*rows, f"The site: {build / 'html/index.html'}"]


def _run_alone(command: list[str], log: Path) -> int:
    """Run a command with its output in a file, and end every process that it leaves behind.

    The server that sets maths has been seen to outlive its build; whoever waits for the end of a
    pipe that it holds open waits forever.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf8") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait()
        finally:
            if os.name == "posix":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _kilobytes(page: Path) -> int:
    return round(len(gzip.compress(page.read_bytes())) / 1000)
