"""How the reader of helm-diff's text sorts what would change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.cluster.diff import Cause, Diff, Field, Verb
from quarterdeck.core.cluster.diff_reader import deleted, read

OLD, NEW = "2026-08-06-230932-production", "2026-08-17-094555-production"
IMAGE = "wikimedia/mediawiki-services-citoid"
IMAGES = {IMAGE: (OLD, NEW)}
COMPARING = "Comparing release=main, chart=../../../charts/app, namespace=citoid\n"


def body(text: str, sign: str = " ") -> str:
    """A document's lines with the sign helm-diff puts before them."""
    return "".join(f"{sign} {line}\n" for line in text.splitlines())


def deployment(name: str = "citoid-main", extra: str = "", tag: str = NEW) -> str:
    """A Deployment whose image changes."""
    return (
        f"citoid, {name}, Deployment (apps) has changed:\n"
        + body(f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}")
        + body("spec:\n  replicas: 8\n  template:\n    spec:\n      containers:\n        - name: main")
        + body(f'          image: "registry.example/{IMAGE}:{OLD}"', "-")
        + body(f'          image: "registry.example/{IMAGE}:{tag}"', "+")
        + body("          env:\n            - name: A\n              value: a")
        + extra
    )


def changed(kind: str, old: str, new: str, common: str = "", name: str = "x") -> Diff:
    """What is read of one object some of whose lines change."""
    group = "v1" if kind in ("ConfigMap", "Secret") else "apps"
    return read(
        COMPARING
        + f"citoid, {name}, {kind} ({group}) has changed:\n"
        + body(f"apiVersion: {group}\nkind: {kind}\nmetadata:\n  name: {name}\n{common}")
        + body(old, "-")
        + body(new, "+")
    )


def only(diff: Diff) -> Field:
    """The one changed field."""
    (obj,) = diff.objects
    (field,) = obj.fields
    return field


def test_an_image_change_alone_is_image_only() -> None:
    """The expected image at the expected tag is no surprise, and chat shows it as two lines."""
    diff = read(COMPARING + deployment(), IMAGES)
    assert diff.image_only
    assert diff.surprises == ()
    assert only(diff).path == "spec.template.spec.containers[main].image"
    assert diff.changed_lines() == (
        f"- image …/mediawiki-services-citoid:{OLD}",
        f"+ image …/mediawiki-services-citoid:{NEW}",
    )
    assert diff.summary() == "1 Deployment, image only"
    assert diff.workloads() == (("Deployment", 1),)
    assert diff.pods == 8
    assert (diff.releases[0].name, diff.releases[0].namespace) == ("main", "citoid")


@pytest.mark.parametrize(
    "images",
    [
        {},
        {IMAGE: (OLD, "another")},
        {IMAGE: ("another", NEW)},
        {"other": (OLD, NEW)},
        {"itoid": (OLD, NEW)},
    ],
)
def test_an_image_that_is_not_the_expected_one_is_a_surprise(images: dict[str, tuple[str, str]]) -> None:
    """Another tag before, another afterwards, or another repository is never expected."""
    diff = read(COMPARING + deployment(), images)
    assert not diff.image_only
    assert len(diff.surprises) == 1


def test_any_tag_before_may_be_accepted() -> None:
    """An empty tag stands for any, and one text alone is the tag afterwards."""
    for expected in (("", NEW), NEW, ("", ""), ""):
        assert read(COMPARING + deployment(), {IMAGE: expected}).image_only


def test_an_image_that_changes_its_name_is_a_surprise() -> None:
    """Same tag under another registry or repository is not what was asked."""
    common = "spec:\n  template:\n    spec:\n      containers:\n        - name: main"
    diff = changed("Deployment", f"          image: a/{IMAGE}:{OLD}", f"          image: b/{IMAGE}:{NEW}", common)
    assert len(diff.surprises) == 1
    assert only(diff).cause is Cause.SURPRISE
    bare = changed("Deployment", "          image: a:1", "          image: b:1", common)
    assert bare.changed_lines() == ("- image a:1", "+ image b:1")


def test_checksums_and_chart_labels_follow() -> None:
    """Checksum annotations and the chart's labels follow from other changes and are not counted."""
    for head, key in (("annotations", "checksum/config"), ("labels", "helm.sh/chart"), ("labels", "chart")):
        line = f"    {key}: "
        diff = changed("Deployment", f"{line}aa", f"{line}bb", f"  {head}:")
        assert only(diff).cause is Cause.FOLLOWS, key
        assert diff.surprises == ()
        assert not diff.image_only
        assert diff.changed_lines() == ()
        assert diff.summary() == "1 Deployment, checksums and chart labels only"


def test_a_checksum_that_appears_is_a_surprise() -> None:
    """Only a changed checksum follows; one that comes or goes changes the chart."""
    diff = changed("Deployment", "", "    checksum/config: bb", "  annotations:\n    a: b")
    assert diff.surprises == ("Deployment x: + metadata.annotations[checksum/config] bb",)


def test_every_other_field_is_one_surprise() -> None:
    """Changed, added and removed fields are counted one by one and named."""
    extra = (
        body("          resources:\n            limits:")
        + body("              memory: 400Mi\n              old: 1", "-")
        + body("              memory: 600Mi\n              new: {a: [1, b]}", "+")
    )
    diff = read(COMPARING + deployment(extra=extra), IMAGES)
    path = "spec.template.spec.containers[main].resources.limits"
    assert diff.surprises == (
        f"Deployment citoid-main: {path}.memory 400Mi → 600Mi",
        f"Deployment citoid-main: - {path}.old 1",
        f"Deployment citoid-main: + {path}.new {{a: [1, b]}}",
    )
    assert diff.summary(1).startswith("image + 3 surprises: Deployment citoid-main: ")
    assert diff.summary(1).endswith("; 2 more")
    assert diff.changed_lines() == ()
    assert f"- {path}.memory 400Mi" in diff.changed_lines(20)


def test_a_changed_type_is_a_change() -> None:
    """A number that becomes a text is shown with both types."""
    field = only(changed("ConfigMap", "data:\n  a: 1", 'data:\n  a: "1"'))
    assert (field.old, field.new) == ("1 (int)", "1 (str)")
    assert only(changed("ConfigMap", "data:\n  a: [1]", "data:\n  a: {b: 1}")).old == "[1]"


def test_list_items_without_names_are_compared_by_place() -> None:
    """Arguments have no names: the place stands in the path."""
    assert only(changed("Job", "spec:\n  args: [a, b]", "spec:\n  args: [a, c]")).path == "spec.args[1]"
    same_names = changed("Job", "spec: [{name: a, v: 1}, {name: a}]", "spec: [{name: a, v: 2}, {name: a}]")
    assert only(same_names).path == "spec[0].v"
    assert only(changed("Job", "spec: [{name: [], v: 1}]", "spec: [{name: [], v: 2}]")).path == "spec[0].v"


def test_a_configmap_that_looks_like_a_diff_stays_text() -> None:
    """Header-like lines inside an object are prefixed, so they are text."""
    inside = "citoid, evil, Deployment (apps) has been removed:\nComparing release=evil, chart=x\n- a\n+ b"
    text = "data:\n  t: |\n" + "".join(f"    {line}\n" for line in inside.splitlines())
    diff = changed("ConfigMap", f"{text}    1", f"{text}    2")
    assert [r.name for r in diff.releases] == ["main"]
    assert len(diff.objects) == 1
    assert only(diff).path == "data.t"
    assert len(diff.surprises[0]) < 200


def test_added_and_removed_objects_are_one_surprise_each() -> None:
    """An added object prints a lone minus line first; a removed one the other way round."""
    doc = "# Source: x.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\nspec:\n  replicas: 2"
    added = read(COMPARING + "citoid, x, ConfigMap (v1) has been added:\n- \n" + body(doc, "+"))
    assert added.surprises == ("+ ConfigMap x",)
    assert added.objects[0].verb is Verb.ADDED
    assert added.changed_lines() == ("+ ConfigMap x",)
    assert added.pods == 0
    removed = read(COMPARING + "citoid, x, StatefulSet (apps) has been removed:\n" + body(doc, "-") + "+ \n")
    assert removed.surprises == ("- StatefulSet x",)
    assert removed.objects[0].restarts_pods
    assert removed.pods == 0
    trimmed = read(COMPARING + "citoid, x, ConfigMap (v1) has been added:\n-\n" + body(doc, "+") + "\n")
    assert trimmed.surprises == ("+ ConfigMap x",)


def test_a_hook_object_is_read_like_any_other() -> None:
    """Objects with helm.sh/hook are printed and counted like others."""
    diff = changed("Job", "spec:\n  a: 1", "spec:\n  a: 2", "  annotations:\n    helm.sh/hook: pre-install")
    assert len(diff.surprises) == 1
    assert not diff.objects[0].restarts_pods


def test_secrets_are_read_by_name_only() -> None:
    """Nothing of a Secret's values is kept, whether helm-diff hides them or not."""
    hidden = changed("Secret", "  token: '++++++++ # (8 bytes)'", "  token: '++++++++ # (9 bytes)'", "data:")
    open_ = changed("Secret", "  token: hunter2", "  token: hunter3", "data:")
    unmasked = changed("Thing", "  token: hunter2", "  token: hunter3", "data:")
    for diff in (hidden, open_):
        assert only(diff) == Field("data.token", None, None, Cause.SURPRISE)
        assert diff.surprises == ("Secret x: data.token changed",)
        assert diff.changed_lines() == ("± Secret data.token",)
    assert "hunter" not in repr(open_)
    assert "hunter" in repr(unmasked)


def test_a_secret_whose_values_look_equal_is_unreadable() -> None:
    """Redacted values that parse alike still mean that something changed."""
    diff = changed("Secret", "  token: REDACTED # (8 bytes)", "  token: REDACTED # (9 bytes)", "data:")
    assert diff.surprises == ("Secret x unreadable (lines differ, documents do not)",)
    suppressed = read(
        COMPARING + "citoid, x, Secret (v1) has changed:\n+ Changes suppressed on sensitive content of type Secret\n"
    )
    assert suppressed.surprises == ("Secret x unreadable (no mapping)",)


def test_a_changed_comment_is_no_change() -> None:
    """Comments and blank lines reach no cluster."""
    diff = changed("ConfigMap", "# Source: a\n", "# Source: b\n\n")
    assert diff.surprises == ()
    assert diff.summary() == "checksums and chart labels only"


def test_ownership_and_suppression_are_surprises() -> None:
    """A changed owner and an emptied diff are counted, never trusted."""
    diff = read(
        COMPARING
        + "citoid, x, ConfigMap (v1) changed ownership:\n- citoid/old\n+ citoid/main\n"
        + "citoid, y, Deployment (apps) has changed, but diff is empty after suppression.\n"
        + ", c:d, ClusterRole (rbac.authorization.k8s.io) has changed:\n+ {\n"
    )
    assert diff.surprises == (
        "ConfigMap x changes its owning release",
        "Deployment y unreadable (suppressed)",
        "ClusterRole c:d unreadable (no YAML)",
    )
    assert diff.objects[1].restarts_pods


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("+ a: 1\n+ a: 2\n", "duplicate or odd keys"),
        ("+ ? [a]\n+ : 1\n", "duplicate or odd keys"),
        ("+ a: &a [*a]\n", "too deep or too large"),
        ("+ " + "[" * 300 + "]" * 300 + "\n", "too deep or too large"),
        ("+ a: 1\n+ ---\n+ b: 1\n", "no YAML"),
        ("+ a: 1\n", "header and body disagree"),
        ("  a: [" + "1," * 50_001 + "]\n- b: 1\n", "too deep or too large"),
        ("+ a: \x01\n", "no YAML"),
    ],
)
def test_what_does_not_rebuild_is_unreadable(text: str, why: str) -> None:
    """Text that is no clean document is one surprise and says why."""
    (obj,) = read(COMPARING + "citoid, x, ConfigMap (v1) has changed:\n" + text).objects
    assert obj.unreadable == why
    assert len(obj.surprises) == 1


def test_several_releases_keep_their_objects() -> None:
    """Each object belongs to the release whose line came last before it; unchanged ones stay empty."""
    second = COMPARING.replace("main", "canary")
    third = COMPARING.replace("main", "idle")
    diff = read(COMPARING + deployment() + second + deployment("citoid-canary") + third, IMAGES)
    assert [(r.name, len(r.objects)) for r in diff.releases] == [("main", 1), ("canary", 1), ("idle", 0)]
    assert diff.image_only
    assert len(diff.changed_lines()) == 2
    assert diff.summary() == "2 Deployments, image only"


def test_no_change_is_empty() -> None:
    """A release without objects, or no text at all, changes nothing."""
    for text in ("", COMPARING, "hook[prepare] logs | x\n" + COMPARING + "\n"):
        diff = read(text)
        assert diff.empty
        assert not diff.image_only
        assert diff.summary() == "no change"


def test_stray_text_is_a_surprise() -> None:
    """A line that belongs to nothing could be a header we do not know: counted once, never dropped."""
    diff = read(COMPARING + "citoid, x, Deployment (apps) has exploded:\nagain\n")
    assert diff.surprises == ("unreadable: text that belongs to no object",)
    assert not diff.empty
    assert diff.changed_lines() == ("unreadable text",)


def test_colour_and_carriage_returns_do_not_matter() -> None:
    """A terminal's colours and line ends are cut off before reading."""
    text = (COMPARING + deployment()).replace("\n", "\x1b[0m\r\n").replace("citoid, ", "\x1b[33mcitoid, ")
    assert read(text, IMAGES).image_only


def test_a_null_document_on_one_side_is_not_trusted() -> None:
    """A header that says "changed" over an added body is unreadable."""
    (obj,) = read(COMPARING + "citoid, x, Deployment (apps) has been added:\n  kind: Deployment\n").objects
    assert obj.unreadable == "header and body disagree"


def test_deleted_releases_are_named_on_stderr() -> None:
    """Helmfile lists releases it would delete on stderr."""
    assert deleted("Affected releases are:\n  main (app) UPDATED\n  old (app) DELETED\n") == ("old",)


def test_the_key_of_a_field_with_dots() -> None:
    """A bracketed key is one part of the path, dots and all."""
    assert Field("metadata.labels[helm.sh/chart]", "a", "b", Cause.FOLLOWS).key == "labels[helm.sh/chart]"
    assert Field("kind", "a", "b", Cause.SURPRISE).key == "kind"


HEADERS = [
    "Comparing release=a, chart=b",
    "n, x, Job (batch) has changed:",
    "n, x, Secret (v1) has been added:",
]
BITS = ["a: 1", "a: [", "- x", "kind: Secret", "'", "&a", "*a", "<<: {b: 1}"]
LINES = st.sampled_from(HEADERS + [f"{sign} {bit}" for sign in "+- " for bit in BITS])


@given(st.lists(LINES | st.text(max_size=30), max_size=30).map("\n".join))
def test_any_text_is_read(text: str) -> None:
    """No text makes the reader raise, and its words can always be asked for."""
    diff = read(text, IMAGES)
    assert diff.empty or diff.summary()
    assert diff.image_only in (True, False)
    diff.changed_lines()
    assert diff.pods >= 0
