"""What a bump must not take for a service's image tag, and what it must not overlook."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.charts_tree import NEW, OLD, Charts, only, shared


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """An empty checkout."""
    return Charts(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        "syslog:\n  tag: citoid\n",
        f"docker:\n  registry: r\nsyslog:\n  tag: {OLD}\n",
        "banner:\n  image: /static/logo.png\n  version: 3\n",
        "banner:\n  image: static/logo.svg\n  version: 3\n",
    ],
)
def test_what_is_no_image_is_not_the_service(charts: Charts, values: str) -> None:
    """The only tag of a file is the service's only if it is an image's."""
    assert "citoid has no main image tag" in charts.service(values=values).refused("citoid", NEW)


def test_a_tag_beside_a_repository_is_the_service(charts: Charts) -> None:
    """Where no main block is, the only image is the service; its name may stand in another file, or in the chart."""
    values = f"server:\n  repository: w/svc\n  tag: {OLD}\n"
    staging = f"server:\n  tag: {OLD}\n"
    charts.service(values=values, values_staging=staging)
    assert charts.bump("citoid", NEW).out.count(f"+  tag: {NEW}".encode()) == 2
    (charts.root / "helmfile.d/services/citoid/values-staging.yaml").unlink()
    values = f"image:\n  tag: {OLD}\n"
    assert charts.service(values=values).edit("citoid", NEW, "--env", "eqiad")[0] == only(
        ("values.yaml", values.replace(OLD, NEW))
    )


def test_a_key_moves_only_what_looks_like_a_tag(charts: Charts) -> None:
    """A pattern for log lines is no image tag, whatever its key is called."""
    values = shared() + f'monitor:\n  tag: "kube.*"\nother:\n  tag: {OLD}\n'
    charts.service(values=values)
    assert "monitor.tag is no image tag" in charts.refused("citoid", NEW, "--key", "monitor.tag")
    assert charts.edit("citoid", NEW, "--key", "other.tag")[0] == only(
        ("values.yaml", values.replace(f"other:\n  tag: {OLD}", f"other:\n  tag: {NEW}"))
    )
