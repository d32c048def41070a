"""Which image came of a merged change: CI's comments, tag order, and what is worth an announcement.

The comment's form is PipelineLib's, unchanged since 2019: `pipeline-build-result: STATUS (job: J, build: N)`, then
on success the blocks `IMAGE:` and `TAGS:`; one comment per publishing stage, so several per change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.change import Comment
from quarterdeck.core.model.image import Image
from quarterdeck.core.model.service import Service
from quarterdeck.core.model.tag import is_tag

PIPELINE_ACCOUNTS = frozenset({"pipelinebot"})
CI_ACCOUNTS = frozenset({"jenkins-bot"})

_RESULT = re.compile(r"pipeline-build-result:\s*(\w+)\s*\(job:\s*([^,\s]+),\s*build:\s*(\d+)\)")
_BLOCK = re.compile(r"^IMAGE:[ \t]*\n[ \t]+(\S+)[ \t]*$(?:\s*^TAGS:[ \t]*\n[ \t]+([^\n]*)$)?", re.MULTILINE)
_POST_MERGE_FAILED = re.compile(r"^Post-merge build failed\.", re.MULTILINE)
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2}-\d{6})(?:-(.+))?")
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+](.+))?")
_UNFIT = re.compile(r"(^|-)(candidate|dev)(-|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """What one CI comment says.

    Attributes:
        job: CI job; empty when the comment names none.
        number: build number of that job; 0 when the comment names none.
        images: what was published, names without registry host; empty unless ok.
    """

    ok: bool
    job: str = ""
    number: int = 0
    images: tuple[Image, ...] = ()


@dataclass(frozen=True)
class Settled:
    """A ledger entry after a look, and what there is to say of it: "", "ready", "failed" or "silent"."""

    build: Build
    event: str = ""


def parse(
    comment: Comment,
    pipeline: Collection[str] = PIPELINE_ACCOUNTS,
    ci: Collection[str] = CI_ACCOUNTS,
) -> Report | None:
    """Read a comment by its account; None when it says nothing about an image.

    Args:
        comment: any message on a change.
        pipeline: accounts that report builds, lower case.
        ci: accounts that report "Post-merge build failed.", lower case.
    """
    author = comment.author.casefold()
    text = comment.text.replace("\r\n", "\n")
    if author in ci:
        return Report(ok=False) if _POST_MERGE_FAILED.search(text) else None
    match = _RESULT.search(text) if author in pipeline else None
    if match is None or not match[2].endswith("-pipeline-publish"):
        return None
    if match[1] != "SUCCESS":
        return Report(False, match[2], int(match[3]))
    images = (_image(name, tags or "") for name, tags in _BLOCK.findall(text))
    return Report(True, match[2], int(match[3]), tuple(i for i in images if i is not None))


def published(
    comments: Iterable[Comment], used: Callable[[Image], bool] = lambda _: True
) -> tuple[tuple[Image, ...], bool]:
    """What a change's comments say in all: fit images of the newest successful builds, and whether a build failed.

    A failure counts only where no fit image came of the change.

    Args:
        comments: everything said on the change.
        used: whether some service could run an image; a flavour that none does is no news.
    """
    reports = [r for r in map(parse, comments) if r is not None]
    newest: dict[str, Report] = {}
    images: dict[str, Image] = {}
    for report in sorted((r for r in reports if r.images), key=lambda r: r.number):
        last = newest.get(report.job)
        if last is not None and last.number < report.number:
            for old in last.images:
                images.pop(old.name, None)
        newest[report.job] = report
        images.update({i.name: i for i in report.images if acceptable(i.tag) and used(i)})
    return tuple(images.values()), not images and any(not r.ok for r in reports)


def settle(
    build: Build,
    comments: Iterable[Comment],
    digests: Mapping[tuple[str, str], str],
    now: datetime,
    deadline: float,
    used: Callable[[Image], bool] = lambda _: True,
) -> tuple[Settled, ...]:
    """Look at a ledger entry again. One entry goes in; one comes out per image, the first takes its place.

    Args:
        build: the entry as it stands.
        comments: everything said on the change.
        digests: (image, tag) -> digest, for what the registry has; ask it for what `published` returns.
        now: aware UTC.
        deadline: seconds after the merge until silence is worth a word.
        used: see `published`.
    """
    images, failed = published(comments, used)
    mine = [i for i in images if build.image in ("", i.name)]
    if not mine:
        return (_unbuilt(build, failed, now, deadline),)
    return tuple(_built(build, image, digests.get((image.name, image.tag), ""), now, deadline) for image in mine)


def worth_saying(
    build: Build,
    services: Sequence[Service],
    *,
    running: Collection[str] = (),
    announced: Iterable[Build] = (),
    owners: Collection[str] = (),
    bots: Collection[str] = (),
) -> str:
    """Why an image is not announced; "" when it is.

    Args:
        build: the settled entry.
        services: those that use the image.
        running: tags that run somewhere now.
        announced: ledger entries of the same image; only those said to be ready count.
        owners: owners of the commits since what runs; none means the build's own.
        bots: accounts whose commits alone are noise.
    """
    if build.state is BuildState.SEEN:
        return "merged before we watched"
    if build.state is not BuildState.READY or not build.digest:
        return "the registry has not got it"
    if not acceptable(build.tag):
        return "no tag for services"
    if not services:
        return "no service uses it"
    before = [b for b in announced if b.image == build.image and b.said == "ready"]
    if build.said == "ready" or any((b.tag, b.digest) == (build.tag, build.digest) for b in before):
        return "announced already"
    if any(newer(b.tag, build.tag) for b in before):
        return "older than what was announced"
    if running and all(tag == build.tag for tag in running):
        return "runs already"
    if any(newer(tag, build.tag) for tag in running):
        return "older than what runs"
    if all(owner in bots for owner in (owners or (build.owner,))):
        return "commits of bots only"
    return ""


def pushed_again(build: Build, known: Iterable[Build]) -> bool:
    """Whether a tag we know names another image now: to be said loudly."""
    return bool(build.digest) and any(
        (b.image, b.tag) == (build.image, build.tag) and b.digest not in ("", build.digest) for b in known
    )


def fixes(build: Build, known: Iterable[Build]) -> Build | None:
    """The failed change that a ready build makes good: the project's newest earlier one, if it was said to fail."""
    if build.state is not BuildState.READY:
        return None
    earlier = [b for b in known if b.project == build.project and b.merged < build.merged]
    last = max(earlier, key=lambda b: b.merged, default=None)
    return last if last is not None and last.said == "failed" else None


def acceptable(tag: str) -> bool:
    """Whether a tag may be deployed: not `latest`, no pre-merge candidate, no development build."""
    return is_tag(tag) and tag.lower() != "latest" and _UNFIT.search(tag) is None


def newer(a: str, b: str) -> bool | None:
    """Whether tag *a* is newer than *b*; None when nobody can tell.

    Tags that begin with a timestamp (`YYYY-MM-DD-HHMMSS`) and tags `vX.Y.Z` have an order, others have none.
    """
    if a == b:
        return False
    for pattern, parts in ((_STAMP, (1,)), (_VERSION, (1, 2, 3))):
        x, y = pattern.fullmatch(a), pattern.fullmatch(b)
        if x and y:
            numbers = [[int(m[i].replace("-", "")) for i in parts] for m in (x, y)]
            return numbers[0] > numbers[1] if numbers[0] != numbers[1] else None
    return None


def latest(ready: Sequence[Build]) -> str:
    """The newest tag among ledger entries, newest merge first; where tags have no order the later merge stands."""
    found = ready[0].tag
    for build in ready[1:]:
        found = build.tag if newer(build.tag, found) else found
    return found


def _image(reference: str, tags: str) -> Image | None:
    """`IMAGE` names the tag since 2019-05; before, the first of `TAGS` is it. The registry's host is cut off."""
    name, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        name, tag = reference, tags.partition(",")[0].strip()
    host, slash, rest = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        name = rest
    return Image(name, tag) if name and is_tag(tag) else None


def _unbuilt(build: Build, failed: bool, now: datetime, deadline: float) -> Settled:
    """No image was named for the entry."""
    if build.state is BuildState.SEEN or build.state is BuildState.READY:
        return Settled(build)
    if failed:
        changed = build if build.state is BuildState.FAILED else replace(build, state=BuildState.FAILED, updated=now)
        return Settled(changed, "" if build.said == "failed" else "failed")
    return _late(build, now, deadline)


def _built(build: Build, image: Image, digest: str, now: datetime, deadline: float) -> Settled:
    """CI named an image: ready as soon as the registry has it."""
    named = replace(build, image=image.name, tag=image.tag, digest=digest or build.digest)
    if named != build:
        named = replace(named, updated=now)
    if build.state is BuildState.SEEN:
        return Settled(named)
    if not digest:
        return Settled(named) if build.state is BuildState.READY else _late(named, now, deadline)
    ready = named if build.state is BuildState.READY else replace(named, state=BuildState.READY, updated=now)
    return Settled(ready, "" if build.said == "ready" and build.digest == digest else "ready")


def _late(build: Build, now: datetime, deadline: float) -> Settled:
    if build.state is not BuildState.AWAITING or now - build.merged < timedelta(seconds=deadline):
        return Settled(build)
    return Settled(replace(build, state=BuildState.SILENT, updated=now), "" if build.said else "silent")
