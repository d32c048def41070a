"""`quarterdeck bump --key`: exactly the scalars that were named, wherever they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.charts_tree import NEW, OLD, Charts, helmfile, only, shared

VALUES = f"""\
main_app:
  image: wikimedia/citoid
  version: {OLD}
  ratelimiter:
    version: 9.0.4-1
sidecars:
  data.sync:
    image: wikimedia/sync
    version: "v1.0.0"
cronjobs:
  - name: one
    image_version: v1
  - name: two
    image_version: 'v1' # keep
mesh:
  image_version: 1.35.9-1
haproxy:
  version: '3.2.15-1'
php:
  exporter_version: 0.0.2
  httpd:
    image_tag: r/webserver:2021-07-26-084018-webserver
debug: {{image: "r/debug:v3"}}
replicas: 3
model_version: "20220720071937"
"""


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """A service with many tags."""
    return Charts(tmp_path).service(values=VALUES.replace("{{", "{").replace("}}", "}"))


def text(*pairs: tuple[str, str]) -> str:
    """The values with replacements."""
    after = VALUES.replace("{{", "{").replace("}}", "}")
    for old, new in pairs:
        assert after.count(old) == 1, old
        after = after.replace(old, new)
    return after


@pytest.mark.parametrize(
    ("key", "tag", "old", "new"),
    [
        ("main_app.version", NEW, f"version: {OLD}", f"version: {NEW}"),
        ("main_app.ratelimiter.version", "9.0.5", "9.0.4-1", "9.0.5"),
        (r"sidecars.data\.sync.version", "v1.1.0", '"v1.0.0"', '"v1.1.0"'),
        ("cronjobs.0.image_version", "v2", "image_version: v1\n", "image_version: v2\n"),
        ("cronjobs.1.image_version", "v2", "image_version: 'v1' #", "image_version: 'v2' #"),
        ("mesh.image_version", "1.36.0-1", "1.35.9-1", "1.36.0-1"),
        ("haproxy.version", "3.2.16-1", "'3.2.15-1'", "'3.2.16-1'"),
        ("php.httpd.image_tag", "x-webserver", "2021-07-26-084018-webserver", "x-webserver"),
        ("php.exporter_version", "0.0.3", "0.0.2", "0.0.3"),
        ("debug.image", "v4", "r/debug:v3", "r/debug:v4"),
    ],
)
def test_one_key(charts: Charts, key: str, tag: str, old: str, new: str) -> None:
    """Dots in a key are escaped, list items go by number, an image keeps its name; TAG stands apart or in the key."""
    for args in ([tag, "--key", key], ["--key", f"{key}={tag}"], [tag, "--key", f"values.yaml:{key}"]):
        changed, _ = charts.edit("citoid", *args)
        assert changed == only(("values.yaml", text((old, new))))


def test_several_keys_with_tags_of_their_own(charts: Charts) -> None:
    """One build, three suffixes: TAG may be left out."""
    changed, _ = charts.edit(
        "citoid", "--key", "main_app.version=a-web", "--key", r"values.yaml:sidecars.data\.sync.version=a-sync"
    )
    assert changed == only(("values.yaml", text((f"version: {OLD}", "version: a-web"), ('"v1.0.0"', '"a-sync"'))))


def test_a_tag_for_the_keys_that_bring_none(charts: Charts) -> None:
    """TAG fills in; a key's own wins."""
    changed, _ = charts.edit("citoid", NEW, "--key", "main_app.version", "--key", "haproxy.version=3.2.16-1")
    assert changed == only(("values.yaml", text((f"version: {OLD}", f"version: {NEW}"), ("3.2.15-1", "3.2.16-1"))))


def test_a_bare_path_means_every_file_that_holds_it(charts: Charts) -> None:
    """Staging's copy and values.yaml, but not the file without the key; FILE:PATH is that file alone."""
    staging = f"main_app:\n  version: {OLD}\n"
    charts.service("citoid", values_staging=staging, values_eqiad="main_app:\n  port: 1\n")
    changed, _ = charts.edit("citoid", NEW, "--key", "main_app.version")
    assert changed == only(
        ("values.yaml", text((f"version: {OLD}", f"version: {NEW}"))),
        ("values-staging.yaml", staging.replace(OLD, NEW)),
    )
    changed, _ = charts.edit("citoid", NEW, "--key", "values-staging.yaml:main_app.version")
    assert changed == only(("values-staging.yaml", staging.replace(OLD, NEW)))


@pytest.mark.parametrize(
    "key",
    [
        "main_app.versions",
        "nosuch.yaml:main_app.version",
        "main_app",
        "cronjobs.7.image_version",
        "cronjobs.image_version",
        "main_app.image",
        "replicas",
        "model_version",
        "cronjobs.0.name",
        "../twin/values.yaml:main_app.version",
        "/etc/passwd:main_app.version",
        "helmfile.yaml:helmDefaults.timeout",
    ],
)
def test_a_key_that_is_missing_or_no_tag_is_refused(charts: Charts, key: str) -> None:
    """Never an insertion, never another kind of value, never a file outside the service's directory."""
    charts.service("twin", values=shared())
    outcome = charts.bump("citoid", NEW, "--key", key)
    assert (outcome.status, outcome.out, bool(outcome.err.strip())) == (4, b"", True), outcome


def test_one_wrong_key_refuses_all(charts: Charts) -> None:
    """Nothing is half done."""
    charts.refused("citoid", NEW, "--key", "main_app.version", "--key", "main_app.nope")


def test_a_tag_is_needed_where_a_key_brings_none(charts: Charts) -> None:
    """A usage error."""
    charts.fails(2, "citoid", "--key", "main_app.version")
    charts.fails(2, "citoid", "--key", "main_app.version=a", "--key", "haproxy.version")


def test_a_key_that_holds_the_tag_is_nothing_to_change(charts: Charts) -> None:
    """Exit status 3."""
    charts.fails(3, "citoid", OLD, "--key", "main_app.version")


def test_helpers_move_by_key_only(charts: Charts) -> None:
    """A bump of the service leaves mesh, haproxy, the rate limiter and the model alone."""
    charts.put("helmfile.d/services/citoid/values.yaml", text().replace("sidecars:", "extras:"))
    changed, _ = charts.edit("citoid", NEW)
    after = text((f"version: {OLD}", f"version: {NEW}")).replace("sidecars:", "extras:")
    assert changed == only(("values.yaml", after))


def test_a_key_says_which_places_it_decides(charts: Charts) -> None:
    """A file of releases and one that no environment reads can both be named."""
    envs = {"staging": ["main", "test"]}
    test = f"main_app:\n  version: {OLD}\n"
    charts.service(helm=helmfile(envs), values_test=test)
    changed, _ = charts.edit("citoid", NEW, "--key", "values-test.yaml:main_app.version")
    assert changed == only(("values-test.yaml", test.replace(OLD, NEW)))


def test_a_key_with_an_equals_sign(charts: Charts) -> None:
    """The tag stands behind the last one."""
    charts.put("helmfile.d/services/citoid/values.yaml", 'a:\n  "k=v":\n    image_tag: x1\n')
    assert charts.edit("citoid", "--key", "a.k=v.image_tag=x2")[0] == only(
        ("values.yaml", 'a:\n  "k=v":\n    image_tag: x2\n')
    )
