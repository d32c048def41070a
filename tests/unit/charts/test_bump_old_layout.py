"""`quarterdeck bump` in the layout with a folder for each environment: what moves, what a pin is, how keys name files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.charts_tree import NEW, OLD, Charts, shared

BASE = "helmfile.d/services"
ENVS = {"staging": ["staging"], "eqiad": ["production", "canary"], "codfw": ["production", "canary"]}


def helmfile(releases: list[str]) -> str:
    """A helmfile of one environment: no environments in it, secrets beside it that only the deploy host has."""
    text = "helmDefaults:\n  tillerNamespace: x\n\nreleases:\n"
    for release in releases:
        own = '    - "values-canary.yaml"\n' if release == "canary" else ""
        text += f"  - name: {release}\n    namespace: x\n    chart: stable/x\n    version: 0.0.3\n"
        text += f'    values:\n    - "values.yaml"\n{own}    - "private/secrets.yaml"\n    hooks:\n    - events: ["presync"]\n'
        text += '      args: ["[{{`{{ env \\"CLUSTER\\" }}`}}] Ran \'{{`{{.HelmfileCommand}}`}}\'"]\n'
    return text


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """One service in three environments, canary in two of them."""
    charts = Charts(tmp_path)
    for env, releases in ENVS.items():
        charts.put(f"{BASE}/{env}/helmfile.yaml", "helmfiles:\n- ./*/helmfile.yaml\n")
        charts.put(f"{BASE}/{env}/x/helmfile.yaml", helmfile(releases))
        charts.put(f"{BASE}/{env}/x/values.yaml", shared() + "tls:\n  image_version: 1.13.1-1\n")
        if "canary" in releases:
            charts.put(f"{BASE}/{env}/x/values-canary.yaml", "resources:\n  replicas: 1\n")
    return charts


def moved(*envs: str, old: str = OLD, new: str = NEW) -> dict[str, bytes | None]:
    """What a bump of whole environments changes."""
    text = shared() + "tls:\n  image_version: 1.13.1-1\n"
    return {f"{BASE}/{env}/x/values.yaml": text.replace(old, new).encode() for env in envs}


def test_a_bump_moves_every_environments_file(charts: Charts) -> None:
    """Three files; one with --env; production's two with --release."""
    assert charts.edit("x", NEW)[0] == moved("staging", "eqiad", "codfw")
    for args in (["--env", "staging"], ["--env", "staging", "--pin"], ["--release", "staging"]):
        changed, said = charts.edit("x", NEW, *args)
        assert changed == moved("staging")
        assert said.err == ""
    changed, said = charts.edit("x", NEW, "--env", "eqiad", "--env", "codfw")
    assert changed == moved("eqiad", "codfw")
    assert said.err == ""


def test_secrets_that_only_the_deploy_host_has_are_no_place_for_a_pin(charts: Charts) -> None:
    """Canary has a file of its own; production's is canary's too, and what comes after it is not in the repository."""
    charts.put(f"{BASE}/eqiad/x/helmfile.yaml", helmfile(["production", "canary"]).replace(
        '    - "values-canary.yaml"\n    - "private/secrets.yaml"\n', '    - "values-canary.yaml"\n'))  # fmt: skip
    changed, _ = charts.edit("x", NEW, "--env", "eqiad", "--release", "canary", "--pin")
    text = f"resources:\n  replicas: 1\n\nmain_app:\n  version: {NEW}\n"
    assert changed == {f"{BASE}/eqiad/x/values-canary.yaml": text.encode()}
    err = charts.refused("x", NEW, "--env", "eqiad", "--release", "production", "--pin")
    assert "private" not in err
    assert "eqiad/x/values.yaml" in err
    rows = charts.bump("x", NEW, "--format", "json").json["before"]
    unseen = {(row["environment"], row["release"]): row["unseen"] for row in rows}
    assert unseen["staging", "staging"] == [f"{BASE}/staging/x/private/secrets.yaml"]
    assert unseen["eqiad", "canary"] == []


def test_keys_name_files_of_one_environment_or_of_all(charts: Charts) -> None:
    """ENV/FILE is one file, FILE alone is that file of every environment (named), a bare PATH every file."""
    old, new = "1.13.1-1", "1.15.1-2"
    key = "tls.image_version"
    one, every = moved("staging", old=old, new=new), moved("staging", "eqiad", "codfw", old=old, new=new)
    assert charts.edit("x", new, "--key", f"staging/values.yaml:{key}")[0] == one
    assert charts.edit("x", new, "--key", key)[0] == every
    assert charts.edit("x", new, "--key", f"values.yaml:{key}")[0] == every
    assert charts.edit("x", new, "--key", f"values.yaml:{key}", "--env", "staging")[0] == one
    charts.refused("x", new, "--key", f"values-canary.yaml:{key}")
    charts.refused("x", new, "--key", f"../y/values.yaml:{key}")


def test_a_folder_without_a_helmfile_is_no_service_yet(charts: Charts) -> None:
    """Notes of a service that has not moved over are left alone."""
    charts.put(f"{BASE}/x/README.md", "soon\n")
    charts.put(f"{BASE}/x/values.yaml", shared())
    assert charts.edit("x", NEW)[0] == moved("staging", "eqiad", "codfw")


def test_both_layouts_side_by_side(charts: Charts) -> None:
    """While services moved over: the new folder wins for its own service, the others are as they were."""
    charts.service("y", values=shared())
    charts.service("x", values=shared())
    assert charts.edit("y", NEW)[0] == {f"{BASE}/y/values.yaml": shared(NEW).encode()}
    assert charts.edit("x", NEW)[0] == {f"{BASE}/x/values.yaml": shared(NEW).encode()}
