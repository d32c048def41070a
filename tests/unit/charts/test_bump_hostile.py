"""Charts repositories that mean to be misread: what is not certain is refused, and nothing takes long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from quarterdeck.core.charts.reading import document, sharers, template
from quarterdeck.core.charts.reading import helmfile as reading
from tests.worlds.charts_tree import NEW, OLD, Charts, helmfile, only, shared

S = "helmfile.d/services"
COMMON = f"{S}/_s_/values.yaml"


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """An empty checkout."""
    return Charts(tmp_path)


def test_braces_in_strings_hide_no_copy(charts: Charts) -> None:
    """A plain values file is no template: what stands between two strings is read, and edited where it decides."""
    text = 'config:\n  open: "{{"\nmain_app:\n  version: v1\nother:\n  close: "}}"\n'
    changed, _ = charts.service(values=shared(), values_staging=text).edit("citoid", NEW, "--env", "staging")
    assert changed == only(("values-staging.yaml", text.replace("v1", NEW)))


def test_braces_in_strings_make_no_tag(charts: Charts) -> None:
    """What is in truth a part of a string is no tag."""
    text = f"a: '{{{{'\nb: \"}}}}'\nmain_app:\n  image: w/x\n  version: {OLD}\n# \"\n"
    charts.service(values=text).refused("citoid", NEW)


def test_braces_over_several_lines_are_not_masked(charts: Charts) -> None:
    """Where the file is no YAML without a mask, the mask goes to the line's end at most."""
    text = f"a: {{{{ .x }}}}-y\nb: '{{{{'\nmain_app:\n  version: {OLD}\nc: '}}}}'\n"
    parsed = document.parse("f", text.encode())
    assert not parsed.broken
    assert parsed.scalars()[("main_app", "version")].tag == OLD


@pytest.mark.parametrize("first", ["---\n# c\n---\n", "---\n---\n", "null\n---\n", "a: 1\n---\n"])
def test_only_the_first_document_counts(charts: Charts, first: str) -> None:
    """Helm reads no other: a tag in a later one is none, and it hides nothing."""
    charts.service(values=f"{first}{shared()}").refused("citoid", NEW)
    charts.service(values=shared(), values_eqiad=f"{first}main_app:\n  version: v1\n")
    assert charts.bump("citoid", NEW, "--env", "eqiad").status != 0 or "values-eqiad" not in str(
        charts.bump("citoid", NEW, "--env", "eqiad").out
    )
    parsed = document.parse("f", f"{first}main_app:\n  version: v1\n".encode())
    assert not parsed.scalars()
    assert parsed.more


@pytest.mark.parametrize(
    "line",
    [
        "{{.a}} " * 30 + "text",
        "{" * 100_000,
        "{{ " * 50_000,
        "{{" + " " * 50_000,
        "{{-" + " " * 50_000 + "x",
        "{{/*" * 20_000,
        "{{`" * 20_000,
        "releases: [" * 10_000,
        "../-" * 20_000,
        '{{ "' * 20_000,
    ],
)
def test_no_line_takes_long(line: str) -> None:
    """Each pattern looks at a character once: what does not, stops the whole program."""
    start = time.process_time()
    template.masked(line)
    template.hold(line, [])
    reading.read(f"releases:\n  - name: main\n# {line}\n{line}\n".encode())
    folders = sharers.Folders(S, [f"{S}/a/helmfile.yaml"], {})
    assert list(sharers.Sharers(folders, {f"{S}/a/helmfile.yaml": line.encode()})[COMMON]) == []
    if "[" not in line:
        document.parse("f", f"x: |\n  {line}\n".encode())
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("named", "path"),
    [
        ("./../_s_/values.yaml", COMMON),
        ("../_s_/common.yaml.gotmpl", f"{S}/_s_/common.yaml.gotmpl"),
        ("{{ .Environment.Name }}/../../_s_/values.yaml", COMMON),
        ("../_s_/values-{{ .Environment.Name }}.yaml", f"{S}/_s_/values-eqiad.yaml"),
        ("../{{ .Release.Name }}/values.yaml", COMMON),
        ('{{ printf "../%s/values.yaml" "_s_" }}', COMMON),
        ('{{ printf "../_s_/values-%s.yaml" .Environment.Name }}', f"{S}/_s_/values-eqiad.yaml"),
        ("../b/values-{{ .Release.Name }}.yaml", f"{S}/b/values-main.yaml"),
    ],
)
def test_sharers_however_the_path_is_written(named: str, path: str) -> None:
    """All ways out of the folder that helmfile knows."""
    files = [f"{S}/a/helmfile.yaml", f"{S}/b/helmfile.yaml", path]
    found = sharers.Sharers(sharers.Folders(S, files, {}), {f"{S}/a/helmfile.yaml": f'  - "{named}"\n'.encode()})
    assert "a" in found[path]
    assert path in found.reach("a")[0]


def test_a_wildcard_claims_no_other_services_folder() -> None:
    """`../{{ .Release.Name }}/values.yaml` does not share every service's file."""
    files = [f"{S}/{name}/{end}" for name in "ab" for end in ("helmfile.yaml", "values.yaml")]
    named = b'  - "../{{ .Release.Name }}/values.yaml"\n'
    found = sharers.Sharers(sharers.Folders(S, files, {}), {files[0]: named})
    assert found[f"{S}/b/values.yaml"] == ("b",)
    assert found[f"{S}/a/values.yaml"] == ("a",)


@pytest.mark.parametrize(
    "text",
    [
        f'{{{{ if eq .Environment.Name "staging" }}}}\nmain_app:\n  version: {OLD}\n{{{{ end }}}}\n',
        f"main_app:\n{{{{- with .x }}}}\n  version: {OLD}\n{{{{- else }}}}\n  version: b\n{{{{- end }}}}\n",
        f"main_app:\n  version: {OLD}\nx: '{{{{ if .x }}}}a{{{{ end }}}}'\n",
    ],
)
def test_a_template_with_conditions_is_not_edited(charts: Charts, text: str) -> None:
    """What stands there is not always there."""
    charts.service(helm=helmfile(layers=("values.yaml.gotmpl",)))
    charts.put(f"{S}/citoid/values.yaml.gotmpl", text)
    err = charts.refused("citoid", NEW, "--env", "eqiad")
    assert "values.yaml.gotmpl:" in err
    assert "a template with conditions" in err


def test_a_template_without_conditions_is_edited(charts: Charts) -> None:
    """Its expressions stay as they are."""
    text = f"x: {{{{ .Values.x }}}}\nmain_app:\n  version: {OLD}\n"
    charts.service(helm=helmfile(layers=("values.yaml.gotmpl",)))
    charts.put(f"{S}/citoid/values.yaml.gotmpl", text)
    assert charts.edit("citoid", NEW)[0] == {f"{S}/citoid/values.yaml.gotmpl": text.replace(OLD, NEW).encode()}


def test_what_no_mask_makes_yaml_is_broken() -> None:
    """It is not an empty file."""
    assert document.parse("f", b"{{ c\n}}: 1\nmain_app:\n  version: st\n").broken


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (("values.yaml", "values-*.yaml"), "is not certain"),
        (("values.yaml", "values-{{ .Values.dc }}.yaml"), "is not certain"),
    ],
)
def test_what_a_helmfile_leaves_open_is_not_edited_for_one_environment(
    charts: Charts, layers: tuple[str, ...], says: str
) -> None:
    """Which file decides there cannot be told: the reason and the helmfile's line, and nothing is moved."""
    charts.service(helm=helmfile(layers=layers), values=shared(), values_staging=shared())
    assert says in charts.refused("citoid", NEW, "--env", "staging")


def test_every_service_of_the_sandbox_is_read_without_doubt() -> None:
    """Files that the deploy host's environment names are the host's, and a secret that is set is no tag."""
    root = Path(__file__).parents[3] / "sandbox" / "contents" / "charts-repository" / S
    for place in root.glob("*/helmfile.yaml.gotmpl"):
        found = reading.read(place.read_bytes())
        for environment in found.environments:
            assert [found.doubt(environment, name) for name in found.names(environment)] == [
                None for _ in found.names(environment)
            ], place
