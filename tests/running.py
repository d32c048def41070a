"""A running sandbox as the tests see it, and how to start one beside the session's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import endpoints

CLONE = Path(endpoints.__file__).resolve().parent.parent
_START_SECONDS = 900  # without caches everything is built first


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that is up."""

    name: str
    found: dict[str, Any]

    @property
    def age(self) -> float:
        """Seconds since it was ready."""
        return time.time() - self.found["sandbox"]["started"]

    @property
    def root(self) -> Path:
        """Its run folder."""
        return Path(self.found["sandbox"]["root"])


@dataclass(frozen=True)
class Launch:
    """A `python -m sandbox` that was started, up or not."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        """All that it printed."""
        return self.log.read_text()

    def wait_for(self, what: Any, seconds: float = _START_SECONDS) -> Any:
        """What `what()` gives as soon as that is something; fails when the sandbox ends before."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert self.process.poll() is None, f"the sandbox ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"waited {seconds} s in vain:\n{self.said()}"
            time.sleep(0.05)
        return found

    def wait_up(self) -> dict[str, Any]:
        """Its endpoints, once they are there."""
        return self.wait_for(lambda: endpoints.read(self.name))


@contextmanager
def launch(name: str, log: Path, **environment: str) -> Iterator[Launch]:
    """Start a sandbox with these variables besides; it is stopped at the end if it still runs."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox"],
            cwd=CLONE,
            env=os.environ | {"SANDBOX": name} | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Launch(name, process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
