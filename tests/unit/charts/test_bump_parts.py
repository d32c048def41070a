"""`quarterdeck bump` where a service has several images, where services share a file, and what a tag may look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.charts_tree import NEW, OLD, Charts, helmfile, only, shared

RELEASES = ["main-orchestrator", "javascript-evaluator", "python-evaluator"]
THREE = {"staging": RELEASES, "eqiad": RELEASES, "codfw": RELEASES}
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
GROUP = 'docker:\n  registry: r\n# for all shellbox instances!\nshellbox:\n  version: "2026-07-15-095645"\n'
GLOBAL = ("global.yaml", "values.yaml", "values-ENV.yaml", "values-RELEASE.yaml")


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """An empty checkout."""
    return Charts(tmp_path)


def part(image: str, version: str = OLD) -> str:
    """The file of one release."""
    return f"# Re-stated image: for greppability.\nmain_app:\n  image: repos/wf/{image}\n  version: {version}\n"


@pytest.fixture
def functions(charts: Charts) -> Charts:
    """A service with three releases, each with an image of its own."""
    charts.service("functions", helm=helmfile(THREE), values="main_app:\n  port: 1\n")
    names = zip(RELEASES, ("orchestrator", "rusty-js", "rusty-py"), strict=True)
    for release, image in names:
        charts.put(f"helmfile.d/services/functions/values-{release}.yaml", part(image))
    return charts


def test_several_main_images_are_refused_with_the_parts_named(functions: Charts) -> None:
    """Each reason helps to say it right the next time."""
    err = functions.refused("functions", NEW)
    for word in ("orchestrator", "rusty-js", "rusty-py", "--part", "values-python-evaluator.yaml"):
        assert word in err


def test_a_part_is_named_by_its_image(functions: Charts) -> None:
    """The last element of the image's path."""
    changed, outcome = functions.edit("functions", NEW, "--part", "rusty-js")
    assert changed == only(("values-javascript-evaluator.yaml", part("rusty-js", NEW)), service="functions")
    assert outcome.err == ""


def test_an_unknown_part_is_refused(functions: Charts) -> None:
    """The parts there are stand in the reason."""
    assert "rusty-js" in functions.refused("functions", NEW, "--part", "rusty")


def test_a_release_chooses_its_part(functions: Charts) -> None:
    """Only one image is meant, so nothing is ambiguous."""
    changed, _ = functions.edit("functions", NEW, "--release", "python-evaluator")
    assert changed == only(("values-python-evaluator.yaml", part("rusty-py", NEW)), service="functions")


def test_the_catalogue_names_parts(functions: Charts) -> None:
    """One part of the catalogue may hold several images: two files move."""
    place = functions.scratch / "services.yaml"
    place.write_text(
        "charts: {project: operations/deployment-charts}\n"
        "environments:\n  staging: {kind: staging}\n  codfw: {kind: production}\n"
        "  eqiad: {kind: production, primary: true}\n"
        "people:\n  alice: {shell: alice, groups: [deployers], irc: alice}\n"
        "services:\n  functions:\n    rooms: ['irc/#deploy']\n    parts:\n"
        "      orchestrator: {project: p/o, images: {main-orchestrator: repos/wf/orchestrator}}\n"
        "      evaluators:\n        project: p/e\n"
        "        images: {javascript-evaluator: repos/wf/rusty-js, python-evaluator: repos/wf/rusty-py}\n"
    )
    changed, _ = functions.edit("functions", NEW, "--part", "evaluators", "--catalogue", str(place))
    assert changed == only(
        ("values-javascript-evaluator.yaml", part("rusty-js", NEW)),
        ("values-python-evaluator.yaml", part("rusty-py", NEW)),
        service="functions",
    )
    assert "evaluators" in functions.refused("functions", NEW, "--catalogue", str(place))


def test_a_default_image_and_releases_with_another(charts: Charts) -> None:
    """wikidata-query-gui: the gui in values.yaml, builders in the files of their releases."""
    envs = {"staging": ["gui", "a-builder", "b-builder"]}
    charts.service(helm=helmfile(envs), values=shared(image="repos/wmde/gui"), values_a_builder=part("builder"))
    charts.service(helm=helmfile(envs), values_b_builder=part("builder"))
    assert "builder" in charts.refused("citoid", NEW)
    assert charts.edit("citoid", NEW, "--part", "gui")[0] == only(("values.yaml", shared(NEW, "repos/wmde/gui")))
    assert charts.edit("citoid", NEW, "--part", "builder")[0] == only(
        ("values-a-builder.yaml", part("builder", NEW)), ("values-b-builder.yaml", part("builder", NEW))
    )


def test_an_environment_with_another_image_is_a_part(charts: Charts) -> None:
    """Staging runs envoy-future: its tag does not move with the others'."""
    future = "main_app:\n  image: envoy-future\n  version: 1.39.0-1\n"
    charts.service("gateway", values=shared("1.35.9-1", "envoy"), values_staging=future)
    assert "envoy-future" in charts.refused("gateway", "1.40.0-1")
    changed, _ = charts.edit("gateway", "1.40.0-1", "--part", "envoy-future")
    assert changed == only(("values-staging.yaml", future.replace("1.39", "1.40")), service="gateway")
    changed, _ = charts.edit("gateway", "1.35.10-1", "--part", "envoy")
    assert changed == only(("values.yaml", shared("1.35.10-1", "envoy")), service="gateway")


def test_an_image_restated_without_difference_is_no_part(charts: Charts) -> None:
    """The same name in two files: one service, one image."""
    copy = f"main_app:\n  image: wikimedia/citoid\n  version: {OLD}\n"
    charts.service(values=shared(), values_staging=copy)
    assert charts.edit("citoid", NEW)[0] == only(
        ("values.yaml", shared(NEW)), ("values-staging.yaml", copy.replace(OLD, NEW))
    )


def test_a_sidecar_of_the_same_image_and_tag_moves_along(charts: Charts) -> None:
    """os-reports: the tag stands twice."""
    text = shared() + f"sidecars:\n  data-rsync:\n    image: wikimedia/citoid\n    version: {OLD}\n"
    assert charts.service(values=text).edit("citoid", NEW)[0] == only(("values.yaml", text.replace(OLD, NEW)))


def test_a_sidecar_with_another_suffix_never_gets_this_tag(charts: Charts) -> None:
    """One build, two suffixes: refused with the candidates, or the main one alone."""
    text = shared() + "sidecars:\n  sync:\n    image: wikimedia/citoid\n    version: 2026-08-06-230932-data-sync\n"
    outcome = charts.service(values=text).bump("citoid", NEW)
    assert b"data-sync" not in b"".join(line for line in outcome.out.splitlines() if line[:1] in b"-+")
    if outcome.status == 4:
        assert "sidecars.sync.version" in outcome.err


@pytest.fixture
def shellboxes(charts: Charts) -> Charts:
    """Two services that read one file."""
    for name in ("shellbox", "shellbox-media"):
        charts.service(name, helm=helmfile(layers=GLOBAL), values=f"shellbox:\n  flavour: {name}\n")
    charts.put("helmfile.d/services/shellbox/global.yaml", GROUP)
    return charts


@pytest.mark.parametrize("flat", [False, True], ids=["symlink", "symlink as text"])
@pytest.mark.parametrize("named", ["shellbox", "shellbox-media"])
def test_a_group_is_edited_once_at_the_real_path(shellboxes: Charts, named: str, flat: bool) -> None:
    """Any member names the group; the others are side effects. Also where git could write no symlinks."""
    place = "helmfile.d/services/shellbox-media/global.yaml"
    if flat:
        shellboxes.put(place, "../shellbox/global.yaml")
    else:
        shellboxes.link(place, "../shellbox/global.yaml")
    changed, outcome = shellboxes.edit(named, "2026-08-01-000000")
    real = "helmfile.d/services/shellbox/global.yaml"
    assert changed == only((real, GROUP.replace("2026-07-15-095645", "2026-08-01-000000")))
    other = {"shellbox": "shellbox-media", "shellbox-media": "shellbox"}[named]
    assert other in outcome.err
    side = shellboxes.bump(named, "2026-08-01-000000", "--format", "json").json["side_effects"]
    assert other in str(side)


def test_a_pin_in_a_group_is_the_members_alone(shellboxes: Charts) -> None:
    """values-staging.yaml of one member; the group's file stays."""
    shellboxes.link("helmfile.d/services/shellbox-media/global.yaml", "../shellbox/global.yaml")
    changed, outcome = shellboxes.edit("shellbox-media", "2026-08-01-000000", "--pin", "--env", "staging")
    pin = 'shellbox:\n  version: "2026-08-01-000000"\n'
    assert changed == only(("values-staging.yaml", pin), service="shellbox-media")
    assert outcome.err == ""


def test_links_that_lead_nowhere_or_outside_are_refused(shellboxes: Charts) -> None:
    """A dangling link, a circle, a link out of the checkout: never followed, never an exception."""
    for target in ("../nosuch/global.yaml", "global.yaml", "../../../../outside.yaml", "/etc/passwd"):
        place = shellboxes.root / "helmfile.d/services/shellbox-media/global.yaml"
        place.unlink(missing_ok=True)
        place.symlink_to(target)
        outcome = shellboxes.bump("shellbox-media", "2026-08-01-000000")
        assert outcome.status in (1, 4)
        assert outcome.err


def test_an_anchored_tag_whose_aliases_are_tags_moves_and_says_so(charts: Charts) -> None:
    """One definition, two uses: all are tags that go together."""
    text = f'main_app:\n  image: x/y\n  version: &v "{OLD}"\nsidecars:\n  b:\n    image: x/y\n    version: *v\n'
    changed, outcome = charts.service(values=text).edit("citoid", NEW)
    assert changed == only(("values.yaml", text.replace(OLD, NEW)))
    assert "sidecars.b.version" in outcome.err


def test_an_anchored_tag_that_feeds_something_else_is_refused(charts: Charts) -> None:
    """A label would change with it."""
    text = f"main_app:\n  image: x/y\n  version: &v {OLD}\n  label: *v\n"
    assert "label" in charts.service(values=text).refused("citoid", NEW)


def test_an_alias_at_the_target_is_followed_to_its_definition(charts: Charts) -> None:
    """The definition stands above, and feeds tags only."""
    text = f"common:\n  image_version: &v {OLD}\nmain_app:\n  image: x/y\n  version: *v\n"
    changed, outcome = charts.service(values=text).edit("citoid", NEW)
    assert changed == only(("values.yaml", text.replace(OLD, NEW)))
    assert "common.image_version" in outcome.err


def test_a_digest_is_moved_with_its_tag(charts: Charts) -> None:
    """A scalar with a digest needs a TAG with a digest."""
    text = shared(f"v1@{DIGEST}")
    charts.service(values=text)
    assert "sha256" in charts.refused("citoid", "v2") or "digest" in charts.refused("citoid", "v2")
    assert charts.edit("citoid", f"v2@{OTHER}")[0] == only(("values.yaml", shared(f"v2@{OTHER}")))


@pytest.mark.parametrize("tag", ["v2@sha256:short", "v2@md5:abc", f"@{DIGEST}", f"v2@{DIGEST}x"])
def test_a_digest_that_is_none_is_refused(charts: Charts, tag: str) -> None:
    """The tag must be one the registry could hold."""
    charts.service(values=shared(f"v1@{DIGEST}")).refused("citoid", tag)


@pytest.mark.parametrize("quote", ["", '"', "'"])
@pytest.mark.parametrize("name", ["r/debug", "registry.example:5000/r/debug"])
def test_a_tag_inside_an_image_string(charts: Charts, name: str, quote: str) -> None:
    """Only what follows the last colon moves; a port is no tag."""
    text = f"main_app:\n  image: {quote}{name}:{OLD}{quote} # both\n  port: 1\n"
    assert charts.service(values=text).edit("citoid", NEW)[0] == only(("values.yaml", text.replace(OLD, NEW)))


@pytest.mark.parametrize(
    ("tag", "plain"),
    [
        ("1.10", False), ("0755", False), ("1_000", False), ("2026-01-01", False), ("on", False), ("null", False),
        ("1e3", False), ("0x1f", False), ("true", False), ("20250601", False), ("1.35.9-1", True), ("v1", True),
        ("12345678e9", None), ("0o17", None), ("4.15.0-2", True),
    ],
)  # fmt: skip
def test_a_tag_that_would_not_stay_a_string_is_quoted(charts: Charts, tag: str, plain: bool | None) -> None:
    """Quotes where YAML would read a number, a date or a truth; else plain as before."""
    changed, _ = charts.service(values=shared("v0")).edit("citoid", tag)
    both = [only(("values.yaml", shared(f"{q}{tag}{q}"))) for q in ('"', "'")]
    bare = only(("values.yaml", shared(tag)))
    assert changed in ([bare] if plain else both if plain is False else [bare, *both])


def test_a_number_as_old_tag_is_a_tag(charts: Charts) -> None:
    """version: 1.10 unquoted is what stood there; the new one is a string."""
    assert charts.service(values=shared("1.10")).edit("citoid", "v2")[0] == only(("values.yaml", shared("v2")))


def test_an_overridden_common_file_stays(charts: Charts) -> None:
    """A member with a tag of its own moves that alone; the file it shares with others decides nothing of it."""
    common = f"app:\n  version: &v {OLD}\n  executor_pod_image_version: *v\n"
    own = common.replace(OLD, "2026-01-01-000000-own")
    charts.put("helmfile.d/services/_common_/values-eqiad.yaml", common)
    for name in ("one", "two", "three"):
        charts.service(name, helm=helmfile({"eqiad": ["production"]}), values="a: 1\n")
        charts.link(f"helmfile.d/services/{name}/values-eqiad.yaml", "../_common_/values-eqiad.yaml")
    charts.service("one", helm=helmfile({"eqiad": ["production"]}), values_production=own)
    changed, _ = charts.edit("one", NEW)
    assert changed == only(("values-production.yaml", common.replace(OLD, NEW)), service="one")
    changed, outcome = charts.edit("two", NEW)
    assert changed == only(("helmfile.d/services/_common_/values-eqiad.yaml", common.replace(OLD, NEW)))
    assert "three" in outcome.err


def test_the_advice_of_a_refusal_can_be_followed(charts: Charts) -> None:
    """The keys it tells to say name their file, so that other releases' files stay."""
    text = part("nav", "2026-01-01-web") + "sidecars:\n  sync:\n    image: repos/wf/nav\n    version: 2026-01-01-sync\n"
    charts.service(
        helm=helmfile({"eqiad": ["nav", "blog"]}), values="a: 1\n", values_nav=text, values_blog=part("blog")
    )
    err = charts.refused("citoid", NEW, "--part", "nav")
    keys = [word for word in err.split() if "version=TAG" in word]
    assert keys
    args = [x for key in keys for x in ("--key", key.replace("TAG", "v2" if "main_app" in key else "v3").rstrip(",;"))]
    changed, _ = charts.edit("citoid", *args)
    assert changed == only(("values-nav.yaml", text.replace("2026-01-01-web", "v2").replace("2026-01-01-sync", "v3")))


def test_the_advice_spells_the_tags_of_one_build(charts: Charts) -> None:
    """Tags that differ by what follows the build's time: the keys bring the new time and keep their own ends."""
    text = part("nav", "2026-06-01-170250-web")
    text += "sidecars:\n  sync:\n    image: repos/wf/nav\n    version: 2026-06-01-170250-data-sync\n"
    charts.service(helm=helmfile({"eqiad": ["nav"]}), values="a: 1\n", values_nav=text)
    after = text.replace("2026-06-01-170250", "2026-06-08-111111")
    for said in ("2026-06-08-111111-web", "2026-06-08-111111-data-sync", "2026-06-08-111111"):
        err = charts.refused("citoid", said)
        keys = [word for word in err.split() if ".version=2026" in word]
        changed, _ = charts.edit("citoid", *(x for key in keys for x in ("--key", key)))
        assert changed == only(("values-nav.yaml", after))
    for said in ("v2", "2026-06-08-111111-other", "devel"):
        assert "version=TAG" in charts.refused("citoid", said)
