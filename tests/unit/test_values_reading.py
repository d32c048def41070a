"""Helmfiles are Go templates and often no YAML: what they say of environments, releases and layers is read all the same."""

from __future__ import annotations

import pytest

from quarterdeck.core.values import reading, template

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
    assert [layer.known for layer in layers] == [True] * 5 + [False]


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
    assert found.guessed("one", "main")
    assert not reading.read(LOOSE).guessed("eqiad", "consumer")


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
