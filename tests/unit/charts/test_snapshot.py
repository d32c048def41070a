"""Finding and moving image tags in values files, byte for byte."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from quarterdeck.core.charts.reading.images import ReleaseImage
from quarterdeck.core.charts.reading.parts import CatalogueImages
from quarterdeck.core.charts.snapshot import TagLocation
from quarterdeck.core.model.errors import EditRefusedError
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.intent import ALL
from tests.worlds.charts_questions import effective, environments, parts_of, plan, release_images, timeout

D = "helmfile.d/services/citoid"
SHARED, STAGING = f"{D}/values.yaml", f"{D}/values-staging.yaml"
OLD, NEW = "2026-08-06-230932-production", "2026-08-17-094555-production"
HELMFILE = b"""\
helmDefaults:
  args:
    - --kubeconfig
    - {{ .Environment.Values | get "kubeConfig" }}

environments:
  staging:
    values:
      - releases: [main]
      # comment:
  eqiad: &x
    values:
      - releases: [main, canary]
  "codfw":
    <<: *x
---
bases:
  - ../global.yaml
templates:
  default: &default
    recreatePods: {{ if x }}true{{ end }}
    values:
      - "/etc/helmfile-defaults/general-{{ .Environment.Name }}.yaml"
      - "values.yaml" # shared
      - "values-{{ .Environment.Name }}.yaml"
releases:
  - name: main
    <<: *default
  - name: 'canary' # early
"""
PLAIN = f"docker:\n  registry: r\nmain_app:\n  image: wikimedia/citoid\n  version: {OLD} # keep\n  port: 1\n".encode()


def tree(
    shared: bytes | None = PLAIN,
    staging: bytes | None = None,
    links: dict[str, str] | None = None,
    sharers: dict[str, tuple[str, ...]] | None = None,
    **more: bytes,
) -> Tree:
    """A service's folder."""
    files = {f"{D}/helmfile.yaml": HELMFILE}
    files |= {path: raw for path, raw in ((SHARED, shared), (STAGING, staging)) if raw is not None}
    files |= {f"{D}/{name.replace('__', '-')}.yaml": raw for name, raw in more.items()}
    return Tree("c0ffee", files, links or {}, sharers or {})


def refusal(files: Tree, targets: tuple[str, ...] = ("staging",), tag: str = NEW, directory: str = "citoid") -> str:
    """The words of a refused edit."""
    with pytest.raises(EditRefusedError) as caught:
        plan(files, directory, targets, tag)
    text = str(caught.value)
    assert "by hand, then !apply citoid" in text or directory != "citoid"
    return text


def test_a_helmfile_is_read_without_running_it() -> None:
    """Environments, releases and shared files are found by indentation, templates and all."""
    assert environments(tree(), D) == ("staging", "eqiad", "codfw")


def test_a_helmfile_may_be_a_template_or_a_symlink() -> None:
    """The other usual name is found, also through a symlink."""
    raw = b"environments:\n  one:\n"
    assert environments(Tree("c", {"s/a/helmfile.yaml.gotmpl": raw}), "a") == ("one",)
    linked = Tree("c", {"s/b/helmfile.yaml": raw}, {"s/a/helmfile.yaml": "s/b/helmfile.yaml"})
    assert environments(linked, "a") == ("one",)


def test_helms_timeout_is_read_from_the_helmfile() -> None:
    """Our deadlines follow what the helmfile says; Helm's own default stands where it says nothing."""
    assert timeout(tree(), D) == 300
    raw = b"helmDefaults:\n  atomic: true\n  timeout: 20 # short\nenvironments:\n  one:\n    timeout: 5\n"
    assert timeout(Tree("c", {"s/a/helmfile.yaml": raw}), "a") == 20


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no helmfile.yaml"),
        ({"x/a/helmfile.yaml": b"", "y/a/helmfile.yaml": b""}, "several folders"),
        ({"x/a/helmfile.yaml": b"releases: []\n"}, "no environments"),
        ({"x/a/helmfile.yaml": b"environments:\nother:\n  a: 1\n"}, "no environments"),
    ],
)
def test_an_unclear_helmfile_is_refused(files: dict[str, bytes], words: str) -> None:
    """Without one helmfile that names environments nothing is said or edited."""
    with pytest.raises(EditRefusedError, match=words):
        environments(Tree("c", files), "a")


def test_the_shared_tag_serves_all() -> None:
    """One plain scalar in values.yaml is the tag of every environment."""
    found = TagLocation(OLD, SHARED, "main_app.version", 5)
    assert effective(tree(), D) == {"staging": found, "eqiad": found, "codfw": found}
    assert effective(tree(), D, ("eqiad",)) == {"eqiad": found}
    with pytest.raises(EditRefusedError, match="no environment beta"):
        effective(tree(), D, ("beta",))


def test_an_edit_changes_those_bytes_only() -> None:
    """The tag is replaced where it stands; comments and all else stay; the effect names every environment."""
    edit = plan(tree(), "citoid", ("staging",), NEW)
    assert edit.files == {SHARED: PLAIN.replace(OLD.encode(), NEW.encode())}
    assert edit.lines == ((SHARED, 5, "main_app.version"),)
    assert edit.write_set == ((SHARED, "main_app.version"),)
    assert edit.effect == dict.fromkeys(("staging", "eqiad", "codfw"), (OLD, NEW))
    assert not edit.already


def test_nothing_to_do_is_said() -> None:
    """A tag that stands there already makes an empty plan."""
    edit = plan(tree(), D, ("staging", "eqiad"), OLD)
    assert edit.already
    assert edit.files == {}
    assert edit.effect == {}


def test_an_environments_own_copy_is_edited_alone() -> None:
    """Staging's copy belongs to staging; production's edit leaves it."""
    own = f"main_app:\n  version: '{OLD}'\n  x: 1\n".encode()
    edit = plan(tree(staging=own), D, ("staging",), NEW)
    assert edit.files == {STAGING: own.replace(OLD.encode(), NEW.encode())}
    assert edit.effect == {"staging": (OLD, NEW)}
    production = plan(tree(staging=own), D, ("codfw", "eqiad"), NEW)
    assert list(production.files) == [SHARED]
    assert set(production.effect) == {"codfw", "eqiad"}
    both = plan(tree(staging=own), D, ("staging", "codfw"), NEW)
    assert set(both.files) == {SHARED, STAGING}
    half = plan(tree(staging=own.replace(OLD.encode(), NEW.encode())), D, ("staging", "codfw"), NEW)
    assert set(half.files) == {SHARED}


@pytest.mark.parametrize(
    "shape",
    [
        b"\xef\xbb\xbfmain_app:\n  version: TAG\n",
        b"main_app:\r\n  image: x\r\n  version: TAG\r\nmore: 1\r\n",
        b"main_app:\n  version:  TAG  ",
        b'app: {version: "TAG", x: [1, 2]}\n',
        b"shellbox:\n  version: 'TAG'   # why\n",
        "# \U0001f680 ünï\nx: \U0001f680\nmain_app:\n  version: TAG\ny: é\n".encode(),
        b"\xef\xbb\xbf# \xc3\xa9\r\nmain_app:\r\n  version: 'TAG'",
        b"dup: 1\ndup: 2\nmain_app:\n  version: TAG\n  nested: {version: other}\nversion: 3\n",
        b"a: &a {b: 1}\nc: *a\nd: &d [*d]\nmain_app:\n  <<: *a\n  version: TAG\n",
        b"---\nmain_app:\n  other: TAG\n  ? version\n  : TAG\n",
        b'"main_app":\n  "version": TAG\n',
    ],
)
def test_bytes_around_the_tag_stay(shape: bytes) -> None:
    """Byte order mark, line ends, quotes, comments, blanks and odd keys stay; the way back restores each byte."""
    raw = shape.replace(b"TAG", OLD.encode())
    (new,) = plan(tree(raw), D, ("staging",), NEW).files.values()
    at = raw.rindex(OLD.encode())
    assert new == raw[:at] + NEW.encode() + raw[at + len(OLD) :]
    (back,) = plan(tree(new), D, ("staging",), OLD).files.values()
    assert back == raw


ODD = ["1.10", "0755", "on", "1_000", "2026-01-01", "1e3", "12e5", "0x1f", "null", "y", "2026-99-99"]


@pytest.mark.parametrize("tag", ODD)
def test_a_tag_that_is_no_string_is_quoted(tag: str) -> None:
    """What some YAML reader takes for a number, a date or a truth value is written in quotes."""
    (new,) = plan(tree(), D, ("staging",), tag).files.values()
    assert f'version: "{tag}" # keep'.encode() in new
    assert yaml.safe_load(new)["main_app"]["version"] == tag


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a: 1\n", "no main image tag for staging"),
        (b"", "no main image tag"),
        (b"- 1\n", "no main image tag"),
        (b"main_app: x\n", "no main image tag"),
        (b"main_app:\n  image: x\n", "no main image tag"),
        (
            b"t: &t x\nmain_app:\n  version: *t\n",
            "values.yaml:1 the anchored value of main_app.version also feeds t, which is no image tag",
        ),
        (b"main_app:\n  version: x\n  version: y\n", "main_app.version stands there twice: .*:2, .*:3"),
        (b"main_app:\n  version: x\nmain_app:\n  version: y\n", "main_app.version stands there twice: .*:1, .*:3"),
        (b"main_app:\n  version: |\n    x\n", "block scalar"),
        (b"main_app:\n  version: >-\n    x\n", "block scalar"),
        (b"main_app:\n  version:\n", "has no value"),
        (b"main_app:\n  version: ''\n", "has no value"),
        (b"main_app:\n  version: [x]\n", "no single value"),
        (b"main_app:\n  version: '{{ .x }}'\n", "Go template"),
        (b"main_app:\n  version: {{ .x }}\n", "main_app.version is a Go template"),
        (b"main_app:\n  version: x\n---\nmain_app:\n  version: y\n", "in several documents"),
        (
            b"main_app:\n  version: x\napp:\n  version: y\n",
            "several tags of citoid in release main could be meant .*:2, .*:4",
        ),
        (b"a: \xff\n", "no UTF-8"),
        (b"a: \x00\n", "no plain YAML"),
        (b"a: *nope\n", "no plain YAML"),
        (b"main_app: {version: x, y: " + b"[" * 150 + b"]" * 150 + b"}\n", "nested too deeply"),
    ],
)
def test_unclear_shapes_are_refused_with_the_place(raw: bytes, words: str) -> None:
    """Whatever is not one plain scalar is refused, and the line is named."""
    with pytest.raises(EditRefusedError, match=words):
        plan(tree(raw), D, ("staging",), NEW)


def test_one_environments_odd_copy_is_refused() -> None:
    """Another key in an environment's own file makes the tag unclear."""
    assert "several images" in refusal(tree(staging=b"app:\n  version: x\n"))


def test_a_release_files_copy_wins_and_is_edited() -> None:
    """The helmfile's releases read files of their own only where it says so."""
    assert plan(tree(values__canary=b"a: 1\n", other=b"app: {version: 1}\n"), D, ("staging",), NEW).files


def test_an_edit_of_a_shared_file_names_the_other_services_environments() -> None:
    """A file that feeds other services is edited at its real path, and what moves with them is in the effect."""
    other = "helmfile.d/services/zotero"
    linked = Tree(
        "c",
        {f"{D}/helmfile.yaml": HELMFILE, f"{other}/values.yaml": PLAIN, f"{other}/helmfile.yaml": HELMFILE},
        {SHARED: f"{other}/values.yaml"},
        {f"{other}/values.yaml": ("citoid", "zotero")},
    )
    edit = plan(linked, D, ("staging",), NEW)
    assert list(edit.files) == [f"{other}/values.yaml"]
    assert edit.others == ("zotero",)
    assert {place: edit.effect[place] for place in ("staging", "codfw", "zotero/staging")} == dict.fromkeys(
        ("staging", "codfw", "zotero/staging"), (OLD, NEW)
    )


def test_a_file_shared_with_a_service_that_cannot_be_read_is_refused() -> None:
    """What would become of the other service cannot be told, so nothing is edited."""
    real = "helmfile.d/services/zotero/values.yaml"
    unread = Tree("c", {f"{D}/helmfile.yaml": HELMFILE, real: PLAIN}, {SHARED: real}, {real: ("citoid", "zotero")})
    assert "zotero/values.yaml:5 main_app.version is shared with zotero, whose helmfile I cannot" in refusal(unread)
    assert "is shared with zotero" in refusal(tree(sharers={SHARED: ("citoid", "zotero")}))
    assert plan(tree(sharers={SHARED: ("citoid",)}), D, ("staging",), NEW).files


PARTED = tree(
    b"main_app:\n  port: 1\n",
    values__main=f"main_app:\n  image: wikimedia/one\n  version: {OLD}\n".encode(),
    values__canary=f"main_app:\n  image: wikimedia/two\n  version: {OLD}\n".encode(),
)
PARTED_KNOWN = CatalogueImages("", {"first": ("wikimedia/one",), "second": ("registry/wikimedia/two",)})


def parted() -> Tree:
    """A service whose two releases run an image each."""
    helmfile = HELMFILE.replace(b"shared\n", b'shared\n      - "values-{{`{{ .Release.Name }}`}}.yaml"\n')
    helmfile = helmfile.replace(b"'canary' # early\n", b"canary\n    <<: *default\n")
    return Tree("c", {**PARTED.files, f"{D}/helmfile.yaml": helmfile})


def test_parts_are_named_by_the_catalogue_or_else_by_their_images() -> None:
    """Each part says its images, where its tags stand, and in how many files."""
    named = {found.name: found for found in parts_of(parted(), D, PARTED_KNOWN)}
    assert list(named) == ["first", "second"]
    assert named["second"].images == ("registry/wikimedia/two",)
    assert named["second"].tags == {"eqiad": (OLD,), "codfw": (OLD,)}
    assert named["first"].files == 1
    assert [found.name for found in parts_of(parted(), D)] == ["one", "two"]


def test_one_part_is_edited_alone_and_all_together() -> None:
    """A part's own file moves; without a part nothing does, as it is not clear which; `all` moves every one."""
    edit = plan(parted(), D, ("eqiad",), NEW, PARTED_KNOWN, "second")
    assert list(edit.files) == [f"{D}/values-canary.yaml"]
    assert edit.effect == {"eqiad": (OLD, NEW), "codfw": (OLD, NEW)}
    with pytest.raises(EditRefusedError, match=r"several images: first, second.*!apply citoid eqiad"):
        plan(parted(), D, ("eqiad",), NEW, PARTED_KNOWN)
    with pytest.raises(EditRefusedError, match=r"third is no part.*!apply citoid/third eqiad"):
        plan(parted(), D, ("eqiad",), NEW, PARTED_KNOWN, "third")
    every = plan(parted(), D, ("eqiad",), NEW, PARTED_KNOWN, ALL)
    assert sorted(every.files) == [f"{D}/values-canary.yaml", f"{D}/values-main.yaml"]
    assert plan(parted(), D, ("eqiad",), OLD, PARTED_KNOWN, ALL).already


def test_the_catalogues_image_decides_which_part_is_the_services_own() -> None:
    """Of several images the one that its code repository builds is meant."""
    edit = plan(parted(), D, ("eqiad",), NEW, CatalogueImages("wikimedia/two"))
    assert list(edit.files) == [f"{D}/values-canary.yaml"]
    assert (
        effective(parted(), D, ("eqiad",), CatalogueImages("wikimedia/two"))["eqiad"].file == f"{D}/values-canary.yaml"
    )


def test_release_images_are_those_the_registry_has() -> None:
    """Each release with its image by the catalogue's name, and the tag with the flavour that the chart puts to it."""
    assert release_images(parted(), D, "eqiad", PARTED_KNOWN, "second") == {
        "canary": (ReleaseImage("registry/wikimedia/two", OLD),)
    }
    assert set(release_images(parted(), D, "eqiad", PARTED_KNOWN)) == {"main", "canary"}
    assert release_images(parted(), D, "eqiad", CatalogueImages("wikimedia/one")) == {
        "main": (ReleaseImage("wikimedia/one", OLD),)
    }
    boxed = tree(b'shellbox:\n  version: "1.0"\n', staging=b"shellbox:\n  flavour: score83\n")
    (image,) = release_images(boxed, D, "staging", CatalogueImages("wikimedia/shellbox"))["main"]
    assert image.reference == "wikimedia/shellbox:1.0-score83"
    (image,) = release_images(boxed, D, "eqiad", CatalogueImages("wikimedia/shellbox", suffix="-score"))["main"]
    assert image.reference == "wikimedia/shellbox:1.0-score"


def test_a_pin_gives_an_environment_its_own_copy() -> None:
    """Nothing else moves, and where no file is one is made."""
    edit = plan(tree(), D, ("staging",), NEW, pin=True)
    assert edit.files == {STAGING: f"main_app:\n  version: {NEW}\n".encode()}
    assert edit.effect == {"staging": (OLD, NEW)}


def test_wrong_requests_are_refused() -> None:
    """No tag, no environment, or one that is not there: nothing is computed."""
    assert "is no image tag" in refusal(tree(), tag="a b")
    assert "no environment was named" in refusal(tree(), targets=())
    assert "no environment beta" in refusal(tree(), targets=("beta",))
    assert "then !apply citoid production" in refusal(tree(b""), targets=("codfw", "eqiad"))
    assert "no folder" in refusal(tree(), directory="/")


def test_a_plain_value_over_two_lines_is_one_value() -> None:
    """A folded plain scalar is one value and becomes one line."""
    edit = plan(tree(b"main_app:\n  version: a\n    b\n"), D, ("staging",), NEW)
    assert edit.files == {SHARED: f"main_app:\n  version: {NEW}\n".encode()}


TAGS = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,30}\Z")
KEYS = st.sampled_from(["main_app", "app", "shellbox"])
QUOTES = st.sampled_from(["", '"', "'"])
LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="\x85\u2028\u2029\ufeff")
COMMENTS = st.text(LETTERS, max_size=20)


@given(KEYS, TAGS, TAGS, QUOTES, COMMENTS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_tag_is_moved_and_moved_back(
    key: str, old: str, new: str, quote: str, comment: str, end: str, mark: bool
) -> None:
    """For any two tags the edit changes one span, reads back as exactly the new tag, and is undone by its inverse."""
    assume(old != new)  # the same tag may need quotes to be one: test_bump_wrong
    head = f"# {comment}{end}{key}:{end}  image: x{end}  version: "
    tail = f" # {comment}{end}z: 1"
    bom = "\ufeff" if mark else ""
    raw = f"{bom}{head}{quote}{old}{quote}{tail}".encode()
    edit = plan(tree(raw), D, ("staging",), new)
    changed = edit.files[SHARED]
    assert changed.startswith(f"{bom}{head}".encode())
    assert changed.endswith(tail.encode())
    assert effective(tree(changed), D)["eqiad"].tag == new
    back = plan(tree(changed), D, ("staging",), old)
    assert effective(tree(back.files[SHARED]), D)["eqiad"].tag == old
    if quote:
        assert back.files[SHARED] == raw


@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes, more: bytes) -> None:
    """Arbitrary bytes in values and helmfile raise nothing but a refusal."""
    for files in (
        tree(raw),
        tree(staging=raw),
        tree(b"main_app:\n  version: " + raw),
        Tree("c", {f"{D}/helmfile.yaml": HELMFILE + more, SHARED: PLAIN}),
        Tree("c", {f"{D}/helmfile.yaml": more, SHARED: PLAIN}),
    ):
        try:
            edit = plan(files, D, ("staging",), NEW)
        except EditRefusedError:
            continue
        assert edit.already or edit.files


def test_nothing_but_values_files_is_edited() -> None:
    """A helmfile that names itself, or a hidden file, as a layer gets no edit: the bot votes for values files only."""
    odd = b"environments:\n  staging:\nreleases:\n  - name: main\n    values: [NAME]\nmain_app:\n  version: x\n"
    for name in ("helmfile.yaml", ".fixtures.yaml", "values.json"):
        files = {f"{D}/helmfile.yaml": odd.replace(b"NAME", name.encode())}
        files.setdefault(f"{D}/{name}", b"main_app:\n  version: x\n")
        assert "only values files are edited" in refusal(Tree("c", files))
