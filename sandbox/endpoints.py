"""Say where a sandbox's servers are: endpoints.json, a contract for every program beside the sandbox."""

import json
import os
import re
from pathlib import Path
from typing import Any

from sandbox.world import HERE, SandboxError

VARIABLE = "SANDBOX"


def sandbox_name() -> str:
    """The sandbox that the environment names; empty for the default one.

    Raises:
        SandboxError: the name is none.
    """
    name = os.environ.get(VARIABLE, "")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}|", name) or name == "default":
        raise SandboxError(f"{VARIABLE}={name!r} is no name for a sandbox: small letters, digits and - only")
    return name


def path(name: str) -> Path:
    """Where the file of a sandbox is while that sandbox runs."""
    return HERE / (f"endpoints-{name}.json" if name else "endpoints.json")


def read(name: str) -> dict[str, Any] | None:
    """What the file says, or None when the sandbox does not run; a killed one may have left the file."""
    try:
        found: dict[str, Any] = json.loads(path(name).read_text())
    except FileNotFoundError:
        return None
    pid = found.get("sandbox", {}).get("pid")
    return found if pid is None or Path(f"/proc/{pid}").exists() else None


def write(name: str, content: dict[str, Any]) -> None:
    """Put the file in place at once; only its owner may read it, there are passwords in it."""
    place = path(name)
    draft = place.with_suffix(f".{os.getpid()}.tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(content, out, indent=1)
        out.write("\n")
    draft.replace(place)


def update_endpoints(name: str, key: str, value: Any) -> None:
    """Set one key of a running sandbox's file, or remove it with None; for what joins later, as the bot does.

    Raises:
        SandboxError: the sandbox does not run.
    """
    content = read(name)
    if content is None:
        raise SandboxError(f"The sandbox {name or 'default'} is not running: there is no {path(name)}")
    content.pop(key, None)
    if value is not None:
        content[key] = value
    write(name, content)


def remove(name: str) -> None:
    """Take the file away."""
    path(name).unlink(missing_ok=True)
