"""Every service of a real charts repository (CHARTS=DIR), judged by a second opinion that shares no code with ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.charts import vote_limit as limit
from tests.worlds.charts_oracle import MAIN, Leaf, Oracle, main
from tests.worlds.charts_tree import Charts, Outcome

CHARTS = os.environ.get("CHARTS", "")
GROUPS = ("services", "ml-services", "dse-k8s-services", "aux-k8s-services")
NEW = "2031-12-24-180000-oracle"
Place = tuple[str, str]

pytestmark = pytest.mark.skipif(not CHARTS, reason="CHARTS=DIR names a checkout of the real charts repository")


class Real(Charts):
    """A copy of the real checkout, put back after each edit."""

    def __init__(self, root: Path) -> None:
        self.root, self.scratch, self.copies = root / "charts", root, 0
        shutil.copytree(CHARTS, self.root, symlinks=True, copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(self.root):
            Path(folder).chmod(0o755)
        self.saved = self.state()
        self.oracle = Oracle(self.root)
        self.tags = {service: self.oracle.tags(service) for service in self.oracle.services()}

    def write(self, *args: str) -> Outcome:
        """A bump that writes; what the bot could make so is within what it proves before its vote."""
        outcome = self.run("bump", *args, "--write")
        if outcome.status == 0 and "--unpin" not in args:
            limit.prove(self.saved, {path: new for path, (_, new) in self.changed().items()}, "helmfile.d/services")
        return outcome

    def changed(self) -> dict[str, tuple[bytes, bytes]]:
        """Files that differ from the checkout: before, after."""
        now = self.state()
        paths = {*now, *self.saved}
        return {p: (self.saved.get(p, b""), now.get(p, b"")) for p in paths if now.get(p) != self.saved.get(p)}

    def restore(self) -> None:
        """The checkout as it was."""
        for path in self.changed():
            if path in self.saved:
                (self.root / path).write_bytes(self.saved[path])
            else:
                (self.root / path).unlink()

    def moved(self) -> dict[tuple[str, str, str, str], tuple[Any, Any]]:
        """Service, environment, release and key -> value before and after, over all services."""
        found = {}
        touched = set(self.changed())
        for service, before in self.tags.items():
            files = {leaf.file for keys in before.values() for leaf in keys.values()}
            if not touched & files and not any(f"/{service}/" in path for path in touched):
                continue
            after = self.oracle.tags(service)
            for place in {*before, *after}:
                old, new = before.get(place, {}), after.get(place, {})
                for key in {*old, *new}:
                    pair = (value(old.get(key)), value(new.get(key)))
                    if pair[0] != pair[1]:
                        found[(service, *place, key)] = pair
        return found


def value(leaf: Leaf | None) -> Any:
    """What stands there, None where nothing does."""
    return leaf.value if leaf else None


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """One copy for all tests of the file."""
    return Real(tmp_path_factory.mktemp("real"))


@pytest.fixture
def real(copy: Real) -> Iterator[Real]:
    """The copy, put back at the end."""
    yield copy
    copy.restore()


def scalars(real: Real, service: str) -> dict[tuple[str, str], set[str]]:
    """File and key of each main tag -> the images it is a tag of, empty string where none is named."""
    found: dict[tuple[str, str], set[str]] = {}
    for keys in real.tags[service].values():
        leaf = main(keys)
        if leaf:
            name = next(".".join(key) for key in MAIN if ".".join(key) in keys)
            image = keys.get(name.replace("version", "image"))
            found.setdefault((leaf.file, name), set()).add(str(image.value) if image else "")
    return found


def parts(real: Real, service: str) -> list[frozenset[str]]:
    """The different sets of images that main tags stand for."""
    return sorted({frozenset(images) for images in scalars(real, service).values()}, key=sorted)


def names(service: str, part: frozenset[str]) -> list[str]:
    """What a part may be called."""
    image = min(part)
    return [image.rsplit("/", 1)[-1], image] if image else [service]


def judge(real: Real, service: str, part: frozenset[str] | None = None) -> list[str]:
    """What is wrong with the edit that was just written."""
    wrong = []
    for place, keys in real.oracle.tags(service).items():
        leaf, before = main(keys), main(real.tags[service][place])
        if not leaf or not before:
            continue
        images = {str(value(keys.get(".".join(key[:1]) + ".image")) or "") for key in MAIN if ".".join(key) in keys}
        if (part is None or bool(images & part)) != (leaf.value == NEW):
            wrong.append(f"{place}: {before.value} -> {leaf.value}")
    olds = {pair[0] for pair in real.moved().values()}
    for (other, env, release, key), (old, new) in real.moved().items():
        if new != NEW or not isinstance(old, str):
            wrong.append(f"{other} {env}/{release} {key}: {old} -> {new}")
    for path, (old, new) in real.changed().items():
        wrong += lines(path, old, new, {o for o in olds if isinstance(o, str)})
    return wrong


def lines(path: str, old: bytes, new: bytes, tags: set[str]) -> list[str]:
    """Lines that differ in more than the tag."""
    before, after = old.split(b"\n"), new.split(b"\n")
    if len(before) != len(after):
        return [f"{path}: {len(before)} lines -> {len(after)}"]
    return [
        f"{path}: {b!r} -> {a!r}"
        for b, a in zip(before, after, strict=True)
        if a != b and not any(b.replace(tag.encode(), NEW.encode()) == a for tag in tags)
    ]


def test_every_service_with_a_tag_moves_or_names_its_parts(real: Real) -> None:
    """One plain bump moves all of it and nothing else; with several images it is refused and each part moves."""
    wrong, table = [], []
    for service in sorted(real.tags):
        several = parts(real, service)
        outcome = real.write(service, NEW)
        if not several:
            verdict = "no tag" if outcome.status == 4 else f"exit {outcome.status} without a main tag"
            if outcome.status not in (0, 4):
                wrong.append(f"{service}: {verdict}")
        elif len(several) == 1:
            bad = judge(real, service) if outcome.status == 0 else [f"exit {outcome.status}: {outcome.err}"]
            verdict = "right" if not bad else "WRONG"
            wrong += [f"{service}: {line}" for line in bad]
        else:
            verdict = f"{len(several)} parts"
            if outcome.status != 4:
                wrong.append(f"{service}: exit {outcome.status} with {len(several)} parts")
            real.restore()
            for part in several:
                bad = each(real, service, part)
                wrong += [f"{service} {sorted(part)}: {line}" for line in bad]
                verdict += " ok" if not bad else f" WRONG({sorted(part)})"
                real.restore()
        table.append(f"{service:32} {verdict}")
        real.restore()
    print("\n".join(table))
    assert not wrong, "\n".join(wrong)


def each(real: Real, service: str, part: frozenset[str]) -> list[str]:
    """Bump one part under any of its names; sidecars of one build with other suffixes may make it a refusal."""
    said = []
    for name in names(service, part):
        outcome = real.write(service, NEW, "--part", name)
        if outcome.status == 0:
            return judge(real, service, part)
        said.append(f"--part {name}: {outcome.err.strip()}")
        if "sidecars." in outcome.err and "--key" in outcome.err:
            return []
    return said


def places(real: Real, service: str, env: str) -> list[Place]:
    """The releases of an environment that have a main tag."""
    return [place for place, keys in real.tags[service].items() if place[0] == env and main(keys)]


def envs(real: Real) -> Iterator[tuple[str, str]]:
    """Services of one image, and each of their environments."""
    for service in sorted(real.tags):
        if len(parts(real, service)) == 1:
            for env in dict.fromkeys(place[0] for place in real.tags[service]):
                yield service, env


def test_each_environment_by_itself(real: Real) -> None:
    """After --env E its releases have the tag, and whoever else moved was named."""
    wrong = []
    for service, env in envs(real):
        outcome = real.write(service, NEW, "--env", env)
        after = real.oracle.tags(service)
        if outcome.status != 0 or any(value(main(after[p])) != NEW for p in places(real, service, env)):
            wrong.append(f"{service} {env}: exit {outcome.status} {outcome.err}")
        unnamed = {
            word
            for other, place, _, _ in real.moved()
            for word in ([place] if other == service else [other])
            if (other, place) != (service, env) and word not in outcome.err
        }
        if unnamed:
            wrong.append(f"{service} {env}: moved and not named: {sorted(unnamed)} in {outcome.err!r}")
        real.restore()
    assert not wrong, "\n".join(wrong)


def test_a_pin_in_each_environment_and_its_removal(real: Real) -> None:
    """--pin moves that environment alone; --unpin afterwards, at the shared tag, gives the first bytes."""
    wrong = []
    for service, env in envs(real):
        mine = places(real, service, env)
        own = {main(real.tags[service][p]).file for p in mine}  # type: ignore[union-attr]
        outcome = real.write(service, NEW, "--env", env, "--pin")
        moved = {(s, e, r) for s, e, r, _ in real.moved()}
        releases = {main(real.tags[service][p]).file.endswith(f"values-{p[1]}.yaml") for p in mine if p[1] != env}  # type: ignore[union-attr]
        if outcome.status == 4 and True in releases and "overrides" in outcome.err:
            continue
        if outcome.status != 0 or moved != {(service, *place) for place in mine}:
            wrong.append(f"{service} {env}: exit {outcome.status} {outcome.err} moved {sorted(moved)}")
        elif not any(f"-{env}." in file for file in own):
            old = str(main(real.tags[service][mine[0]]).value)  # type: ignore[union-attr]
            back = real.write(service, old, "--env", env, "--unpin")
            if back.status != 0 or any(new.removesuffix(b"\n") != was for was, new in real.changed().values()):
                wrong.append(f"{service} {env}: unpin exit {back.status} {back.err} {real.changed()}"[:600])
        real.restore()
    assert not wrong, "\n".join(wrong)


def test_each_release_by_itself(real: Real) -> None:
    """After --release R it has the tag everywhere it runs, and the JSON tells exactly who else moved."""
    wrong = []
    for service, before in real.tags.items():
        for release in dict.fromkeys(place[1] for place, keys in before.items() if main(keys)):
            args = (service, NEW, "--release", release)
            told = real.bump(*args, "--format", "json")
            outcome = real.write(*args)
            mine = [place for place in before if place[1] == release and main(before[place])]
            after = real.oracle.tags(service)
            if outcome.status == 4 and ("sidecars." in outcome.err or "--part" in outcome.err):
                continue  # one build with several suffixes, or one release with another image in one environment
            if outcome.status != 0 or any(value(main(after[p])) != NEW for p in mine):
                wrong.append(f"{service} {release}: exit {outcome.status} {outcome.err}")
                continue
            side = {(e["service"], e["environment"], e["release"]) for e in told.json["side_effects"]}
            others = {(s, e, r) for s, e, r, _ in real.moved() if (s, r) != (service, release)}
            if side != others:
                wrong.append(f"{service} {release}: told {sorted(side - others)}, not told {sorted(others - side)}")
            real.restore()
    assert not wrong, "\n".join(wrong)


def test_a_pin_of_each_release_in_each_environment(real: Real) -> None:
    """--pin --env E --release R moves that place alone, or names the file that wins or would move others."""
    wrong, table = [], {"pinned": 0, "refused": 0}
    for service, before in real.tags.items():
        for env, release in [place for place, keys in before.items() if main(keys)]:
            outcome = real.write(service, NEW, "--env", env, "--release", release, "--pin")
            moved = {(s, e, r) for s, e, r, _ in real.moved()}
            if outcome.status == 4 and ("values" in outcome.err or "global" in outcome.err) and not moved:
                table["refused"] += 1
            elif outcome.status != 0 or moved != {(service, env, release)}:
                wrong.append(f"{service} {env}/{release}: exit {outcome.status} {outcome.err} {sorted(moved)}")
            else:
                table["pinned"] += 1
            real.restore()
    print(table)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("group", GROUPS)
def test_versions_tells_the_same_tags(real: Real, group: str) -> None:
    """Environment, release, tag and file of every main tag, for all services of a group at once."""
    oracle = Oracle(real.root, f"helmfile.d/{group}")
    if not oracle.services():
        pytest.skip(f"this checkout has no {group}")
    outcome = real.run("versions", "--services-dir", f"helmfile.d/{group}", "--format", "json")
    assert outcome.status == 0, outcome.err
    told = outcome.out.decode()
    rows = {json.dumps(row, sort_keys=True) for row in rows_of(json.loads(told))}
    wrong = []
    for service in oracle.services():
        for (env, release), keys in oracle.tags(service).items():
            leaf = main(keys)
            want = [service, env, release] + ([str(leaf.value), leaf.file] if leaf else [])
            if leaf and not any(all(word in row for word in want) for row in rows if f'"{service}"' in row):
                wrong.append(" ".join(want))
    assert not wrong, "\n".join(wrong)


def rows_of(said: Any) -> Iterator[dict[str, Any]]:
    """The flat rows of the answer, wherever they are nested."""
    if isinstance(said, list):
        for item in said:
            yield from rows_of(item)
    elif isinstance(said, dict):
        if all(not isinstance(v, dict) for v in said.values()) and "tag" in said:
            yield said
        else:
            for item in said.values():
                yield from rows_of(item)
