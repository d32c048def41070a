"""`quarterdeck bump` by environment and release: which scalars move, what is said, how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds.charts_tree import DEEP, NEW, OLD, Charts, helmfile, only, shared

CANARY = {"staging": ["staging"], "eqiad": ["production", "canary"], "codfw": ["production", "canary"]}
OLD_STYLE = """\
helmDefaults:
  args:
    - --kubeconfig=/etc/kubernetes/wikifeeds-x.config
releases:
  - name: production
    namespace: wikifeeds
    chart: stable/wikifeeds
    values:
      - values.yaml
      - private/secrets.yaml
    hooks:
      - events: ["presync"]
        command: "helmfile_log_sal"
        args: ["{{`{{.HelmfileCommand}}`}}"]
"""
COPY = f"main_app:\n  version: {OLD}\n  port: 1\n"


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """An empty checkout."""
    return Charts(tmp_path)


def test_the_shared_scalar_moves(charts: Charts) -> None:
    """One values.yaml for three environments: one line changes."""
    changed, outcome = charts.service(values=shared()).edit("citoid", NEW)
    assert changed == only(("values.yaml", shared(NEW)))
    assert (
        outcome.out.startswith(b"--- a/helmfile.d/services/citoid/values.yaml\n+++ b/") or b"diff --git" in outcome.out
    )
    assert outcome.out.count(b"\n-") == 2
    assert outcome.out.count(b"\n+") >= 1


def test_without_env_a_staging_copy_moves_too(charts: Charts) -> None:
    """Own copies of single environments are moved, none is removed."""
    charts.service(values=shared(), values_staging=COPY)
    assert charts.edit("citoid", NEW)[0] == only(
        ("values.yaml", shared(NEW)), ("values-staging.yaml", COPY.replace(OLD, NEW))
    )


def test_without_env_a_copy_with_another_tag_moves_too(charts: Charts) -> None:
    """Every existing scalar that holds the main tag goes to TAG, whatever stood there."""
    other = COPY.replace(OLD, "2026-08-10-111111-production")
    charts.service(values=shared(), values_staging=other)
    assert charts.edit("citoid", NEW)[0] == only(
        ("values.yaml", shared(NEW)), ("values-staging.yaml", COPY.replace(OLD, NEW))
    )


def test_without_env_a_copy_that_has_the_tag_already_stays(charts: Charts) -> None:
    """Production follows staging: only values.yaml changes."""
    charts.service(values=shared(), values_staging=COPY.replace(OLD, NEW))
    assert charts.edit("citoid", NEW)[0] == only(("values.yaml", shared(NEW)))


def test_without_env_files_of_releases_move(charts: Charts) -> None:
    """A test release with a copy of its own moves with the rest."""
    envs = {"staging": ["staging", "test"], "eqiad": ["production"]}
    charts.service(helm=helmfile(envs), values=shared(), values_test=COPY)
    assert charts.edit("citoid", NEW)[0] == only(
        ("values.yaml", shared(NEW)), ("values-test.yaml", COPY.replace(OLD, NEW))
    )


def test_env_on_a_shared_scalar_names_the_others(charts: Charts) -> None:
    """Asked for staging, values.yaml also decides eqiad and codfw: it moves, and stderr says so."""
    changed, outcome = charts.service(values=shared()).edit("citoid", NEW, "--env", "staging")
    assert changed == only(("values.yaml", shared(NEW)))
    assert "eqiad" in outcome.err
    assert "codfw" in outcome.err
    side = charts.bump("citoid", NEW, "--env", "staging", "--format", "json").json["side_effects"]
    assert "eqiad" in str(side)
    assert "codfw" in str(side)
    assert "staging" not in str(side)


def test_env_with_a_copy_of_its_own_moves_that_alone(charts: Charts) -> None:
    """Staging decides for itself: nothing else moves and nothing is said."""
    charts.service(values=shared(), values_staging=COPY)
    changed, outcome = charts.edit("citoid", NEW, "--env", "staging")
    assert changed == only(("values-staging.yaml", COPY.replace(OLD, NEW)))
    assert outcome.err == ""


def test_env_of_production_leaves_the_staging_copy(charts: Charts) -> None:
    """Both production environments are decided by values.yaml; staging has its own and is no side effect."""
    charts.service(values=shared(), values_staging=COPY)
    changed, outcome = charts.edit("citoid", NEW, "--env", "eqiad", "--env", "codfw")
    assert changed == only(("values.yaml", shared(NEW)))
    assert outcome.err == ""


def test_two_envs_one_with_a_copy(charts: Charts) -> None:
    """Staging's copy and the shared scalar move; codfw is named."""
    charts.service(values=shared(), values_staging=COPY)
    changed, outcome = charts.edit("citoid", NEW, "--env", "eqiad", "--env", "staging")
    assert changed == only(("values.yaml", shared(NEW)), ("values-staging.yaml", COPY.replace(OLD, NEW)))
    assert "codfw" in outcome.err


def test_env_where_a_release_file_wins(charts: Charts) -> None:
    """The scalar that decides staging stands in the file of its release."""
    envs = {"staging": ["staging"], "eqiad": ["production"]}
    charts.service(helm=helmfile(envs), values=shared(), values_staging=COPY)
    charts.service("other", helm=helmfile({"staging": ["test"], "eqiad": ["main"]}), values=shared(), values_test=COPY)
    changed, _ = charts.edit("other", NEW, "--env", "staging")
    assert changed == only(("values-test.yaml", COPY.replace(OLD, NEW)), service="other")


def test_release_with_a_copy(charts: Charts) -> None:
    """Only the canary's own scalar moves."""
    charts.service(helm=helmfile(CANARY), values=shared(), values_canary=COPY)
    changed, outcome = charts.edit("citoid", NEW, "--release", "canary")
    assert changed == only(("values-canary.yaml", COPY.replace(OLD, NEW)))
    assert outcome.err == ""


def test_release_on_a_shared_scalar_names_the_others(charts: Charts) -> None:
    """The scalar that decides canary decides production and staging too."""
    changed, outcome = charts.service(helm=helmfile(CANARY), values=shared()).edit("citoid", NEW, "--release", "canary")
    assert changed == only(("values.yaml", shared(NEW)))
    assert "production" in outcome.err
    assert "staging" in outcome.err


def test_release_and_env_together(charts: Charts) -> None:
    """The file of one release in one environment."""
    charts.service(helm=helmfile(CANARY, DEEP), values=shared(), values_canary_eqiad=COPY)
    changed, outcome = charts.edit("citoid", NEW, "--release", "canary", "--env", "eqiad")
    assert changed == only(("values-canary-eqiad.yaml", COPY.replace(OLD, NEW)))
    assert outcome.err == ""


def test_the_merge_order_is_the_helmfiles(charts: Charts) -> None:
    """Where the helmfile puts the environment last, the environment wins over the release."""
    layers = ("values.yaml", "values-RELEASE.yaml", "values-ENV.yaml")
    charts.service(helm=helmfile(CANARY, layers), values=shared(), values_canary=COPY, values_eqiad=COPY)
    changed, _ = charts.edit("citoid", NEW, "--env", "eqiad")
    assert changed == only(("values-eqiad.yaml", COPY.replace(OLD, NEW)))


def test_the_same_tag_is_nothing_to_change(charts: Charts) -> None:
    """Exit status 3, and the JSON is still there."""
    charts.service(values=shared())
    charts.fails(3, "citoid", OLD)
    said = charts.bump("citoid", OLD, "--format", "json")
    assert said.status == 3
    assert said.json["files"] == []


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["citoid", NEW, "--env", "stagin"], "staging"),
        (["citoid", NEW, "--release", "canary"], "canary"),
        (["citoid", "two words"], "two words"),
        (["citoid", "a/b"], "a/b"),
        (["citoid", "x" * 129], "xxx"),
        (["citoid", "new\nline"], "tag"),
    ],
)
def test_unknown_places_and_tags_that_are_none_are_refused(charts: Charts, args: list[str], word: str) -> None:
    """The reason names what was wrong and, for a place, what there is."""
    assert word in charts.service(values=shared()).refused(*args)


def test_an_environment_without_that_release_is_refused(charts: Charts) -> None:
    """Canary does not run on staging."""
    err = charts.service(helm=helmfile(CANARY), values=shared()).refused(
        "citoid", NEW, "--env", "staging", "--release", "canary"
    )
    assert "canary" in err
    assert "staging" in err


@pytest.mark.parametrize(
    "args",
    [
        ["nosuch", NEW],
        ["citoid"],
        [],
        ["citoid", NEW, "--pin"],
        ["citoid", NEW, "--pin", "--unpin", "--env", "staging"],
        ["citoid", NEW, "--pin", "--env", "staging", "--key", "main_app.version"],
        ["citoid", NEW, "--format", "xml"],
        ["../citoid", NEW],
        ["", NEW],
        [".", NEW],
    ],
)
def test_usage_errors(charts: Charts, args: list[str]) -> None:
    """Exit status 2 for a wrong call and for an unknown service."""
    charts.service(values=shared()).fails(2, *args)


def test_a_missing_checkout_is_no_success(charts: Charts) -> None:
    """DIR does not exist: an input error or a usage error, never a diff."""
    outcome = charts.run("bump", "citoid", NEW, root=charts.scratch / "nosuch")
    assert outcome.status in (1, 2)
    assert outcome.out == b""


def test_no_tag_is_a_finding_about_files(charts: Charts) -> None:
    """A service whose files hold no tag is refused, whatever its name; one called mw-x with a tag is bumped."""
    charts.service("plain", values="main_app:\n  port: 1\nmesh:\n  image_version: 1.2.3-1\n")
    charts.service("mw-x", values=shared())
    assert "tag" in charts.refused("plain", NEW)
    assert charts.edit("mw-x", NEW)[0] == only(("values.yaml", shared(NEW)), service="mw-x")


def test_before_and_after_are_told(charts: Charts) -> None:
    """The JSON has the effective tags before and after, for each environment."""
    said = charts.service(values=shared()).bump("citoid", NEW, "--format", "json").json
    assert OLD in str(said["before"])
    assert NEW not in str(said["before"])
    assert NEW in str(said["after"])
    assert OLD not in str(said["after"])
    for env in ("staging", "eqiad", "codfw"):
        assert env in str(said["before"])
        assert env in str(said["after"])
    file = said["files"][0]
    span = file["spans"][0]
    text = (charts.root / file["path"]).read_bytes()
    assert text[span["start"] : span["end"]].decode() == OLD == span["old"]
    assert (span["new"], span["key"], span["line"]) == (NEW, "main_app.version", 6)


def test_as_a_command(charts: Charts) -> None:
    """A process of its own: the diff alone on stdout, the exit status of the table."""
    charts.service(values=shared())
    call = [sys.executable, "-m", "quarterdeck.cli", "bump", "citoid", NEW, "--charts", str(charts.root)]
    done = subprocess.run(call, capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout == charts.bump("citoid", NEW).out


def test_old_layout(charts: Charts) -> None:
    """Each environment has a folder with a full values.yaml; one bump is three files."""
    for env in ("staging", "eqiad", "codfw"):
        charts.put(f"helmfile.d/services/{env}/wikifeeds/values.yaml", shared())
        charts.put(f"helmfile.d/services/{env}/wikifeeds/helmfile.yaml", OLD_STYLE)
        charts.put(f"helmfile.d/services/{env}/helmfile.yaml", "helmfiles:\n  - ./*/helmfile.yaml\n")
    place = "helmfile.d/services/{}/wikifeeds/values.yaml"
    every = only(*((place.format(e), shared(NEW)) for e in ("codfw", "eqiad", "staging")))
    assert charts.edit("wikifeeds", NEW)[0] == every
    changed, outcome = charts.edit("wikifeeds", NEW, "--env", "staging")
    assert changed == only((place.format("staging"), shared(NEW)))
    assert outcome.err == ""
    changed, _ = charts.edit("wikifeeds", "--key", f"eqiad/values.yaml:main_app.version={NEW}")
    assert changed == only((place.format("eqiad"), shared(NEW)))


def test_other_groups(charts: Charts) -> None:
    """--services-dir leads to another group."""
    charts.service("edit-check", group="helmfile.d/ml-services", values=shared())
    changed, _ = charts.edit("edit-check", NEW, "--services-dir", "helmfile.d/ml-services")
    assert changed == {"helmfile.d/ml-services/edit-check/values.yaml": shared(NEW).encode()}
    charts.fails(2, "edit-check", NEW)
