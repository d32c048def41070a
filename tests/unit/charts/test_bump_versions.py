"""`quarterdeck versions`: which tag each environment and release has, and where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.worlds.charts_tree import NEW, OLD, Charts, helmfile, shared

ENVS = {"staging": ["main"], "eqiad": ["main", "canary"]}
COPY = f"main_app:\n  version: {NEW}\n"


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """Two services, and one of another group."""
    charts = Charts(tmp_path)
    charts.service(helm=helmfile(ENVS), values=shared() + "mesh:\n  image_version: 1.35.9-1\n", values_canary=COPY)
    charts.service("proton", values=shared("v1", "wikimedia/chromium"))
    charts.service("article", group="helmfile.d/ml-services", values='inference:\n  predictor:\n    image: "ml/x"\n')
    charts.put(
        "helmfile.d/ml-services/article/values.yaml",
        'inference:\n  predictor:\n    image: "ml/x"\n    image_version: "2026-01-01-000000-publish"\n'
        'revscoring_inference_services:\n  - name: en\n    version: "20220720071937"\n',
    )
    charts.put("helmfile.d/services/_example_/helmfile.yaml", helmfile())
    charts.put("helmfile.d/services/_example_/values.yaml", shared("example"))
    return charts


def cells(out: bytes, *words: str) -> list[str]:
    """Lines of the table that hold all words."""
    return [line for line in out.decode().splitlines() if all(word in line for word in words)]


def test_each_place_has_its_line(charts: Charts) -> None:
    """Environment, release, image, tag, file and line."""
    out = charts.run("versions", "citoid").out
    assert cells(out, "staging", "main", "wikimedia/citoid", OLD, "values.yaml:6")
    assert cells(out, "eqiad", "canary", "wikimedia/citoid", NEW, "values-canary.yaml:2")
    assert not cells(out, "proton")


def test_all_services_without_names(charts: Charts) -> None:
    """Directories in underscores are no services."""
    out = charts.run("versions").out
    assert cells(out, "citoid", OLD)
    assert cells(out, "proton", "codfw", "v1")
    assert b"example" not in out
    assert b"article" not in out


def test_groups(charts: Charts) -> None:
    """Several folders of services at once; a model's version is no tag."""
    args = ("--services-dir", "helmfile.d/services", "--services-dir", "helmfile.d/ml-services")
    outcome = charts.run("versions", *args)
    assert outcome.status == 0
    assert cells(outcome.out, "article", "2026-01-01-000000-publish")
    assert cells(outcome.out, "citoid", OLD)
    assert b"20220720071937" not in outcome.out


def flat(said: Any) -> list[dict[str, Any]]:
    """The rows, wherever they are nested."""
    if isinstance(said, dict) and "tag" in said:
        return [said]
    inner = said.values() if isinstance(said, dict) else said if isinstance(said, list) else []
    return [row for item in inner for row in flat(item)]


def test_json(charts: Charts) -> None:
    """The same as rows of fields."""
    outcome = charts.run("versions", "citoid", "--format", "json")
    rows = flat(outcome.json)
    canary = [row for row in rows if row["tag"] == NEW]
    assert [(r["environment"], r["release"], r["image"]) for r in canary] == [("eqiad", "canary", "wikimedia/citoid")]
    assert "values-canary.yaml" in str(canary[0]["file"])
    assert canary[0]["line"] == 2


def test_an_unknown_service_is_a_usage_error(charts: Charts) -> None:
    """Nothing on standard output."""
    outcome = charts.run("versions", "citiod")
    assert (outcome.status, outcome.out) == (2, b"")
    assert "citiod" in outcome.err


def test_a_broken_service_does_not_hide_the_others(charts: Charts) -> None:
    """Its trouble is said on stderr."""
    charts.put("helmfile.d/services/bad/helmfile.yaml", "\x00")
    charts.put("helmfile.d/services/bad/values.yaml", "a: [\n")
    outcome = charts.run("versions")
    assert cells(outcome.out, "citoid", OLD)
    assert "Traceback" not in outcome.err


def test_a_folder_without_services_is_a_usage_error(charts: Charts) -> None:
    """A mistyped --services-dir is not an empty table."""
    outcome = charts.run("versions", "--services-dir", "helmfile.d/servces")
    assert (outcome.status, outcome.out) == (2, b"")
