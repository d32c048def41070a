"""Deploys parts of a service and groups of services on the real servers: by name, together, and nothing else."""

import re
from collections.abc import Iterator

import pytest

from tests.running import RunningSandbox
from tests.sandbox.live import Live

pytestmark = pytest.mark.sandbox

PARTED = "wikifunctions"
BOXES = ("shellbox", "shellbox-constraints")
EVALUATORS = ("function-evaluator-javascript", "function-evaluator-python")


@pytest.fixture(scope="module")
def live(sandbox: RunningSandbox) -> Iterator[Live]:
    """A bot, and the services installed in staging."""
    made = Live(sandbox.name, sandbox.found)
    try:
        for service in (PARTED, *BOXES):
            made.install(service, "staging")
        made.start()
        yield made
    finally:
        made.close()


def evaluators(live: Live) -> str:
    """A fresh tag that both evaluators' images have."""
    tag = live.push(EVALUATORS[0])
    live.push_tag(EVALUATORS[1], tag)
    return tag


def test_a_service_in_parts_asks_which(live: Live) -> None:
    """Each part with its tags and files, and a command to paste; nothing is done."""
    said = live.answer(f"!deploy {PARTED} staging")
    assert "which part? wikifunctions/orchestrator (" in said
    assert "wikifunctions/evaluators (2 files, " in said
    assert re.search(r"E\.g\. !deploy wikifunctions/\w+ staging( TAG)?\. Nothing done$", said), said
    assert "no part nosuch" in live.answer(f"!deploy {PARTED}/nosuch staging")


def test_one_part_moves_and_the_other_stays(live: Live) -> None:
    """Both evaluators, two files in one change, two releases applied; the orchestrator is not touched."""
    before, tag = live.git_file(PARTED, "values-main-orchestrator.yaml"), evaluators(live)
    revision = live.history(PARTED, "staging", "main-orchestrator")[-1]["revision"]
    order = live.order(f"!deploy {PARTED}/evaluators staging {tag}")
    assert " wikifunctions/evaluators staging " in order.first.text
    assert "2/2 new pods" in live.succeeds(order)
    for name in ("values-javascript-evaluator.yaml", "values-python-evaluator.yaml"):
        assert tag in live.git_file(PARTED, name)
    assert live.git_file(PARTED, "values-main-orchestrator.yaml") == before
    assert live.history(PARTED, "staging", "main-orchestrator")[-1]["revision"] == revision
    (change,) = live.charts_changes(order.number)
    assert change["subject"] == f"wikifunctions/evaluators: bump to {tag}"[:100]
    assert len(live.applied(order)) == 1
    versions = live.answer(f"!versions {PARTED}/evaluators")
    assert tag.removesuffix("-production") in versions


def test_an_image_that_one_of_a_part_lacks_is_refused(live: Live) -> None:
    """The registry is asked for every image of the part, before anything is written."""
    tag = live.push(EVALUATORS[0])
    said = live.answer(f"!deploy {PARTED}/evaluators staging {tag}")
    assert f"{EVALUATORS[1]}:{tag} is not in the registry. Nothing done" in said


def test_a_shared_tag_is_not_moved_for_one_service_unasked(live: Live) -> None:
    """The file, who shares it, and both ways to go on."""
    said = live.answer("!deploy shellbox staging")
    assert "shellbox/global.yaml holds one tag for 2 services. !deploy @shellbox staging applies all 2" in said
    assert "!deploy shellbox staging --alone. Nothing done" in said


def test_a_group_is_one_change_and_one_apply_each(live: Live) -> None:
    """One number, one edit at the file's real path, the services one after the other, each with its own flavour."""
    tag = live.push_boxes()
    order = live.order(f"!deploy @shellbox staging {tag}")
    assert " @shellbox staging " in order.first.text
    assert "2 services, one after the other" in order.first.text
    assert "@shellbox staging OK" in live.succeeds(order)
    assert f'version: "{tag}"' in live.git_file("shellbox", "global.yaml")
    assert [c["subject"] for c in live.charts_changes(order.number)] == [f"shellbox: bump to {tag}"]
    assert live.runs("shellbox", "staging", f"{tag}-score")
    assert live.runs("shellbox-constraints", "staging", f"{tag}-constraints")
    assert len(live.applied(order)) == 2
    assert len(live.sal(order, "staging", "START")) == len(live.sal(order, "staging", "DONE")) == 2


def test_one_of_a_group_alone_leaves_the_others_pending(live: Live) -> None:
    """Git moves for all, the cluster for one; the others are debts until they are applied."""
    tag, old = live.push_boxes(), live.pods("shellbox-constraints", "staging")
    order = live.order(f"!deploy shellbox staging {tag} --alone")
    verdict = live.succeeds(order)
    assert "staging of shellbox-constraints" in verdict
    assert live.runs("shellbox", "staging", f"{tag}-score")
    assert live.pods("shellbox-constraints", "staging") == old
    assert re.search(r"pending: .*shellbox-constraints staging", live.answer("!status"))
    paid = live.order("!apply shellbox-constraints staging")
    live.succeeds(paid)
    assert live.runs("shellbox-constraints", "staging", f"{tag}-constraints")
    assert "shellbox-constraints staging" not in live.answer("!status")


def test_a_flavour_that_is_missing_is_refused(live: Live) -> None:
    """The bystander's image counts too: whoever applies it next would get nothing."""
    tag = live.push_boxes(("score",))
    said = live.answer(f"!deploy shellbox staging {tag} --alone")
    assert f"mediawiki-services-shellbox:{tag}-constraints is not in the registry. Nothing done" in said


def test_a_group_goes_back_together(live: Live) -> None:
    """Each service to the tag it ran, in one change."""
    before = live.git_file("shellbox", "global.yaml")
    tag = live.push_boxes()
    live.succeeds(live.order(f"!deploy @shellbox staging {tag}"))
    live.succeeds(live.order("!rollback @shellbox staging"))
    assert live.git_file("shellbox", "global.yaml") == before
    assert not live.runs("shellbox", "staging", f"{tag}-score")


def test_a_pin_is_a_file_of_its_own(live: Live) -> None:
    """The environment gets a copy; the shared file and everybody else stay as they are."""
    shared = live.git_file("wikifeeds")
    live.install("wikifeeds", "staging")
    tag = live.push("wikifeeds")
    live.succeeds(live.order(f"!deploy wikifeeds staging {tag} --pin"))
    assert live.git_file("wikifeeds") == shared
    assert tag in live.git_file("wikifeeds", "values-staging.yaml")
    assert live.runs("wikifeeds", "staging", tag)


def test_a_group_survives_a_bot_that_dies_between_its_members(live: Live) -> None:
    """Killed before the vote, after the first member's apply, and before and after the second's: each effect is once."""
    tag, second = live.push_boxes(), "shellbox-constraints/staging"
    revisions = {box: live.history(box, "staging")[-1]["revision"] for box in BOXES}
    live.start("merge:intended")
    order = live.order(f"!deploy @shellbox staging {tag}")
    live.wait_dead()
    for point in ("apply/staging:done", f"apply/{second}:intended", f"apply/{second}:done"):
        live.start(point, ready=False)
        live.wait_dead()
    live.start()
    live.succeeds(order)
    assert [c["status"] for c in live.charts_changes(order.number)] == ["MERGED"]
    assert len(live.applied(order)) == 2
    for box, flavour in zip(BOXES, ("score", "constraints"), strict=True):
        assert live.history(box, "staging")[-1]["revision"] == revisions[box] + 1
        assert live.runs(box, "staging", f"{tag}-{flavour}")
        for word in ("START", "DONE"):
            said = [x for x in live.sal(order, "staging", word) if f"services/{box}:" in x]
            assert len({x.partition("!log ")[2].removesuffix(" (again)") for x in said}) == 1, said
