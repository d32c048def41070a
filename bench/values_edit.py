"""How long one `quarterdeck bump` and one `quarterdeck versions` take, as processes, beside what no such tool can avoid."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SERVICES = Path("helmfile.d/services")
RUNS = 5
#: promised seconds, process start included
BUMP, VERSIONS = 0.300, 3.0
NEW = "2026-12-24-180000-production"
#: what a process must do at least: start, import the parser, read every values file once
PARSE = (
    "import sys, pathlib, yaml\n"
    "for p in sorted(pathlib.Path(sys.argv[1]).rglob('*.yaml')):\n"
    "    if p.name != 'helmfile.yaml':\n"
    "        try: list(yaml.load_all(p.read_bytes(), Loader=yaml.CSafeLoader))\n"
    "        except yaml.YAMLError: pass\n"
)
HELMFILE = """\
environments:
  staging:
    values:
      - releases: [main]
  eqiad:
    values:
      - releases: [main, canary]
  codfw:
    values:
      - releases: [main, canary]
---
templates:
  default: &default
    namespace: NAME
    recreatePods: {{ if (hasKey .Environment.Values "roll_restart") }}true{{ else }}false{{end}}
    missingFileHandler: Warn
    values:
      - "/etc/helmfile-defaults/general-{{ .Environment.Name }}.yaml"
      - "values.yaml"
      - "values-{{ .Environment.Name }}.yaml"
      - "values-{{`{{ .Release.Name }}`}}.yaml"
releases:
  - name: main
    <<: *default
  - name: canary
    <<: *default
"""


def generate(root: Path, services: int = 67, common: int = 11_000, largest: int = 85_000) -> None:
    """Write a charts repository of the real one's size: one megabyte in 67 services, the largest with 85 kB of values.

    Args:
        root: an empty folder.
        services: how many.
        common: bytes of values in all services but one.
        largest: bytes of values in that one.
    """
    for number in range(services):
        folder = root / SERVICES / f"service-{number:02}"
        folder.mkdir(parents=True)
        (folder / "helmfile.yaml").write_text(HELMFILE.replace("NAME", folder.name))
        head = f"docker:\n  registry: registry.example\nmain_app:\n  image: team/{folder.name}\n  port: 8080\n"
        text = head + "  version: 2026-06-01-120000-production # by hand\nmesh:\n  image_version: 1.35.9-1\nroutes:\n"
        size, route = (common if number else largest), 0
        while len(text) < size:
            route += 1
            text += f"  - name: route-{route:04}\n    match: {{prefix: /api/{route}}}\n    timeout: 15s # seconds\n"
        (folder / "values.yaml").write_text(text)
        (folder / "values-staging.yaml").write_text("resources:\n  replicas: 1\n")
        (folder / "values-canary.yaml").write_text("resources:\n  replicas: 1\nmain_app:\n  log_level: debug\n")


def largest(root: Path) -> str:
    """The service with most bytes of values that a plain bump can move."""
    sizes: dict[str, int] = {}
    for folder in (root / SERVICES).iterdir():
        if (folder / "helmfile.yaml").is_file() and not folder.name.startswith("_"):
            sizes[folder.name] = sum(file.stat().st_size for file in folder.glob("*.yaml"))
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if subprocess.run(tool("bump", name, NEW, root=root), capture_output=True, check=False).returncode == 0:
            return name
    raise SystemExit(f"{root}: no service that can be bumped")


def tool(*args: str, root: Path) -> list[str]:
    """A call of the command, as the shell would start it."""
    return [sys.executable, "-m", "quarterdeck.cli", args[0], "--charts", str(root), *args[1:]]


def timed(call: Sequence[str]) -> tuple[float, float]:
    """Least and median seconds of a process, over the runs."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds), statistics.median(seconds)


@contextmanager
def checkout(place: str) -> Iterator[Path]:
    """The folder named, or a generated tree that goes away."""
    if place:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        yield Path(folder)


def figures(place: str = os.environ.get("CHARTS", "")) -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what it is beside; for the table of `python -m bench`.

    Args:
        place: a charts checkout; empty for a generated one of the same size.
    """
    with checkout(place) as root:
        name = largest(root)
        idle = timed([sys.executable, "-c", "import click, yaml"])
        bump = timed(tool("bump", name, NEW, root=root))
        parse = timed([sys.executable, "-c", PARSE, str(root / SERVICES)])
        versions = timed(tool("versions", root=root))
    return [
        row(f"bump {name}, process", bump, BUMP, idle, "Python with click and yaml loaded"),
        row("versions of all, process", versions, VERSIONS, parse, "PyYAML, each file parsed once"),
    ]


def row(
    what: str, ours: tuple[float, float], promised: float, peer: tuple[float, float], beside: str
) -> tuple[str, str, str]:
    """One line of the table."""
    shown = f"{ours[1] * 1e3:.0f} ms (least {ours[0] * 1e3:.0f}; < {promised * 1e3:.0f})"
    return what, shown, f"{ours[1] / peer[1]:.2f} x {beside}"


def main() -> int:
    """Print both figures."""
    for what, shown, beside in figures():
        print(f"{what:32} {shown:28} {beside}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
