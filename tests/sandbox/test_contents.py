"""The sandbox's charts render, and say what its catalogue, its registry and its secrets are told to be."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import contents
from sandbox.build import tools

pytestmark = pytest.mark.sandbox

REGISTRY = "127.0.0.1:5000"
TARGETS = [(service, env, names) for service in contents.SERVICES for env, names in service.releases]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the charts, the deploy host's values and a silent SAL hook."""
    root = tmp_path_factory.mktemp("contents")
    contents.write_charts(root / "charts")
    for path, text in contents.host_files(REGISTRY).items():
        (root / "host" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "host" / path).write_text(text)
    kit = tools.ensure(print)
    (root / "bin").mkdir()
    for name, program in {"helm": kit.helm, "helmfile": kit.helmfile}.items():
        (root / "bin" / name).symlink_to(program)
    hook = root / "bin" / "helmfile_log_sal"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    return root


def helmfile(place: Path, service: str, environment: str, *arguments: str) -> str:
    """What helmfile prints in a service's directory."""
    env = {
        "PATH": f"{place / 'bin'}:/usr/bin:/bin",
        "HOME": str(place),
        "HELMFILE_DEFAULTS": str(place / "host"),
        "KUBECONFIG_DIR": str(place),
    }
    folder = place / "charts" / "helmfile.d" / "services" / service
    command = ["helmfile", "-e", environment, *arguments]
    program = str(place / "bin" / "helmfile")
    done = subprocess.run(command, executable=program, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("service", "environment", "releases"), TARGETS, ids=[f"{s.name}-{env}" for s, env, _ in TARGETS]
)
def test_every_service_renders(
    place: Path, service: contents.Service, environment: str, releases: tuple[str, ...]
) -> None:
    """Each release has its five kinds of object, an image the registry has from the start, and its secrets apart."""
    text = helmfile(place, service.name, environment, "template")
    objects: list[dict[str, Any]] = [entry for entry in yaml.safe_load_all(text) if entry]
    deployments = [entry for entry in objects if entry["kind"] == "Deployment"]
    assert sorted(entry["metadata"]["labels"]["release"] for entry in deployments) == sorted(releases)
    kinds = {entry["kind"] for entry in objects}
    assert kinds == {"Deployment", "Service", "ConfigMap", "Secret", "NetworkPolicy"}
    first = {f"{REGISTRY}/{image}:{tag}" for _, image, tag in contents.initial_images()}
    for deployment in deployments:
        pod = deployment["spec"]["template"]
        assert {container["image"] for container in pod["spec"]["containers"]} <= first
        assert "checksum/config" in pod["metadata"]["annotations"]
        assert deployment["spec"]["progressDeadlineSeconds"] == 15
        assert deployment["metadata"]["name"].startswith(f"{service.name}-")
    for entry in objects:
        planted = [secret for secret in contents.canaries() if secret in yaml.safe_dump(entry)]
        assert bool(planted) == (entry["kind"] == "Secret")


def test_every_planted_secret_is_somewhere(place: Path) -> None:
    """No canary is only a name: each is found in the charts or in the deploy host's files."""
    files = [path for path in place.rglob("*") if path.is_file() and "bin" not in path.parts]
    whole = "\n".join(path.read_text() for path in files)
    assert [secret for secret in contents.canaries() if secret not in whole] == []
    assert set(re.findall(r"CANARY-SECRET-[\w-]+", whole)) == set(contents.canaries())


def test_canary_is_a_release_of_production_only(place: Path) -> None:
    """The service mobileapps has a canary where real traffic is, and helmfile lists what is installed where."""
    for environment, wanted in (("staging", {"staging"}), ("eqiad", {"canary", "production"})):
        listed = yaml.safe_load(helmfile(place, "mobileapps", environment, "list", "--output", "json"))
        assert {entry["name"] for entry in listed if entry["installed"]} == wanted
        assert {entry["namespace"] for entry in listed} == {f"mobileapps-{environment}"}


def test_the_shapes_of_the_values_files(place: Path) -> None:
    """The repository has the shapes that a values editor must know."""
    services = place / "charts" / "helmfile.d" / "services"
    assert (services / "shellbox-constraints" / "global.yaml").readlink() == Path("../shellbox/global.yaml")
    tag = "version: 2026-07-16-140518-production"
    for name in ("values.yaml", "values-staging.yaml"):
        assert tag in (services / "cxserver" / name).read_text()
    assert 'version: "2026-07-15-095645"' in (services / "shellbox" / "global.yaml").read_text()
    assert "main_app" not in (services / "wikifeeds" / "values-staging.yaml").read_text()
    assert not (services / "wikifeeds" / "values.yaml").read_text().endswith("\n")
    playground = (services / "failoid" / "helmfile.yaml.gotmpl").read_text()
    assert "atomic: false" in playground
    assert "timeout: 20" in playground


def test_the_catalogue_agrees_with_the_repositories() -> None:
    """Every service of the charts is in the catalogue with the project and images that the CI builds."""
    catalogue = yaml.safe_load(contents.CATALOGUE.read_text())
    assert catalogue["charts"]["project"] == contents.CHARTS_PROJECT
    assert set(catalogue["services"]) == {service.name for service in contents.SERVICES}
    built = {entry.name: {build.image for build in entry.builds} for entry in contents.PROJECTS}
    for name, service in catalogue["services"].items():
        for part in service.get("parts", {"": service}).values():
            images = set(part["images"].values()) if "images" in part else {part["image"]}
            assert images == built[part["project"]]
            assert name in contents.project(part["project"]).services
    assert "mallory" not in catalogue["people"]


def test_the_environment_switches_the_merge_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue says gate; SANDBOX_MERGE says otherwise, and nonsense is refused."""
    monkeypatch.delenv("SANDBOX_MERGE", raising=False)
    assert contents.merge_mode() == "gate"
    monkeypatch.setenv("SANDBOX_MERGE", "submit")
    assert contents.merge_mode() == "submit"
    monkeypatch.setenv("SANDBOX_MERGE", "perhaps")
    with pytest.raises(ValueError, match="gate or submit"):
        contents.merge_mode()
