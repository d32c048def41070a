"""Helmfiles are Go templates and often no YAML: what they say of environments, releases and layers is read all the same."""

from __future__ import annotations

import re

import pytest

from quarterdeck.core.charts.reading import helmfile as reading
from quarterdeck.core.charts.reading import template

LOOSE = b"""\
helmDefaults:
  args:
    - --kubeconfig
    - {{ .Environment.Values | get "kubeConfig" (printf "/etc/%s.config" .Environment.Name) }}
values:
  - backfill: false
environments:
  staging: &all
    values:
      - releases:
        - producer
        - "consumer{{ if .Values.backfill }}-backfill{{ end }}"
      - "/etc/defaults-{{ .Environment.Name }}.yaml"
  eqiad:
    <<: *all
  codfw: *all
---
{{- $name := env "NAME" }}
{{ if not $name }}
{{ printf "NAME must be set, not %q" $name | fail }}
{{ end }}
{{/*
  A comment over lines:
  - "values-{{ .Environment.Name }}.yaml"
*/}}
templates:
  default: &default
    chart: wmf-stable/flink
    installed: true
    values:
      - "/etc/private/{{ .Environment.Name }}.yaml"
      - values.yaml
      - "../_common_/values-{{ .Environment.Name }}.yaml"
      - 'values-{{ `{{ trimSuffix "-backfill" .Release.Name }}` }}.yaml'
      - "values-{{`{{ .Release.Name }}`}}-{{ .Environment.Name }}.yaml" # the last
      - "values-{{ .Environment.Name | upper }}.yaml"
      {{- range $part := (list "a" "b") }}
      - {{ $part }}:
      {{- range $k, $v := $.Environment.Values }}
        {{- $k | nindent 10 }}: {{ $v | toYaml | nindent 12 }}
      {{- end }}
      {{- end }}
      - inline: "{{ .Environment.Name }}"
releases:
  - name: producer
    <<: *default
  {{ if not .Values.backfill }}
  - name: consumer
    <<: *default
  {{ else }}
  - name: consumer-backfill
    <<: *default
  {{ end }}
"""


def test_templates_are_read_without_running_them() -> None:
    """Directives go, loops go whole, expressions in names are filled in, unknown ones are a star."""
    found = reading.read(LOOSE)
    assert found.environments == ("staging", "eqiad", "codfw")
    assert all(found.names(environment) == ("producer", "consumer") for environment in found.environments)
    assert found.chart("staging", "producer") == "wmf-stable/flink"
    layers = found.layers("eqiad", "consumer-backfill")
    assert [layer.path for layer in layers] == [
        "/etc/private/eqiad.yaml",
        "values.yaml",
        "../_common_/values-eqiad.yaml",
        "values-consumer.yaml",
        "values-consumer-backfill-eqiad.yaml",
        "values-*.yaml",
    ]
    assert [layer.on_server for layer in layers] == [True, *[False] * 5]
    assert [layer.per_environment for layer in layers] == [True, False, True, False, True, True]
    assert [layer.per_release for layer in layers] == [False, False, False, True, True, False]
    assert [layer.certain for layer in layers] == [True] * 5 + [False]


def test_an_environment_that_lists_no_releases_has_all_that_are_installed() -> None:
    """`installed` is read where it is one of the simple forms."""
    found = reading.read(
        b"environments:\n  staging:\n  eqiad: {}\nreleases:\n  - name: production\n"
        b'    installed: {{ ne .Environment.Name "staging" }}\n  - name: staging\n'
        b'    installed: {{ eq .Environment.Name "staging" | toYaml }}\n  - name: odd\n    installed: {{ what }}\n'
    )
    assert found.names("staging") == ("staging", "odd")
    assert found.names("eqiad") == ("production", "odd")
    assert found.layers("eqiad", "production") == ()


def test_inherited_values_come_first() -> None:
    """`inherit` names a template."""
    found = reading.read(
        b"environments:\n  one:\ntemplates:\n  base:\n    chart: c\n    values: [values.yaml]\n"
        b"releases:\n  - name: main\n    inherit:\n      - template: base\n    values: [own.yaml]\n"
    )
    assert [layer.path for layer in found.layers("one", "main")] == ["values.yaml", "own.yaml"]
    assert found.chart("one", "main") == "c"


def test_a_helmfile_that_is_no_yaml_is_read_by_indentation() -> None:
    """Environments and releases are found; the layers are the usual ones, and said to be a guess."""
    found = reading.read(
        b"environments:\n  one:\n    values:\n      - releases: [main, 'canary']\n    bad: [\n\nreleases:\n"
        b'  - name: main\n    x: {\n  - name: "canary" # early\n'
    )
    assert found.environments == ("one",)
    assert found.names("one") == ("main", "canary")
    assert [layer.path for layer in found.layers("one", "main")] == [
        "values.yaml",
        "values-one.yaml",
        "values-main.yaml",
        "values-main-one.yaml",
    ]
    assert found.doubt("one", "main") is not None
    assert reading.read(LOOSE.replace(b" | upper", b"")).doubt("eqiad", "consumer") is None


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ('"a b"', "a b"),
        (".Release.Name", "web"),
        ("$.Environment.Name", "one"),
        ("(.Release.Name)", "web"),
        ('trimSuffix "b" .Release.Name', "we"),
        ('.Release.Name | trimPrefix "w" | printf "%s-%s" "x"', "x-eb"),
        ('eq .Environment.Name "one"', True),
        ('and (hasPrefix "w" .Release.Name) (not (contains "z" .Release.Name))', True),
        ('or .Values.none "d"', "d"),
        ('.Values.none | default "d"', "d"),
        ('replace "-" "_" "a-b"', "a_b"),
        ("unknown .Release.Name", None),
        ('env "HOME"', None),
        (".Values.none", None),
        ("printf", None),
        ('printf "%s" ', None),
        ("eq", None),
        ("(((", None),
        ("", None),
    ],
)
def test_expressions(words: str, value: template.Value) -> None:
    """The few that name files; whatever else there is has no value, and nothing is executed."""
    assert template.evaluate(words, template.Names("one", "web", "ns", {})) == value


def test_branches_within_a_name() -> None:
    """`if`, `else if` and `else` pick what is written."""
    held: list[str] = []
    text = template.hold(
        'v-{{ if eq .Release.Name "a" }}1{{ else if eq .Release.Name "b" }}2{{ else }}3{{ end }}.yaml', held
    )
    filled = [template.fill(text, held, template.Names(release=name)) for name in "abc"]
    assert filled == ["v-1.yaml", "v-2.yaml", "v-3.yaml"]


def test_installed_template_decides_over_installed() -> None:
    """It is evaluated last: a release that its environment lists is there."""
    found = reading.read(
        b"environments:\n  eqiad:\n    values:\n      - releases: [main, old]\n---\n"
        b"templates:\n  default: &default\n    installedTemplate: '{{`{{ has .Release.Name .Environment.Values.releases }}`}}'\n"
        b"releases:\n  - name: main\n    <<: *default\n  - name: old\n    installed: false\n    <<: *default\n"
        b"  - name: gone\n    installed: false\n  - name: unlisted\n    <<: *default\n  - name: database\n"
    )
    assert found.names("eqiad") == ("main", "old", "database")


HEAD = """environments:
  staging:
    values:
      - releases: [main]
  eqiad:
    values:
      - releases: [main]
---
"""
MAIN = "releases:\n  - name: main\n    chart: x/y\n    values:\n      - values.yaml\n"


def paths(text: str, environment: str) -> list[str]:
    """The files of release main, which must be certain."""
    found = reading.read(f"{HEAD}{text}".encode())
    assert found.doubt(environment, "main") is None
    return [layer.path for layer in found.layers(environment, "main")]


def test_a_file_under_a_condition_of_the_environment_is_read_where_it_holds() -> None:
    """All branches of `if`, one in another."""
    text = MAIN + (
        '{{- if eq .Environment.Name "staging" }}\n      - "a.yaml"\n'
        '{{- else if ne .Environment.Name "eqiad" }}\n      - b.yaml\n'
        '{{- else }}\n      - c.yaml\n{{ if hasPrefix "s" .Environment.Name }}\n      - d.yaml\n{{ end }}\n'
        "{{- end }}\n      - last.yaml\n"
    )
    assert paths(text, "staging") == ["values.yaml", "a.yaml", "last.yaml"]
    assert paths(text, "eqiad") == ["values.yaml", "c.yaml", "last.yaml"]


def test_a_condition_around_whole_releases_is_no_doubt() -> None:
    """Each release's files are the same whether it is there or not."""
    text = MAIN + "{{ if not .Values.x }}\n  - name: other\n    values:\n      - o.yaml\n{{ end }}\n"
    assert paths(text, "staging") == ["values.yaml"]
    assert reading.read(f"{HEAD}{text}".encode()).doubt("staging", "other") is None


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        (MAIN + "{{ if .x }}\n      - a.yaml\n{{ end }}\n", "a.yaml|a condition", 10),
        (MAIN + "{{ with .x }}\n      - a.yaml\n{{ end }}\n", "a condition", 10),
        (MAIN + "{{ range $r := list 1 2 }}\n      - values-{{ $r }}.yaml\n{{ end }}\n", "a loop", 15),
        (MAIN + '{{ range $r := list "a" }}\n  - name: {{ $r }}\n{{ end }}\n', "a loop", 15),
        (MAIN + "      - values-{{ .Values.dc }}.yaml\n", "not certain", 10),
        (MAIN + '      - values-{{ if eq .Values.dc "st" }}a{{ else }}b{{ end }}.yaml\n', "not certain", 10),
        (MAIN + '      {{ if eq .Environment.Name "x" }}- a.yaml{{ end }}\n', "not certain|cannot be read", 10),
        (MAIN + "      - values-*.yaml\n", r"values-\*.yaml", 10),
        (MAIN + "      - main_app:\n          version: x\n", "a tag in the helmfile", 10),
        (MAIN + "      - main_app: {{ .x }}\n", "a tag in the helmfile", 10),
        (MAIN + "    set:\n      - name: main_app.version\n        value: x\n", "sets values", 10),
        ("releases:\n  - name: main\n{{ if .x }}\n    values: [a.yaml]\n{{ end }}\n", "condition", 12),
        (MAIN + "  - name: main\n    values: [a.yaml]\n", "twice", 15),
    ],
)
def test_what_decides_the_files_and_is_not_known_is_a_doubt(text: str, reason: str, line: int) -> None:
    """The layers are called a guess, with the reason and the line."""
    found = reading.read(f"{HEAD}{text}".encode())
    doubt = found.doubt("staging", "main")
    assert doubt is not None
    assert re.search(reason, doubt.reason)
    assert doubt.line in (line, found.lines["main"])
    assert found.doubt("staging", "main") is not None


@pytest.mark.parametrize(
    "lines", ['{{ range $e := list "a" }}\n  {{ $e }}:\n{{ end }}', "{{ if .x }}\n  codfw:\n{{ end }}"]
)
def test_environments_that_hang_on_something_are_a_doubt(lines: str) -> None:
    """An environment that is not seen may read the same files."""
    text = HEAD.replace("---\n", f"{lines}\n---\n") + MAIN
    doubt = reading.read(text.encode()).doubt("staging", "main")
    assert doubt is not None
    assert doubt.line in (8, 9)


def test_inline_values_without_a_tag_are_no_doubt() -> None:
    """As the real ones have them."""
    assert paths(MAIN + '      - environmentName: "{{ .Environment.Name }}"\n', "eqiad") == ["values.yaml"]
