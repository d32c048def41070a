"""Settings and catalogue tell every mistake at once, in words; the example files are complete and true."""

from __future__ import annotations

import copy
import os
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from quarterdeck.config import catalogue, settings
from quarterdeck.config.mistakes import SettingsError, inner_model
from quarterdeck.config.settings import Settings
from quarterdeck.core.model.catalogue import MergeMode
from quarterdeck.core.model.room import Room

ROOT = Path(__file__).parents[3]
ENVIRON = {"QUARTERDECK_REGISTRY_PASSWORD": "from the environment"}


@pytest.fixture
def block(tmp_path: Path) -> dict[str, Any]:
    """The example's block in a folder that holds the files it names."""
    (tmp_path / "secrets").mkdir()
    for name in ("gerrit-token", "gerrit-key", "known_hosts", "deploy-key", "irc-password"):
        path = tmp_path / "secrets" / name
        path.write_text(f"the {name}\n")
        path.chmod(0o600)
    (tmp_path / "services.yaml").write_text((ROOT / "services.yaml.example").read_text())
    return example()


def example() -> dict[str, Any]:
    """The block of the example file."""
    return copy.deepcopy(runpy.run_path(str(ROOT / "config.py.example"))["QUARTERDECK"])


def mistakes(block: Mapping[str, Any], folder: Path) -> list[str]:
    """What is told of a bad block."""
    with pytest.raises(SettingsError) as caught:
        settings.load(block, folder, ENVIRON)
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    return list(caught.value.mistakes)


def test_the_example_is_good_settings(block: dict[str, Any], tmp_path: Path) -> None:
    """The example loads as it stands; secrets come from file and environment and are hidden in any print."""
    found = settings.load(block, tmp_path, ENVIRON)
    assert found.gerrit.token.get_secret_value() == "the gerrit-token"
    assert found.registry.password
    assert found.registry.password.get_secret_value() == "from the environment"
    assert found.data_dir == tmp_path / "data"
    assert "the gerrit-token" not in repr(found)
    assert {"the gerrit-token", "from the environment", "the irc-password", "the deploy-key\n"} <= set(found.secrets)
    assert found.links == "https://deploy.example.org"


def keys_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Paths of the keys a model knows."""
    for name, field in model.model_fields.items():
        yield f"{path}{name}"
        inner = inner_model(field.annotation)
        if inner:
            star = "*." if str(field.annotation).startswith("dict") else ""
            yield from keys_of(inner, f"{path}{name}.{star}")


def keys_in(block: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Paths of the keys a block has."""
    for name, value in block.items():
        yield f"{path}{name}"
        if isinstance(value, Mapping) and not {"file", "env"} & set(value) and name != "environment":
            if name == "networks":
                for inner in value.values():
                    yield from keys_in(inner, f"{path}{name}.*.")
            else:
                yield from keys_in(value, f"{path}{name}.")


def test_every_key_of_the_example_is_known_and_the_reverse() -> None:
    """No key is missing in the example, and none there is unknown."""
    assert set(keys_in(example())) == set(keys_of(Settings))


def test_the_example_names_the_defaults() -> None:
    """Where a key has a default, the example shows it, so that reading it is enough."""
    shown = example()
    for model, part in (
        (settings.Health, shown["health"]),
        (settings.Deadlines, shown["deadlines"]),
        (settings.Web, shown["web"]),
    ):
        assert model.model_validate({}) == model.model_validate(part)


def test_every_setting_says_what_it_is() -> None:
    """Each field has a sentence, and a duration has its unit in its name."""

    def walk(model: type[BaseModel]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            if field.annotation is float:
                assert name.endswith("_s") or name == "rate", name
            inner = inner_model(field.annotation)
            if inner:
                walk(inner)

    walk(Settings)


def test_every_mistake_is_told_at_once(block: dict[str, Any], tmp_path: Path) -> None:
    """One start shows all that is wrong, each with its path, and a near name for an unknown key."""
    block["gerit"] = block.pop("gerrit")
    block["web"]["prt"] = block["web"].pop("port")
    block["deadlines"]["gate_s"] = "soon"
    block["health"]["soak_s"] = -1
    block["networks"]["irc"]["nck"] = 1
    block["networks"]["irc"]["port"] = 70000
    block["catalogue"] = "nowhere.yaml"
    block["redact_patterns"] = ["(", "x*"]
    told = mistakes(block, tmp_path)
    for wanted in (
        "gerit: unknown key (did you mean gerrit?)",
        "gerrit: is missing: code review",
        "web.prt: unknown key (did you mean port?)",
        "deadlines.gate_s: must be a number",
        "networks.irc.nck: unknown key (did you mean nick?)",
        f"catalogue: there is no file {tmp_path}/nowhere.yaml",
        "redact_patterns.1: matches the empty text",
    ):
        assert wanted in told
    assert any(t.startswith("health.soak_s: ") for t in told)
    assert any(t.startswith("networks.irc.port: ") for t in told)
    assert any(t.startswith("redact_patterns.0: no regular expression") for t in told)
    assert len(told) == 10


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("hunter2", 'must be {"file": PATH} or {"env": NAME}, never the secret itself'),
        ({"value": "hunter2"}, 'must be {"file": PATH} or {"env": NAME}, never the secret itself'),
        ({"env": "NOWHERE"}, "the environment variable NOWHERE is not set"),
        ({"env": "EMPTY"}, "the environment variable EMPTY is empty"),
        ({"file": "secrets/none"}, "there is no file {folder}/secrets/none"),
        ({"file": "secrets/empty"}, "the file secrets/empty is empty"),
        ({"file": "secrets/open"}, "everybody can read or write {folder}/secrets/open"),
        ({"file": "secrets/binary"}, "cannot be read as text"),
        ({"file": ""}, "the file must have a name"),
    ],
)
def test_a_bad_secret_is_told_without_its_value(block: dict[str, Any], tmp_path: Path, given: Any, wanted: str) -> None:
    """A secret given by value, missing, empty, or open to everybody is a mistake, and is not printed."""
    for name, data, mode in (("empty", b"\n", 0o600), ("open", b"hunter2", 0o644), ("binary", b"\xff\xfe", 0o600)):
        (tmp_path / "secrets" / name).write_bytes(data)
        (tmp_path / "secrets" / name).chmod(mode)
    block["gerrit"]["token"] = given
    with pytest.raises(SettingsError) as caught:
        settings.load(block, tmp_path, {**ENVIRON, "EMPTY": " "})
    (told,) = caught.value.mistakes
    assert told.startswith("gerrit.token: ")
    assert wanted.replace("{folder}", str(tmp_path)) in told
    assert "hunter2" not in told


def test_an_open_private_key_and_a_url_with_credentials_are_mistakes(block: dict[str, Any], tmp_path: Path) -> None:
    """A key that everybody can read is refused; so is a password hidden in a URL, without repeating it."""
    os.chmod(tmp_path / "secrets" / "deploy-key", 0o644)
    block["gerrit"]["url"] = "https://bot:hunter2@gerrit.example.org"
    block["registry"]["password"] = None
    told = mistakes(block, tmp_path)
    assert [t.split(":")[0] for t in told] == ["gerrit.url", "registry", "deploy_host.key"]
    assert "hunter2" not in " ".join(told)


def good() -> dict[str, Any]:
    """The example catalogue."""
    return yaml.safe_load((ROOT / "services.yaml.example").read_text())


def told(raw: Any) -> list[str]:
    """What is told of a bad catalogue."""
    with pytest.raises(SettingsError) as caught:
        catalogue.parse(raw)
    return list(caught.value.mistakes)


def test_the_example_catalogue_is_good() -> None:
    """The example becomes a catalogue in the order of the file."""
    found = catalogue.load(ROOT / "services.yaml.example")
    assert list(found.environments) == ["staging", "codfw", "eqiad"]
    assert found.environments["eqiad"].primary
    assert found.charts.merge is MergeMode.GATE
    person = found.person("irc", "Bob")
    assert person
    assert person.name == "bob"
    assert found.services["citoid"].rooms == (Room("irc", "#deploy"),)
    assert found.services["citoid"].projects == (("mediawiki/services/citoid", "master"),)


def test_every_mistake_of_the_catalogue_is_told_at_once() -> None:
    """Unknown keys, wrong words and missing ones, together, also of people's accounts."""
    raw = good()
    raw["charts"]["merge"] = "maybe"
    raw["services"]["citoid"]["sufix"] = "-x"
    raw["people"]["bob"]["ircc"] = "bob"
    del raw["people"]["alice"]["shell"]
    found = told(raw)
    assert "services.citoid.sufix: unknown key (did you mean suffix?)" in found
    assert "people.bob.ircc: unknown key (did you mean irc?)" in found
    assert "people.alice.shell: is missing: login name on the deploy host" in found
    assert any(m.startswith("charts.merge: ") for m in found)
    assert len(found) == 4


def test_what_the_catalogue_says_must_fit_together() -> None:
    """An account of two people, a room of no network, a group of nobody and two primaries are mistakes."""
    raw = good()
    raw["people"]["bob"]["irc"] = "ALICE"
    raw["services"]["citoid"]["rooms"] = ["#deploy", "xmpp/#x"]
    raw["services"]["citoid"]["deployers"] = ["deployer"]
    raw["environments"]["staging"]["primary"] = True
    del raw["services"]["mobileapps"]["image"]
    found = told(raw)
    assert "people.bob.irc: the account ALICE is alice's already" in found
    assert "services.citoid.deployers: nobody is in the group deployer (did you mean deployers?)" in found
    assert any(m.startswith("services.mobileapps.image: is missing") for m in found)
    assert sum(m.startswith("services.citoid.rooms") for m in found) == 2
    assert sum(m.startswith("environments") for m in found) == 2


def parted(*parts: dict[str, Any], **more: Any) -> list[str]:
    """What is told of a catalogue whose service thing has these parts."""
    raw = good()
    named = {name: part for each in parts for name, part in each.items()}
    raw["services"]["thing"] = {"parts": named, **more}
    return told(raw)


def test_what_parts_must_be() -> None:
    """Told apart in chat, where letters' case does not matter, and by their images; each with one at least."""
    api, web = {"api": {"images": {"main": "x/api"}}}, {"web": {"images": {"main": "x/web"}}}
    assert parted(api, image="x/thing") == ["services.thing: has parts, so project and image belong to them"]
    assert parted(api, {"All": {"images": {"main": "x/all"}}}) == [
        "services.thing.parts.All: the name means all parts in chat, a part needs another"
    ]
    assert parted(api, {"API": {"images": {"main": "x/other"}}}) == [
        "services.thing.parts.API: api is the same in chat, where letters' case does not matter"
    ]
    assert parted(api, web, {"job": {"images": {"a": "x/api", "b": "x/api", "c": "x/web"}}}) == [
        "services.thing.parts.job.images: x/api is an image of the part api already",
        "services.thing.parts.job.images: x/web is an image of the part web already",
    ]
    (said,) = parted({"api": {"images": {}}})
    assert said.startswith("services.thing.parts.api.images: ")
    (said,) = parted({"api": {"project": "x"}})
    assert said.startswith("services.thing.parts.api.images: is missing")


@pytest.mark.parametrize("group", ["my group", "Shellbox", "@x", "-x", "a/b", "ü"])
def test_a_group_must_be_sayable(group: str) -> None:
    """Chat reads names in small letters."""
    raw = good()
    raw["services"]["citoid"]["group"] = group
    assert told(raw) == [f"services.citoid.group: {group} cannot be said in chat: small letters, digits, dots, dashes"]


@pytest.mark.parametrize("end", [" -score", "-score:1", "-ü"])
def test_an_image_suffix_is_an_end_of_a_tag(end: str) -> None:
    """No image could have such a tag."""
    raw = good()
    raw["services"]["citoid"]["image_suffix"] = end
    (said,) = told(raw)
    assert said.startswith(f"services.citoid.image_suffix: {end} is no end of a tag")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: [", "is no YAML"),
        ("services:\n  a: {}\n  a: {}\n", "the key a is here twice"),
        ("", "must be a mapping"),
        ("[1]", "must be a mapping"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_catalogue(tmp_path: Path, text: str | None, wanted: str) -> None:
    """What cannot be read as a catalogue at all is said in one sentence."""
    if text is not None:
        (tmp_path / "services.yaml").write_text(text)
    with pytest.raises(SettingsError, match=wanted):
        catalogue.load(tmp_path / "services.yaml")
