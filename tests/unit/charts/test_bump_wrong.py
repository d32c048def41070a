"""What a bump must not take for a service's image tag, and what it must not overlook."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from quarterdeck.core.charts.editing.patch import unified
from quarterdeck.core.charts.editing.request import FileChange
from quarterdeck.core.charts.editing.splice import Span
from tests.worlds.charts_tree import NEW, OLD, Charts, helmfile, only, shared


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


@pytest.mark.parametrize(
    ("values", "staging", "more"),
    [
        (f"image:\n  repository: w/svc\n  tag: {OLD}\n", "image:\n  tag: on\n", ()),
        (f"job:\n  image: w/svc:{OLD}\n", "job:\n  image: w/svc\n", ()),
        (
            "inference_services:\n  foo:\n    image: w/m\n    version: '1'\n",
            "inference_services:\n  foo:\n    version: '2'\n",
            (),
        ),
        (
            f"{shared()}sidecars:\n  x:\n    image: w/x\n    version: '1'\n",
            "sidecars: null\n",
            ("--part", "x"),
        ),
    ],
)
def test_what_stands_above_a_tag_hides_it(charts: Charts, values: str, staging: str, more: tuple[str, ...]) -> None:
    """Whatever a higher file has at the place of a tag decides, so the tag below is not the environment's."""
    charts.service(values=values, values_staging=staging)
    charts.refused("citoid", NEW, "--env", "staging", *more)
    assert charts.bump("citoid", NEW, "--env", "eqiad", *more).status == 0


@pytest.mark.parametrize("version", ["1.10", "12", "2026-01-01", "0x1F"])
def test_a_tag_that_yaml_reads_as_no_string_is_quoted(charts: Charts, version: str) -> None:
    """Helm writes 1.1 for a plain 1.10: quotes are what changes."""
    changed, _ = charts.service(values=shared(version)).edit("citoid", version)
    assert changed == only(("values.yaml", shared(f'"{version}"')))


@pytest.mark.parametrize("version", ["yes", "1e5"])
def test_what_some_readers_take_for_no_string_is_quoted(charts: Charts, version: str) -> None:
    """Helm's reader is Go's, which knows more numbers than ours."""
    out = charts.service(values=shared(version)).bump("citoid", version).out
    assert f'+  version: "{version}"'.encode() in out


@pytest.mark.parametrize("version", ['"1.10"', "'1e5'", "!!str 1.10", OLD])
def test_a_string_that_is_there_is_nothing_to_change(charts: Charts, version: str) -> None:
    """Quoted, said to be a string, or a string as it stands."""
    tag = version.removeprefix("!!str ").strip("\"'")
    assert "nothing to change" in charts.service(values=shared(version)).fails(3, "citoid", tag)


def test_a_sharer_that_cannot_be_read_is_named(charts: Charts) -> None:
    """What the edit does to it cannot be told."""
    charts.service(values=shared()).service("other", values_staging="main_app: [\n")
    charts.link("helmfile.d/services/other/values.yaml", "../citoid/values.yaml")
    said = charts.bump("citoid", NEW, "--format", "json")
    assert said.status == 4
    (refusal,) = said.json["refusals"]
    assert (refusal["code"], refusal["file"]) == ("shared", "helmfile.d/services/other/values-staging.yaml")


def test_doubles_on_the_way_to_a_tag_are_refused(charts: Charts) -> None:
    """Of two blocks readers take the last, or both, or none."""
    staging = f"main_app:\n  version: {OLD}\nmain_app:\n  port: 1\n"
    charts.service(values=shared(), values_staging=staging)
    assert "stands there twice" in charts.refused("citoid", NEW, "--env", "eqiad")
    assert "stands there twice" in charts.refused("citoid", NEW)


def _changed(path: str, text: str, *spans: Span) -> FileChange:
    new = text
    for span in reversed(spans):
        new = new[: span.start] + span.new + new[span.end :]
    return FileChange(path, text.encode(), new.encode(), spans)


def test_a_diff_of_a_long_file_is_quick(tmp_path: Path) -> None:
    """Two insertions far apart among equal lines: the places are known, nothing is searched for."""
    text = "a:\n  z: 1\nx:\n" + "  - a\n" * 60_000 + "b:\n  z: 1\n"
    end = text.index("b:\n") + 3
    change = _changed("values.yaml", text, Span(3, 3, "  v: 1\n", "a.v", 2), Span(end, end, "  v: 1\n", "b.v", 60005))
    began = time.perf_counter()
    diff = unified([change])
    assert time.perf_counter() - began < 2
    (tmp_path / "values.yaml").write_text(text)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=diff, check=True)
    assert (tmp_path / "values.yaml").read_bytes() == change.new
    assert diff.count(b"\n@@") == 2
    assert diff.count(b"\n+  v: 1") == 2


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_diff_is_exact_at_the_ends(tmp_path: Path, end: str) -> None:
    """First and last character, two spans in one line, one over several lines, a new last line."""
    text = f"a: 1\nb: 2\nc: 3\nd: 4\ne: 5{end}"
    size = len(text)
    for spans in (
        [Span(0, 1, "z", "", 1)],
        [Span(3, 4, "9", "", 1), Span(size, size, "\nf: 6\n", "", 5)],
        [Span(5, 6, "x", "", 2), Span(8, 9, "8", "", 2)],
        [Span(5, 15, "", "", 2)],
        [Span(8, 14, "7", "", 2), Span(14, 14, "0", "", 3), Span(20, size, "x", "", 5)],
        [Span(0, size, "a: 1\n", "", 1)],
    ):
        change = _changed("values.yaml", text, *spans)
        (tmp_path / "values.yaml").write_text(text)
        subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=unified([change]), check=True)
        assert (tmp_path / "values.yaml").read_bytes() == change.new


def test_a_service_that_runs_another_image_than_the_catalogue_says(charts: Charts) -> None:
    """The tag asked for is of the catalogue's image: another image's tag is moved where it is named only."""
    place = charts.scratch / "catalogue.yaml"
    charts.service(values=shared(image="w/other"))
    place.write_text("services: {citoid: {image: wikimedia/citoid}}\n")
    said = charts.refused("citoid", NEW, "--catalogue", str(place))
    assert "wikimedia/citoid" in said
    assert "other (w/other)" in said
    assert "--part other" in said
    assert charts.edit("citoid", NEW, "--catalogue", str(place), "--part", "other")[0] == only(
        ("values.yaml", shared(NEW, "w/other"))
    )


def test_an_environment_that_runs_another_image_is_a_part_of_its_own(charts: Charts) -> None:
    """Named alone it is no place for the catalogue's image; without a name it is left as it is."""
    place = charts.scratch / "catalogue.yaml"
    place.write_text("services: {citoid: {image: wikimedia/citoid}}\n")
    charts.service(values=shared(), values_staging=shared(image="w/other"))
    args = ("citoid", NEW, "--catalogue", str(place))
    assert charts.edit(*args)[0] == only(("values.yaml", shared(NEW)))
    assert "w/other" in charts.refused(*args, "--env", "staging")


def test_an_image_that_only_the_chart_knows_is_the_services(charts: Charts) -> None:
    """Nothing in the files speaks against the catalogue."""
    place = charts.scratch / "catalogue.yaml"
    place.write_text("services: {citoid: {image: wikimedia/citoid}}\n")
    values = f"main_app:\n  version: {OLD}\n"
    changed, _ = charts.service(values=values).edit("citoid", NEW, "--catalogue", str(place))
    assert changed == only(("values.yaml", values.replace(OLD, NEW)))


@pytest.mark.parametrize("folder", ["./helmfile.d/services", "helmfile.d//services", "helmfile.d/x/../services/"])
def test_a_folder_may_be_spelled_as_people_do(charts: Charts, folder: str) -> None:
    """One folder, one name in the diff."""
    charts.service(values=shared())
    said = charts.bump("citoid", NEW, "--services-dir", folder)
    assert (said.status, said.out) == (0, charts.bump("citoid", NEW).out)
    assert charts.run("versions", "citoid", "--services-dir", folder).status == 0


def test_nothing_outside_of_the_checkout_is_a_folder_of_services(charts: Charts) -> None:
    """Neither by its name nor by a symlink."""
    charts.service(values=shared())
    before = charts.state()
    (charts.root / "sub").mkdir()
    for folder in ("../helmfile.d/services", "..", "link"):
        (charts.root / "sub/link").unlink(missing_ok=True)
        (charts.root / "sub/link").symlink_to("../helmfile.d/services")
        args = ("bump", "citoid", NEW, "--services-dir", folder, "--write")
        assert charts.run(*args, root=charts.root / "sub").status == 2
    (charts.root / "sub/link").unlink()
    assert charts.state() == before


@pytest.mark.parametrize("target", ["../b/values-staging.yaml", "/nowhere/x.yaml", "OUTSIDE", "values-staging.yaml"])
def test_a_link_that_leads_nowhere_is_no_place_for_a_pin(charts: Charts, target: str) -> None:
    """It is there and cannot be read: it stays as it is."""
    outside = charts.scratch / "outside.yaml"
    outside.write_text("main_app:\n  version: outside\n")
    charts.service(values=shared())
    charts.link("helmfile.d/services/citoid/values-staging.yaml", target.replace("OUTSIDE", str(outside)))
    before = charts.state()
    for more in (("--env", "staging", "--pin"), ()):
        assert charts.run("bump", "citoid", NEW, "--write", *more).status == 4
    assert charts.state() == before
    assert "values-staging.yaml" in charts.refused("citoid", NEW, "--env", "staging", "--pin")


def test_a_linked_folder_outside_is_not_walked(charts: Charts) -> None:
    """It may be huge; what the helmfile names there is not written either."""
    charts.service(values=shared(), helm=helmfile(layers=("values.yaml", "x/values-ENV.yaml")))
    (charts.scratch / "far").mkdir()
    charts.link("helmfile.d/services/citoid/x", str(charts.scratch / "far"))
    charts.link("helmfile.d/services/citoid/usr", "/usr")
    began = time.perf_counter()
    assert charts.bump("citoid", NEW).status == 0
    assert time.perf_counter() - began < 2
    charts.run("bump", "citoid", NEW, "--env", "staging", "--pin", "--write")
    assert not list((charts.scratch / "far").iterdir())
