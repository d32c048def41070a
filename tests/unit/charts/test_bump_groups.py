"""`quarterdeck bump` on the shapes of the groups for machine learning, data platform and auxiliary clusters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.charts_tree import Charts, helmfile

ML, DSE, AUX = (f"helmfile.d/{name}" for name in ("ml-services", "dse-k8s-services", "aux-k8s-services"))
OLD, NEW = "2026-01-01-000000-publish", "2026-02-02-000000-publish"
DIGEST, OTHER = "@sha256:" + "a" * 64, "@sha256:" + "b" * 64
PREDICTOR = f"""\
docker:
  registry: r
  imageName: ""
inference:
  predictor:
    image: "ml-outlink"
    image_version: "{OLD}"
    base_env:
      - name: WIKI_URL
        value: "http://x"
  transformer:
    image: "ml-transformer"
    image_version: "{OLD}"
revscoring_inference_services:
  - name: enwiki
    version: "20220720071937"
  - name: dewiki
    version: "20220720071938"
"""
AIRFLOW = f"""\
app:
  image: repos/airflow
  version: &base-image-version airflow-2.11.2-2026-06-10-131616-abc{DIGEST}
config:
  airflow:
    executor_pod_image_version: *base-image-version
gitsync:
  image_tag: git-sync-2026-01-01{DIGEST}
xcom_sidecar:
  tag: '20250601'
"""


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """One service of each group."""
    charts = Charts(tmp_path)
    serve = helmfile({"ml-staging-codfw": ["main"], "ml-serve-eqiad": ["main"], "ml-serve-codfw": ["main"]})
    charts.service("outlink", group=ML, helm=serve, values=PREDICTOR)
    charts.service("airflow-x", group=DSE, helm=helmfile({"dse-k8s-eqiad": ["production"]}), values=AIRFLOW)
    charts.service("jaeger", group=AUX, helm=helmfile({"aux-k8s-eqiad": ["main"]}), values="image:\n  tag: &tag '1.63.0-1'\na:\n  image:\n    tag: *tag\nb:\n  image:\n    tag: *tag\n")  # fmt: skip
    return charts


def test_predictor_and_transformer_are_parts(charts: Charts) -> None:
    """Two images: refused with both named; each moves by its part, and a model's version never."""
    err = charts.refused("outlink", NEW, "--services-dir", ML)
    assert "ml-outlink" in err
    assert "ml-transformer" in err
    changed, _ = charts.edit("outlink", NEW, "--services-dir", ML, "--part", "ml-outlink")
    assert changed == {f"{ML}/outlink/values.yaml": PREDICTOR.replace(OLD, NEW, 1).encode()}


def test_one_image_only_moves_without_a_part(charts: Charts) -> None:
    """No main_app, one image: there is nothing else that could be meant."""
    text = f'inference:\n  predictor:\n    image: "ml-x"\n    image_version: "{OLD}"\n'
    charts.put(f"{ML}/outlink/values.yaml", text)
    changed, _ = charts.edit("outlink", NEW, "--services-dir", ML)
    assert changed == {f"{ML}/outlink/values.yaml": text.replace(OLD, NEW).encode()}


def test_a_models_version_is_no_tag(charts: Charts) -> None:
    """Not even by --key."""
    charts.refused("outlink", NEW, "--services-dir", ML, "--key", "revscoring_inference_services.0.version")


def test_inference_by_key(charts: Charts) -> None:
    """Both in one call, each with its own tag."""
    changed, _ = charts.edit(
        "outlink", "--services-dir", ML, "--key", f"inference.predictor.image_version={NEW}",
        "--key", "inference.transformer.image_version=x-publish",
    )  # fmt: skip
    text = PREDICTOR.replace(OLD, NEW, 1).replace(OLD, "x-publish", 1)
    assert changed == {f"{ML}/outlink/values.yaml": text.encode()}


def test_an_anchored_tag_with_a_digest_moves_with_what_it_feeds(charts: Charts) -> None:
    """The executor's pods run the same image; the git-sync helper stays."""
    new = f"airflow-2.11.3-2026-07-01-000000-def{OTHER}"
    changed, outcome = charts.edit("airflow-x", new, "--services-dir", DSE)
    old = f"airflow-2.11.2-2026-06-10-131616-abc{DIGEST}"
    assert changed == {f"{DSE}/airflow-x/values.yaml": AIRFLOW.replace(old, new).encode()}
    assert "executor_pod_image_version" in outcome.err
    charts.refused("airflow-x", "airflow-2.11.3", "--services-dir", DSE)


def test_helpers_of_the_data_platform_by_key(charts: Charts) -> None:
    """A digest needs a digest, a quoted number stays quoted."""
    changed, _ = charts.edit("airflow-x", "20250701", "--services-dir", DSE, "--key", "xcom_sidecar.tag")
    assert changed == {f"{DSE}/airflow-x/values.yaml": AIRFLOW.replace("20250601", "20250701").encode()}
    changed, _ = charts.edit("airflow-x", f"g2{OTHER}", "--services-dir", DSE, "--key", "gitsync.image_tag")
    text = AIRFLOW.replace(f"git-sync-2026-01-01{DIGEST}", f"g2{OTHER}")
    assert changed == {f"{DSE}/airflow-x/values.yaml": text.encode()}
    charts.refused("airflow-x", "g2", "--services-dir", DSE, "--key", "gitsync.image_tag")


@pytest.mark.parametrize("key", ["image.tag", "a.image.tag"])
def test_an_anchor_used_three_times(charts: Charts, key: str) -> None:
    """Named by its definition or by an alias: all it feeds are tags, so it moves once and says whom else it moves."""
    changed, outcome = charts.edit("jaeger", "1.64.0-1", "--services-dir", AUX, "--key", key)
    place = f"{AUX}/jaeger/values.yaml"
    assert changed == {place: charts.state()[place].replace(b"1.63", b"1.64")}
    assert "b.image.tag" in outcome.err


def test_a_missing_group_is_a_usage_error(charts: Charts) -> None:
    """No such folder."""
    charts.fails(2, "outlink", NEW, "--services-dir", "helmfile.d/nosuch")
    charts.fails(2, "outlink", NEW, "--services-dir", "../elsewhere")


SUBCHARTS = """\
helmBinary: helm3
templates:
  default: &default
    namespace: data
    recreatePods: {{ if (hasKey .Environment.Values "roll_restart") }}true{{ else }}false{{end}}
    values:
      - "/etc/helmfile-defaults/general-{{ .Environment.Name }}.yaml" # general
      - "values.yaml" # shared
      - "values-{{ .Environment.Name }}.yaml" # env
      - "values-{{`{{ .Release.Name }}`}}.yaml" # release
      {{/*
      Copies all environment values (so basically general-{{ .Environment.Name }}.yaml,
      see the end of this file) into the subcharts.
      */}}
      {{- range $subchart := (list "frontend" "gms") }}
      - {{ $subchart }}:
      {{- range $k, $v := $.Environment.Values }}
        {{- $k | nindent 10 }}: {{ $v | toYaml | nindent 12 }}
      {{- end }}
      {{- end }}
    hooks:
      - events: ["prepare"]
        args: ["[{{`{{ .Environment.Name }}`}}] START {{`{{.HelmfileCommand}}`}}"]
  service_secrets: &service_secrets
    name: service-secrets
    namespace: data
    values:
      - "/etc/helmfile-defaults/private/{{ .Environment.Name }}.yaml"

releases:
  - <<: *service_secrets
  - name: staging
    <<: *default
    needs: [x]

# at the end, in the same document
environments:
  dse-k8s-eqiad:
    values:
      - releases: [staging]
      - "/etc/helmfile-defaults/general-{{ .Environment.Name }}.yaml"
    missingFileHandler: Warn
"""


def test_a_helmfile_full_of_loops_is_read(charts: Charts) -> None:
    """Environments at the end, comments over lines, ranges: layers and releases are still those of the file."""
    text = f"main_app:\n  image: x/data\n  version: {OLD}\n"
    copy = f"main_app:\n  version: {OLD}\n"
    charts.service("data", group=DSE, helm=SUBCHARTS, values=text, values_dse_k8s_eqiad=copy)
    where = ("--services-dir", DSE)
    said = charts.bump("data", NEW, *where, "--format", "json").json
    assert "service-secrets" not in str(said["before"])
    changed, _ = charts.edit("data", NEW, *where, "--env", "dse-k8s-eqiad")
    assert changed == {f"{DSE}/data/values-dse-k8s-eqiad.yaml": copy.replace(OLD, NEW).encode()}
    changed, _ = charts.edit("data", NEW, *where)
    assert changed == {
        f"{DSE}/data/values-dse-k8s-eqiad.yaml": copy.replace(OLD, NEW).encode(),
        f"{DSE}/data/values.yaml": text.replace(OLD, NEW).encode(),
    }


def test_a_common_folder_read_by_path(charts: Charts) -> None:
    """A layer of another directory is found where it is, and its other readers are named."""
    common = f"app:\n  image: repos/airflow\n  version: {OLD}\n"
    charts.put(f"{DSE}/_common_/values-eqiad.yaml", common)
    helm = helmfile({"eqiad": ["main"]}, ("values.yaml", "../_common_/values-ENV.yaml", "values-RELEASE.yaml"))
    for name in ("one", "two"):
        charts.service(name, group=DSE, helm=helm, values="a: 1\n")
    changed, outcome = charts.edit("one", NEW, "--services-dir", DSE)
    assert changed == {f"{DSE}/_common_/values-eqiad.yaml": common.replace(OLD, NEW).encode()}
    assert "two" in outcome.err


def test_one_image_with_two_tags_in_one_release_is_refused(charts: Charts) -> None:
    """Two models on one image at different tags: --key says which."""
    text = "inference_services:\n" + "".join(
        f'  {model}:\n    predictor:\n      image: "risk"\n      image_version: "{tag}"\n'
        for model, tag in (("agnostic", OLD), ("pre-save", "2025-05-05-000000-publish"))
    )
    charts.put(f"{ML}/outlink/values.yaml", text)
    err = charts.refused("outlink", NEW, "--services-dir", ML)
    assert "inference_services.pre-save.predictor.image_version" in err
    key = "inference_services.pre-save.predictor.image_version"
    changed, _ = charts.edit("outlink", NEW, "--services-dir", ML, "--key", key)
    assert changed == {f"{ML}/outlink/values.yaml": text.replace("2025-05-05-000000-publish", NEW).encode()}


UMBRELLA = """\
# one commit, several images
version: &version "{0}"

setup: &setup
  enabled: false
  image:
    tag: *version

searchSetup: *setup

data-front:
  main_app:
    version: *version
  config:
    public: {{}}

data-back:
  app:
    version:  *version
"""


@pytest.mark.parametrize("name", ["version", "app_version", "tag"])
def test_an_anchor_at_the_top_of_the_file_moves_all_its_charts(charts: Charts, name: str) -> None:
    """An umbrella chart: one line at the top is the tag of every chart below; the line itself feeds no pod."""
    text = UMBRELLA.replace("version: &", f"{name}: &", 1)
    charts.service("data", group=DSE, helm=helmfile({"eqiad": ["main"]}), values=text.format(OLD))
    changed, outcome = charts.edit("data", NEW, "--services-dir", DSE)
    assert changed == {f"{DSE}/data/values.yaml": text.format(NEW).encode()}
    assert "data-back.app.version" in outcome.err
    assert "also moves" not in outcome.err
    by_key, _ = charts.edit("data", "--services-dir", DSE, "--key", f"values.yaml:{name}={NEW}")
    assert by_key == changed


def test_an_anchor_at_the_top_that_feeds_no_tag_is_refused(charts: Charts) -> None:
    """What is put at the top may feed anything; a label is no tag."""
    text = UMBRELLA.format(OLD) + "label: *version\n"
    charts.service("data", group=DSE, helm=helmfile({"eqiad": ["main"]}), values=text)
    assert "label" in charts.refused("data", NEW, "--services-dir", DSE)


def test_the_charts_below_an_umbrella_are_parts(charts: Charts) -> None:
    """Each chart's main tag is an image's: refused with their names, moved by part."""
    text = f"front:\n  main_app:\n    version: {OLD}\nback:\n  app:\n    version: {OLD}\n"
    charts.service("data", group=DSE, helm=helmfile({"eqiad": ["main"]}), values=text)
    where = ("--services-dir", DSE)
    assert "--part front or --part back" in charts.refused("data", NEW, *where)
    changed, _ = charts.edit("data", NEW, *where, "--part", "back")
    assert changed == {f"{DSE}/data/values.yaml": f"{NEW}".join(text.rsplit(OLD, 1)).encode()}


def test_a_version_beside_an_image_that_holds_its_tag_is_no_tag_of_it(charts: Charts) -> None:
    """The operator's `version` is the engine's; the image's tag moves alone, the other by --key."""
    text = f"cluster:\n  general:\n    image: registry.example/repos/search:{OLD}\n    version: 2.7.0\n"
    charts.service("search", group=DSE, helm=helmfile({"eqiad": ["main"]}), values=text)
    changed, _ = charts.edit("search", NEW, "--services-dir", DSE)
    assert changed == {f"{DSE}/search/values.yaml": text.replace(OLD, NEW).encode()}
    changed, _ = charts.edit("search", "2.8.0", "--services-dir", DSE, "--key", "cluster.general.version")
    assert changed == {f"{DSE}/search/values.yaml": text.replace("2.7.0", "2.8.0").encode()}


def test_a_pin_of_an_umbrella_is_the_environments_own(charts: Charts) -> None:
    """The line at the top belongs to one environment: nothing else reads it, so it is that environment's copy."""
    text = UMBRELLA.format(OLD).split("data-back")[0].replace("searchSetup: *setup\n\n", "")
    charts.service("data", group=DSE, helm=helmfile({"eqiad": ["main"]}), values="a: 1\n", values_main=text)
    changed, outcome = charts.edit("data", NEW, "--services-dir", DSE, "--env", "eqiad", "--pin")
    assert changed == {f"{DSE}/data/values-main.yaml": text.replace(OLD, NEW).encode()}
    assert "also moves" not in outcome.err


TWINS = {"production": "ingress: {}\n", "own": f"app:\n  version: {OLD}-own\n"}


@pytest.fixture
def twins(charts: Charts) -> Charts:
    """Two services in one environment that read one common file; each has a file of its release."""
    charts.put(f"{DSE}/_twin_common_/values-eqiad.yaml", f"app:\n  version: {OLD}\n  port: 1\n")
    for name in ("twin", "twin-next"):
        charts.service(name, group=DSE, helm=helmfile({"eqiad": ["production"]}))
        charts.link(f"{DSE}/{name}/values-eqiad.yaml", "../_twin_common_/values-eqiad.yaml")
        charts.put(f"{DSE}/{name}/values-production.yaml", TWINS["production"])
    return charts


def test_a_pin_of_a_twin_goes_to_its_own_file(twins: Charts) -> None:
    """The common file is nobody's own copy: the lowest file that is the service's alone."""
    changed, outcome = twins.edit("twin-next", NEW, "--services-dir", DSE, "--env", "eqiad", "--pin")
    assert changed == {f"{DSE}/twin-next/values-production.yaml": f"ingress: {{}}\n\napp:\n  version: {NEW}\n".encode()}
    assert outcome.err == ""


def test_unpin_leaves_a_common_file_to_its_readers(twins: Charts) -> None:
    """What decides nothing here decides the twin's tag: it stays; where a reader would have no tag left, refused."""
    twins.put(f"{DSE}/twin-next/values-production.yaml", TWINS["own"])
    changed, outcome = twins.edit("twin-next", NEW, "--services-dir", DSE, "--unpin")
    assert changed == {f"{DSE}/twin-next/values-production.yaml": f"app:\n  version: {NEW}\n".encode()}
    assert outcome.err == ""
    twins.put(f"{DSE}/twin/values.yaml", f"app:\n  version: {OLD}\n")
    twins.put(f"{DSE}/twin-next/values-production.yaml", TWINS["production"])
    assert "twin-next" in twins.refused("twin", NEW, "--services-dir", DSE, "--unpin")
