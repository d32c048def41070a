"""A second opinion on which image tags a charts repository gives: plain PyYAML and brute force, nothing of ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

#: where a service's main image tag may stand
MAIN = (("main_app", "version"), ("app", "version"), ("shellbox", "version"))
Merged = dict[str, Any]


@dataclass(frozen=True)
class Leaf:
    """A value, and the real file it came from."""

    value: Any
    file: str


@dataclass
class Oracle:
    """Reads a checkout anew at every call; parsed texts are kept by content."""

    root: Path
    group: str = "helmfile.d/services"
    parsed: dict[bytes, Any] = field(default_factory=dict)

    def services(self) -> list[str]:
        """Directories with a helmfile.yaml, but those in underscores."""
        top = self.root / self.group
        return sorted(p.parent.name for p in top.glob("*/helmfile.yaml") if not p.parent.name.startswith("_"))

    def real(self, path: Path) -> Path:
        """Where a link leads; also a link that git wrote as a text file."""
        path = Path(os.path.realpath(path))
        text = path.read_bytes() if path.is_file() else b""
        if re.fullmatch(rb"(\.\./)+[\w./-]+\.yaml", text):
            return Path(os.path.realpath(path.parent / text.decode()))
        return path

    def load(self, path: Path) -> Any:
        """The parsed file; duplicates: the last wins, as in helm."""
        text = path.read_bytes()
        if text not in self.parsed:
            self.parsed[text] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return self.parsed[text]

    def tags(self, service: str) -> dict[tuple[str, str], dict[str, Leaf]]:
        """Environment and release -> dotted key -> leaf, for keys that look like tags, and their images."""
        return {place: dict(leaves(merged)) for place, merged in self.merged(service).items()}

    def merged(self, service: str) -> dict[tuple[str, str], Merged]:
        """The values of each environment and release, merged in the helmfile's order."""
        folder = self.root / self.group / service
        text = (folder / "helmfile.yaml").read_text()
        found: dict[tuple[str, str], Merged] = {}
        for env in re.findall(r"^  ([\w-]+):", text[text.index("\nenvironments:") : text.index("\n---")], re.M):
            documents = [d for d in yaml.safe_load_all(rendered(text, env)) if d]
            environments = next(d["environments"] for d in documents if "environments" in d)
            active: list[str] = []
            for entry in environments[env].get("values", []):
                if isinstance(entry, dict):
                    active += [r for r in entry.get("releases", []) if r]
            for release in next(d["releases"] for d in documents if "releases" in d):
                if release["name"] in active:
                    found[env, release["name"]] = self.layers(folder, release, env)
        return found

    def layers(self, folder: Path, release: Mapping[str, Any], env: str) -> Merged:
        """One release's values."""
        merged: Merged = {}
        for layer in release.get("values", []):
            if isinstance(layer, str) and not layer.startswith("/"):
                path = self.real(folder / named(layer, release["name"], env))
                if path.is_file():
                    lay(merged, self.load(path) or {}, str(path.relative_to(self.root)))
        return merged


def rendered(text: str, env: str) -> str:
    """The helmfile as its first rendering leaves it, by what these files use of Go templates."""
    text = text.replace("{{ .Environment.Name }}", env).replace("{{ .Environment.Name | quote }}", env)
    text = re.sub(r"\{\{ ?`(.*?)` ?\}\}", lambda m: m[1].replace("{{", "<<<").replace("}}", ">>>"), text)
    text = re.sub(
        r"\n  \{\{ if not [^\n]*\}\}\n(.*?)\n  \{\{ else \}\}\n.*?\n  \{\{ end \}\}", r"\n\1", text, flags=re.S
    )
    text = re.sub(r"\n\{\{- if \$release_name \}\}\n.*?\n\{\{- end \}\}", "", text, flags=re.S)
    text = re.sub(r"\{\{ if [^}]*\}\}[^{]*\{\{ end \}\}", "", text)
    return "\n".join(line for line in text.split("\n") if "{{" not in line)


def named(layer: str, release: str, env: str) -> str:
    """A layer's file name for one release."""
    layer = layer.replace("<<< .Release.Name >>>", release).replace("<<< .Environment.Name >>>", env)
    layer = re.sub(r'<<< ?trimSuffix "([^"]*)" \.Release\.Name ?>>>', lambda m: release.removesuffix(m[1]), layer)
    if "<<<" in layer and "hasSuffix" in layer:
        end = re.findall(r'hasSuffix "([^"]*)"', layer)[0]
        return f"values-{release.removesuffix(end) if release.endswith(end) else 'empty'}.yaml"
    return layer


def lay(below: Merged, above: Mapping[str, Any], file: str) -> None:
    """Merge as helm does: maps by key, everything else replaced, null deletes."""
    for key, value in above.items():
        if value is None:
            below.pop(key, None)
        elif isinstance(value, Mapping):
            if not isinstance(below.get(key), dict):
                below[key] = {}
            lay(below[key], value, file)
        else:
            below[key] = Leaf(value, file)


def leaves(merged: Merged, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """Dotted key and leaf of everything in it."""
    for key, value in merged.items():
        where = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict):
            yield from leaves(value, where)
        else:
            yield where, value


def main(tags: Mapping[str, Leaf]) -> Leaf | None:
    """The main image's tag, if there is one."""
    return next((tags[".".join(key)] for key in MAIN if ".".join(key) in tags), None)
