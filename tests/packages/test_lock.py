"""The lock resolves on the oldest Python that setup.cfg promises: Debian 12's own, with no other beside it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: 3.11.2 on Debian 12
DEBIAN_PYTHON = Path("/usr/bin/python3")
#: what pip must know of the machine it runs on: package index, proxy, certificates
KEPT = ("PIP_", "HTTP", "NO_PROXY", "SSL_CERT", "REQUESTS_CA")

pytestmark = [
    pytest.mark.packages,
    pytest.mark.skipif(not DEBIAN_PYTHON.exists(), reason="there is no /usr/bin/python3 here"),
]


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Pip of a virtual environment made by Debian's Python."""
    folder = tmp_path_factory.mktemp("debian") / "venv"
    made = subprocess.run([DEBIAN_PYTHON, "-m", "venv", folder], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"Debian's Python makes no virtual environment (python3-venv is missing): {made.stdout.strip()}")
    return [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]


def resolved(pip: list[str], *requirements: str) -> subprocess.CompletedProcess[str]:
    """What pip says of pinned packages, with an empty PATH; nothing is installed."""
    environment = {name: value for name, value in os.environ.items() if name.upper().startswith(KEPT)}
    environment |= {"HOME": os.environ.get("HOME", "/"), "PATH": ""}
    command = [*pip, "install", "--quiet", "--dry-run", "--no-deps", *requirements]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900)


def test_the_lock_resolves_on_debians_python(pip: list[str]) -> None:
    """Every pinned version is there for it, and none was withdrawn."""
    done = resolved(pip, "-r", "requirements.lock")
    assert done.returncode == 0, done.stderr
    assert "yanked" not in done.stderr, done.stderr


def test_a_version_that_wants_a_newer_python_is_noticed(pip: list[str]) -> None:
    """The pin that once ended `make demo` on a bare Debian is refused here."""
    done = resolved(pip, "soupsieve==4.1.3")
    assert done.returncode != 0
    assert "Requires-Python" in done.stderr
