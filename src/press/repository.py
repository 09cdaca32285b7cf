"""Where the book's repository is published, if it is: launch buttons point there."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def repository_url(root: Path) -> str | None:
    """Return ``BOOK_REPOSITORY_URL``, or the address of the git remote as a web page, or None.

    A remote that is a folder, or a host without a name of its own, is no place for readers.
    """
    given = os.environ.get("BOOK_REPOSITORY_URL")
    return web_address(_git(root, "remote", "get-url", "origin") if given is None else given)


def web_address(remote: str) -> str | None:
    """Turn ``git@host:org/book.git`` and its like into ``https://host/org/book``."""
    remote = remote.strip().removesuffix("/").removesuffix(".git")
    remote = re.sub(r"^(?:[\w.-]+@)?([\w.-]+):(?!/)", r"ssh://\1/", remote)
    parts = urlsplit(remote)
    host, path = parts.hostname or "", parts.path.strip("/")
    named = re.fullmatch(r"[\w.-]+\.[a-z][\w-]*", host)
    if parts.scheme not in ("http", "https", "ssh", "git") or not named or "/" not in path:
        return None
    return f"https://{host}/{path}"  # the host alone: a remote may carry a name and a password


def theme_options(root: Path) -> dict[str, Any]:
    """Return the theme's options for repository and launch buttons: none where there is none."""
    url = repository_url(root)
    if url is None:
        return {}
    buttons = {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"}
    if url.startswith("https://github.com/"):
        buttons["colab_url"] = "https://colab.research.google.com"
    if hub := os.environ.get("BOOK_JUPYTERHUB_URL"):
        buttons["jupyterhub_url"] = hub
    branch = os.environ.get("BOOK_REPOSITORY_BRANCH") or _git(root, "branch", "--show-current")
    return {
        "repository_url": url,
        "repository_branch": branch.strip() or "main",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": buttons,
    }


def _git(root: Path, *words: str) -> str:
    try:
        result = subprocess.run(
            ["git", "-C", str(root), *words], check=False, capture_output=True, text=True
        )
    except OSError:  # no git: a book from a zip file
        return ""
    return result.stdout if result.returncode == 0 else ""
