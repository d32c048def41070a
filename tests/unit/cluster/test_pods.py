"""Pods as people look at them, and what serves, where a service has several images and tags that git does not know."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck.core.cluster.pods import pods, serving

JS, PY, BOX = "wikimedia/evaluator-javascript", "wikimedia/evaluator-python", "wikimedia/shellbox"
ENVOY = "envoy:1.2"


def pod(name: str, *references: str, ready: bool = True) -> dict[str, Any]:
    """A pod with a container for each image reference."""
    return {
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": r, "image": f"registry.example/{r}"} for r in references]},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def tags(objects: list[dict[str, Any]], images: tuple[str, ...] = (), suffixes: tuple[str, ...] = ()) -> list[str]:
    """The tag of each pod, by the pods' names."""
    return [p.tag for p in pods(objects, images, suffixes)]


def test_each_image_of_a_service_counts() -> None:
    """Pods of either repository serve, those of others do not; a pod that runs two tags counts for both."""
    objects = [
        pod("a", ENVOY, f"{JS}:new"),
        pod("b", f"{PY}:new", ready=False),
        pod("c", f"{PY}:old"),
        pod("d", f"{JS}:new", f"{PY}:old"),
        pod("e", f"{JS}:new", f"{PY}:new"),
        pod("f", f"{BOX}:new"),
    ]
    assert serving(objects, [JS, PY]) == {"new": (3, 4), "old": (2, 2)}
    assert serving(objects, {PY}) == {"new": (1, 2), "old": (2, 2)}
    assert tags(objects, (PY, JS)) == ["new", "new", "old", "new", "new", "new"]
    assert tags(objects, (PY,)) == ["1.2", "new", "old", "old", "new", "new"]


def test_without_images_the_first_container_is_shown_and_nothing_serves() -> None:
    """A service whose image nobody knows still has pods."""
    objects = [pod("a", ENVOY, f"{JS}:new"), pod("b", f"{JS}:new"), pod("c")]
    assert tags(objects) == ["1.2", "new", ""]
    assert serving(objects, ()) == {}


@pytest.mark.parametrize(
    ("tag", "suffixes", "told"),
    [
        ("T-score83", ("-score83", "-score81"), "T"),
        ("T-score81", ("-score83", "-score81"), "T"),
        ("T-fpm-score83", ("-score83", "-fpm-score83"), "T"),
        ("T-fpm-score83", ("-fpm-score83", "-score83", ""), "T"),
        ("T-fpm-score83", ("-score83",), "T-fpm"),
        ("T-score83-score83", ("-score83",), "T-score83"),
        ("T-media83", ("-score83",), "T-media83"),
        ("-score83", ("-score83",), "-score83"),
        ("T-score83", (), "T-score83"),
        ("", ("", "-score83"), ""),
    ],
)
def test_tags_are_told_as_git_has_them(tag: str, suffixes: tuple[str, ...], told: str) -> None:
    """The longest end that fits is cut off once, and a tag is never cut to nothing."""
    objects = [pod("a", f"{BOX}:{tag}" if tag else BOX)]
    assert serving(objects, [BOX], suffixes) == {told: (1, 1)}
    assert tags(objects, (BOX,), suffixes) == [told]
    assert tags(objects, (), suffixes) == [told]


def test_flavours_of_one_tag_are_one_tag() -> None:
    """Two flavours in two pods add up, and in one pod count once."""
    ends = ("-score83", "-score81")
    objects = [pod("a", f"{BOX}:T-score83"), pod("b", f"{BOX}:T-score81", ready=False)]
    assert serving(objects, [BOX], ends) == {"T": (1, 2)}
    assert serving([pod("c", f"{BOX}:T-score83", f"{BOX}:T-score81")], [BOX], ends) == {"T": (1, 1)}
    assert serving([pod("c", f"{BOX}:T-score83", f"{BOX}:T-score81")], [BOX]) == {
        "T-score83": (1, 1),
        "T-score81": (1, 1),
    }
