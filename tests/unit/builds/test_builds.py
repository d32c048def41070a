"""Which image came of a merged change, and what is worth an announcement."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.builds.ledger import (
    Report,
    Settled,
    acceptable,
    fixes,
    newer,
    parse,
    published,
    pushed_again,
    settle,
    worth_saying,
)
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.change import Comment
from quarterdeck.core.model.image import Image
from quarterdeck.core.model.service import Service

NOW = datetime(2026, 8, 17, 10, 0, tzinfo=UTC)
OLD, TAG = "2026-08-06-230932-production", "2026-08-17-094555-production"
NAME = "wikimedia/mediawiki-services-citoid"
JOB = "citoid-pipeline-publish"
CITOID = Service("citoid", "mediawiki/services/citoid", NAME)


def comment(text: str, author: str = "pipelinebot") -> Comment:
    """A message on a change."""
    return Comment("1", author, text, NOW)


def success(image: str = f"registry.example/{NAME}:{TAG}", tags: str = TAG, number: int = 7, job: str = JOB) -> Comment:
    """PipelineBot's comment about a published image."""
    head = f"pipeline-dashboard: {job}\npipeline-build-result: SUCCESS (job: {job}, build: {number})"
    return comment(f"Patch Set 1:\n\n{head}\n\nIMAGE:\n {image}\n\nTAGS:\n {tags}")


def failure(number: int = 6) -> Comment:
    """PipelineBot's comment about a failed build."""
    return comment(f"pipeline-dashboard: {JOB}\npipeline-build-result: FAILURE (job: {JOB}, build: {number})")


def build(**more: object) -> Build:
    """A merged change that waits for its image."""
    plain = Build("mediawiki/services/citoid", 1089123, "c0ffee", "Fix DOI regex", "mvolz", NOW)
    return replace(plain, **more)  # type: ignore[arg-type]


def ready(tag: str = TAG, **more: object) -> Build:
    """A change whose image is in the registry."""
    return build(**{"state": BuildState.READY, "image": NAME, "tag": tag, "digest": "sha256:aa", **more})


def test_a_success_names_image_and_tag() -> None:
    """Image without the registry's host, tag from the image's own end, job and number."""
    assert parse(success()) == Report(True, JOB, 7, (Image(NAME, TAG),))
    crlf = comment(success().text.replace("\n", "\r\n"), "PipelineBot")
    assert parse(crlf) == Report(True, JOB, 7, (Image(NAME, TAG),))


@pytest.mark.parametrize(
    ("image", "tags", "expected"),
    [
        (f"registry.example/{NAME}", f"{TAG}, fc52e49b0", Image(NAME, TAG)),
        (f"localhost:5000/{NAME}:{TAG}", "x", Image(NAME, TAG)),
        (f"localhost/{NAME}:{TAG}", "x", Image(NAME, TAG)),
        (f"127.0.0.1:5000/{NAME}", TAG, Image(NAME, TAG)),
        (f"{NAME}:{TAG}", "x", Image(NAME, TAG)),
        (f"citoid:{TAG}", "x", Image("citoid", TAG)),
    ],
)
def test_older_and_shorter_forms_are_read(image: str, tags: str, expected: Image) -> None:
    """Without a tag in the image the first of TAGS is it; a host is cut off, a path is not."""
    report = parse(success(image, tags))
    assert report is not None
    assert report.images == (expected,)


def test_a_comment_without_a_tag_names_no_image() -> None:
    """An image without any tag is nothing to deploy."""
    text = success(f"registry.example/{NAME}").text.partition("\n\nTAGS")[0]
    assert parse(comment(text)) == Report(True, JOB, 7, ())
    assert parse(success(f"registry.example/{NAME}", "a b")) == Report(True, JOB, 7, ())


def test_only_ci_accounts_are_believed() -> None:
    """The same words by somebody else, or of another job, say nothing."""
    assert parse(replace(success(), author="mallory")) is None
    assert parse(success(job="citoid-pipeline-test")) is None
    assert parse(comment("Thanks!")) is None
    assert parse(comment("Post-merge build failed.", "mallory")) is None
    assert parse(comment("Patch Set 2:\n\nPost-merge build succeeded.", "jenkins-bot")) is None


def test_failures_are_read_from_both_accounts() -> None:
    """PipelineBot says it of a job, jenkins-bot of all post-merge jobs."""
    assert parse(failure()) == Report(False, JOB, 6)
    assert parse(comment("Patch Set 10:\n\nPost-merge build failed.\n\n- x : FAILURE", "jenkins-bot")) == Report(False)


def test_a_change_may_have_several_images() -> None:
    """One comment per publishing stage: all images of a build count, in any order of comments."""
    other = success(f"registry.example/{NAME}-tools:{TAG}")
    images, failed = published([success(), failure(), other, comment("hi", "alice")])
    assert {i.name for i in images} == {NAME, f"{NAME}-tools"}
    assert not failed


def test_the_newest_build_of_a_job_counts() -> None:
    """A later build of the same job replaces what the earlier one published."""
    later = success(f"registry.example/{NAME}:2026-08-18-000000-production", number=8)
    for order in ([success(), later], [later, success()]):
        images, _ = published(order)
        assert [i.tag for i in images] == ["2026-08-18-000000-production"]


def test_candidates_are_no_images() -> None:
    """A pre-merge image is neither an image nor a failure."""
    assert published([success(f"r.example/{NAME}:2026-08-17-094555-candidate")]) == ((), False)
    assert published([failure()]) == ((), True)


def test_an_image_is_ready_when_the_registry_has_it() -> None:
    """CI's word alone is not enough; with the registry's digest the entry is ready, and is said once."""
    (named,) = settle(build(), [success()], {}, NOW, 1500)
    assert named == Settled(build(image=NAME, tag=TAG, updated=NOW))
    (done,) = settle(named.build, [success()], {(NAME, TAG): "sha256:aa"}, NOW, 1500)
    assert done.event == "ready"
    assert done.build == ready(updated=NOW)
    (again,) = settle(replace(done.build, said="ready"), [success()], {(NAME, TAG): "sha256:aa"}, NOW, 1500)
    assert again.event == ""
    (unsaid,) = settle(done.build, [success()], {(NAME, TAG): "sha256:aa"}, NOW, 1500)
    assert unsaid.event == "ready"
    (gone,) = settle(done.build, [success()], {}, NOW, 1500)
    assert gone == Settled(done.build)
    (moved,) = settle(replace(done.build, said="ready"), [success()], {(NAME, TAG): "sha256:bb"}, NOW, 1500)
    assert (moved.event, moved.build.digest) == ("ready", "sha256:bb")


def test_two_images_make_two_entries() -> None:
    """The first takes the entry's place, the second is new; a named entry looks only at its own."""
    comments = [success(), success(f"r.example/{NAME}-tools:{TAG}")]
    both = settle(build(), comments, {}, NOW, 1500)
    assert [s.build.image for s in both] == [NAME, f"{NAME}-tools"]
    assert len(settle(both[1].build, comments, {}, NOW, 1500)) == 1


def test_failure_is_said_once() -> None:
    """A failed build is one line; a later success makes the entry ready."""
    (failed,) = settle(build(), [failure()], {}, NOW, 1500)
    assert (failed.event, failed.build.state) == ("failed", BuildState.FAILED)
    said = replace(failed.build, said="failed")
    assert settle(said, [failure()], {}, NOW, 1500) == (Settled(said),)
    (fixed,) = settle(said, [failure(), success()], {(NAME, TAG): "sha256:aa"}, NOW, 1500)
    assert (fixed.event, fixed.build.state) == ("ready", BuildState.READY)


def test_silence_is_said_once_after_the_deadline() -> None:
    """Before the deadline nothing, after it once, whether CI said nothing or the registry has nothing."""
    assert settle(build(), [], {}, NOW + timedelta(seconds=1499), 1500) == (Settled(build()),)
    late = NOW + timedelta(seconds=1500)
    (silent,) = settle(build(), [], {}, late, 1500)
    assert (silent.event, silent.build.state) == ("silent", BuildState.SILENT)
    assert settle(silent.build, [], {}, late, 1500) == (Settled(silent.build),)
    (unpushed,) = settle(build(), [success()], {}, late, 1500)
    assert (unpushed.event, unpushed.build.image) == ("silent", NAME)
    assert settle(build(said="silent"), [], {}, late, 1500)[0].event == ""


def test_what_was_merged_before_we_watched_stays_silent() -> None:
    """First sight is noted with its image and never announced."""
    seen = build(state=BuildState.SEEN)
    (named,) = settle(seen, [success()], {(NAME, TAG): "sha256:aa"}, NOW, 1500)
    assert (named.event, named.build.state, named.build.tag) == ("", BuildState.SEEN, TAG)
    assert settle(seen, [failure()], {}, NOW, 0) == (Settled(seen),)
    assert settle(ready(), [], {}, NOW, 0) == (Settled(ready()),)


def test_a_new_image_is_worth_saying() -> None:
    """A ready image of a service that runs something older is announced."""
    assert worth_saying(ready(), [CITOID], running=[OLD], announced=[ready(OLD, said="ready")]) == ""


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (build(state=BuildState.SEEN), "merged before we watched"),
        (build(), "the registry has not got it"),
        (ready(digest=""), "the registry has not got it"),
        (ready("2026-08-17-094555-candidate"), "no tag for services"),
        (ready(said="ready"), "announced already"),
    ],
)
def test_what_is_not_ready_is_not_said(what: Build, why: str) -> None:
    """Entries that are no news are told apart by why."""
    assert worth_saying(what, [CITOID]) == why


def test_old_news_is_not_said() -> None:
    """Announced, older, running, by bots, or used by nobody: silence, with the reason."""
    assert worth_saying(ready(), []) == "no service uses it"
    assert worth_saying(ready(), [CITOID], announced=[ready(said="ready")]) == "announced already"
    assert worth_saying(ready(OLD), [CITOID], announced=[ready(said="ready")]) == "older than what was announced"
    assert worth_saying(ready(), [CITOID], announced=[ready(said="")]) == ""
    assert worth_saying(ready(), [CITOID], running=[TAG, TAG]) == "runs already"
    assert worth_saying(ready(OLD), [CITOID], running=[OLD, TAG]) == "older than what runs"
    assert worth_saying(ready(owner="l10n-bot"), [CITOID], bots=["l10n-bot"]) == "commits of bots only"
    assert worth_saying(ready(owner="l10n-bot"), [CITOID], owners=["l10n-bot", "mvolz"], bots=["l10n-bot"]) == ""


def test_a_tag_with_another_digest_is_noticed() -> None:
    """A tag that is pushed again is news, and said loudly."""
    assert pushed_again(ready(), [ready(digest="sha256:bb")])
    assert not pushed_again(ready(), [ready(), ready(digest=""), ready(OLD, digest="sha256:bb")])
    assert not pushed_again(ready(digest=""), [ready()])
    assert worth_saying(ready(), [CITOID], announced=[ready(digest="sha256:bb", said="ready")]) == ""


def test_a_fix_names_what_it_fixes() -> None:
    """A ready build after a failure that was said makes it good; later ones do not again."""
    broken = build(state=BuildState.FAILED, said="failed", change=1)
    good = ready(merged=NOW + timedelta(hours=1))
    assert fixes(good, [broken, good]) == broken
    assert fixes(ready(merged=NOW + timedelta(hours=2)), [broken, good]) is None
    assert fixes(good, []) is None
    assert fixes(build(), [broken]) is None


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (TAG, OLD, True),
        (OLD, TAG, False),
        (TAG, TAG, False),
        ("2026-08-17-094555", OLD, True),
        ("2026-08-17-094555-web", "2026-08-17-094555-api", None),
        ("v1.10.0", "v1.9.9", True),
        ("v1.0.20", "1.0.20", None),
        ("v1.0.0", "v2.0.0-1", False),
        ("v1.0.0", TAG, None),
        ("flink-1", "flink-2", None),
    ],
)
def test_tags_are_ordered_where_they_have_an_order(a: str, b: str, expected: bool | None) -> None:
    """Timestamps and versions have an order, everything else has none."""
    assert newer(a, b) is expected


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_tag_is_newer_both_ways(a: str, b: str) -> None:
    """The order never contradicts itself."""
    assert not (newer(a, b) and newer(b, a))


def test_acceptable_tags() -> None:
    """Candidates, development builds and latest are not for services."""
    assert acceptable(TAG)
    assert acceptable("2026-08-17-094555-crash-production")
    assert acceptable("v1.0.0-developer")
    for tag in ("latest", "Latest", "dev", "2019-10-03-012458-dev", "2026-01-22-162627-candidate-v1.0.1-dev", "a b"):
        assert not acceptable(tag)


@given(st.text(max_size=300), st.sampled_from(["pipelinebot", "jenkins-bot"]))
def test_any_comment_is_read(text: str, author: str) -> None:
    """No comment makes the reader raise."""
    assert parse(comment(text, author)) in (None, Report(False))
