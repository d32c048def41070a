"""Small charts repositories for tests of `quarterdeck bump`: built, edited in three ways, compared byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from quarterdeck.cli.main import main
from quarterdeck.core.charts import vote_limit as limit

OLD, NEW = "2026-08-06-230932-production", "2026-08-17-094555-production"
ENVS: Mapping[str, Sequence[str]] = {"staging": ["main"], "eqiad": ["main"], "codfw": ["main"]}
LAYERS = ("values.yaml", "PRIVATE", "values-ENV.yaml", "values-RELEASE.yaml")
#: the same with a file for one release in one environment
DEEP = (*LAYERS, "values-RELEASE-ENV.yaml")

Text = str | bytes


def helmfile(
    envs: Mapping[str, Sequence[str]] = ENVS, layers: Sequence[str] = LAYERS, own: Mapping[str, Sequence[str]] = {}
) -> str:
    """A helmfile.yaml as the real ones are written: a Go template that no YAML parser takes.

    Args:
        envs: environment -> its releases.
        layers: values files in merge order; ENV, RELEASE and PRIVATE are replaced by what helmfile writes there.
        own: release -> layers of its own.
    """

    def listed(names: Sequence[str]) -> str:
        out = ""
        for name in names:
            path = name.replace("ENV", "{{ .Environment.Name }}").replace("RELEASE", "{{`{{ .Release.Name }}`}}")
            path = path.replace("PRIVATE", "/etc/helmfile-defaults/private/x/{{ .Environment.Name }}.yaml")
            out += f'      - "{path}" # a comment\n'
        return out

    text = "helmDefaults:\n  timeout: 600\n  args:\n    - --kubeconfig\n"
    text += '    - {{ .Environment.Values | get "kubeConfig" (printf "/etc/x-%s.config" .Environment.Name) }}\n\n'
    text += "environments:\n"
    for env, releases in envs.items():
        text += f"  {env}:\n    values:\n      - releases: [{', '.join(releases)}]\n"
        text += '      - "/etc/helmfile-defaults/clusterinfo-{{ .Environment.Name }}.yaml"\n'
        text += "    missingFileHandler: Warn\n"
    text += "\n---\n\nbases:\n  - ../global.yaml\n\ntemplates:\n  default: &default\n    namespace: x\n"
    text += '    recreatePods: {{ if (hasKey .Environment.Values "roll_restart") }}true{{ else }}false{{end}}\n'
    text += "    installedTemplate: '{{`{{ has .Release.Name .Environment.Values.releases }}`}}'\n"
    text += f"    missingFileHandler: Warn\n    values:\n{listed(layers)}\nreleases:\n"
    for release in dict.fromkeys(r for releases in envs.values() for r in releases):
        text += f"  - name: {release}\n    <<: *default\n"
        if release in own:
            text += f"    values:\n{listed(own[release])}"
    return text


def shared(version: str = OLD, image: str = "wikimedia/citoid") -> str:
    """The values.yaml most services have."""
    return f"docker:\n  registry: r\nmain_app:\n  image: {image}\n  port: 1970\n  version: {version}\n  limits:\n    cpu: 1\n"


def bytes_of(text: Text) -> bytes:
    """UTF-8, as it will stand in the file."""
    return text if isinstance(text, bytes) else text.encode()


@dataclass(frozen=True)
class Outcome:
    """What a run left: exit status, both streams."""

    status: int
    out: bytes
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, read as JSON."""
        read: dict[str, Any] = json.loads(self.out)
        return read


class Charts:
    """A charts checkout in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root / "charts"
        self.scratch = root
        self.copies = 0
        (self.root / "helmfile.d/services").mkdir(parents=True)

    def put(self, path: str, text: Text) -> None:
        """Write a file, by its path from the repository's root."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes_of(text))

    def service(
        self, name: str = "citoid", group: str = "helmfile.d/services", helm: str | None = None, **files: Text
    ) -> Charts:
        """A service's directory; `values_staging=` is values-staging.yaml, double underscores are blanks of names."""
        self.put(f"{group}/{name}/helmfile.yaml", helmfile() if helm is None else helm)
        for key, text in files.items():
            self.put(f"{group}/{name}/{key.replace('_', '-')}.yaml", text)
        return self

    def link(self, path: str, target: str) -> None:
        """A symlink, by its path from the root."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def state(self, root: Path | None = None) -> dict[str, bytes]:
        """Every file and link below the root."""
        root = root or self.root
        found: dict[str, bytes] = {}
        for folder, _, names in os.walk(root):
            for name in names:
                place = Path(folder) / name
                text = b"-> " + os.readlink(place).encode() if place.is_symlink() else place.read_bytes()
                found[str(place.relative_to(root))] = text
        return found

    def run(self, *args: str, root: Path | None = None) -> Outcome:
        """`quarterdeck ARGS --charts HERE` in this process."""
        result = CliRunner().invoke(main, [args[0], "--charts", str(root or self.root), *args[1:]])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout_bytes, result.stderr)

    def bump(self, *args: str) -> Outcome:
        """A bump that writes nothing; whatever comes of it, no file was touched."""
        before = self.state()
        outcome = self.run("bump", *args)
        assert self.state() == before, "a run without --write touched a file"
        return outcome

    def copy(self) -> Path:
        """The same tree in another folder."""
        self.copies += 1
        place = self.scratch / f"copy{self.copies}"
        shutil.copytree(self.root, place, symlinks=True)
        return place

    def edit(self, *args: str) -> tuple[dict[str, bytes | None], Outcome]:
        """A bump that must work: what changed (None: gone), proved the same by `git apply`, --write and the JSON."""
        outcome = self.bump(*args)
        assert outcome.status == 0, f"exit {outcome.status}: {outcome.err}"
        applied, written = self.copy(), self.copy()
        git = subprocess.run(["git", "apply", "-"], cwd=applied, input=outcome.out, capture_output=True, check=False)
        assert git.returncode == 0, git.stderr.decode() + outcome.out.decode(errors="replace")
        again = self.run("bump", *args, "--write", root=written)
        assert (again.status, again.out) == (0, outcome.out)
        after = self.state(applied)
        assert self.state(written) == after, "--write and git apply differ"
        before = self.state()
        changed = {p: after.get(p) for p in sorted({*before, *after}) if before.get(p) != after.get(p)}
        self.told(self.bump(*args, "--format", "json").json, before, changed)
        self.limited(args, before, changed)
        once_more = self.run("bump", *args, "--format", "json", root=written)
        assert once_more.status == 3, f"a second run is not 'nothing to change': {once_more}"
        return changed, outcome

    def limited(self, args: Sequence[str], before: dict[str, bytes], changed: dict[str, bytes | None]) -> None:
        """An edit as the bot could make it is within what it proves before its vote."""
        if "--key" in args or None in changed.values():
            return
        group = args[args.index("--services-dir") + 1] if "--services-dir" in args else "helmfile.d/services"
        old = {path: text for path, text in before.items() if not text.startswith(b"-> ")}
        limit.prove(old, {path: text for path, text in changed.items() if text is not None}, group)

    def told(self, said: dict[str, Any], before: dict[str, bytes], changed: dict[str, bytes | None]) -> None:
        """The JSON's spans, spliced by hand, give the same files."""
        assert set(said) >= {"files", "side_effects", "before", "after", "refusals"}
        assert {file["path"] for file in said["files"]} == set(changed)
        for file in said["files"]:
            assert set(file) >= {"path", "action", "spans"}
            text = before.get(file["path"], b"")
            for span in sorted(file["spans"], key=lambda s: int(s["start"]), reverse=True):
                assert set(span) >= {"start", "end", "line", "key", "old", "new"}
                assert before.get(file["path"], b"")[span["start"] : span["end"]].decode() == span["old"]
                text = text[: span["start"]] + span["new"].encode() + text[span["end"] :]
            assert text == (changed[file["path"]] or b"")

    def fails(self, status: int, *args: str) -> str:
        """A bump that must end with that status and an empty standard output: what it says on stderr."""
        outcome = self.bump(*args)
        assert outcome.status == status, f"exit {outcome.status} for {status}: {outcome.err}\n{outcome.out.decode()}"
        assert outcome.out == b""
        assert outcome.err.strip()
        return outcome.err

    def refused(self, *args: str) -> str:
        """A bump that must be refused, in both formats: the reasons."""
        said = self.bump(*args, "--format", "json")
        assert (said.status, bool(said.json["refusals"])) == (4, True), said
        return self.fails(4, *args)


def only(*pairs: tuple[str, Text | None], service: str = "citoid") -> dict[str, bytes | None]:
    """What `edit` must have changed: file names in the service's directory, and their whole text afterwards."""
    return {
        name if "/" in name else f"helmfile.d/services/{service}/{name}": None if text is None else bytes_of(text)
        for name, text in pairs
    }
