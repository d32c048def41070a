"""The words of commands: what is understood, and that nothing anybody types does harm."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.commands import COMMANDS, VOCABULARY
from quarterdeck.core.desk.grammar import Grammar
from quarterdeck.core.desk.verb import Verb
from quarterdeck.core.model.errors import NotFoundError, NotYetError, RequestError
from quarterdeck.core.rollout.intent import Intent, Target
from quarterdeck.views.refusals import refusal_line
from tests.worlds.world import NEW, Deck

SERVICES = ("citoid", "zotero")
PLACES = ("staging", "codfw", "eqiad")


GRAMMAR = Grammar(VOCABULARY, SERVICES, PLACES, ("shellbox", *SERVICES))


def verb(name: str) -> Verb:
    """A verb of the table."""
    found = VOCABULARY.find(name)
    assert found is not None, name
    return found


def parse(text: str, name: str = "deploy") -> Intent:
    """A target as somebody types it."""
    return GRAMMAR.parse(verb(name), text)


def told(error: RequestError) -> str:
    """What is said to somebody who is refused."""
    assert error.refusal is not None
    return refusal_line(error.refusal)


def intent(service: str, *more: str, alone: bool = False, pin: bool = False) -> Intent:
    """What was asked for of a service."""
    environment, tag, reason = (*more, "", "", "")[:3]
    return Intent(Target(service), environment, tag, reason, alone, pin)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("citoid staging", intent("citoid", "staging")),
        ("staging citoid", intent("citoid", "staging")),
        ("Citoid to STAGING", intent("citoid", "staging")),
        ("citoid on prod v1.0.2", intent("citoid", "production", "v1.0.2")),
        (f"{NEW} citoid codfw", intent("citoid", "codfw", NEW)),
        ("citoid staging -- it -- leaks", intent("citoid", "staging", "", "it -- leaks")),
        ("citoid", intent("citoid")),
        ("citoid --Pin staging", intent("citoid", "staging", pin=True)),
        ("--alone citoid v1 staging", intent("citoid", "staging", "v1", alone=True)),
    ],
)
def test_words_in_any_order(text: str, want: Intent) -> None:
    """Where the sets are disjoint the order is free; small words are ignored."""
    assert parse(text) == want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "which service? Say !deploy SERVICE ENV [TAG]. I know citoid, zotero"),
        ("citiod staging", "no service citiod. Did you mean: !deploy citoid staging"),
        ("nothing staging", "no service nothing. I know citoid, zotero"),
        ("citoid stagin", 'no environment "stagin" for citoid. Did you mean: !deploy citoid staging (also'),
        ("citoid stagin v1", "Did you mean: !deploy citoid staging v1"),
        ("citoid mars v1", 'no environment "mars" for citoid: it has codfw, eqiad, production, staging'),
        ("citoid staging latest", "latest is no tag I deploy"),
        ("citoid staging v1 v2", "too many words: v2. Say !deploy citoid staging [TAG]"),
        ("citoid staging a:b", "a:b is no image tag"),
        ("citoid staging -x", "I know no option -x"),
        ("citoid staging \x02bold", "control characters"),
        ("citoid staging \ufffd", "not UTF-8"),
        ("citoid staging \u202egnigats", "control characters"),
        ("citoid " + "x" * 500, "too long"),
    ],
)
def test_what_is_not_understood_is_answered_with_the_exact_command(text: str, says: str) -> None:
    """One clear line that ends with "Nothing done"."""
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert says in told(caught.value)
    assert told(caught.value).endswith("Nothing done")


@pytest.mark.parametrize("word", ["--over", "--emergency=T1", "--unpin", "#batch", "a,b", "canary", "beta"])
def test_what_is_planned_says_not_yet(word: str) -> None:
    """Words of later are known, and do nothing."""
    with pytest.raises(NotYetError) as caught:
        parse(f"citoid staging {word}")
    assert told(caught.value).endswith("not yet. Nothing done")


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("citoid/Main", Target("citoid", "main")),
        ("citoid/all", Target("citoid", "all")),
        ("@Shellbox", Target(group="shellbox")),
    ],
)
def test_parts_and_groups_are_targets(word: str, want: Target) -> None:
    """SERVICE/PART and @GROUP, before or after the environment, and as they are said again."""
    assert parse(f"{word} staging").target == parse(f"staging {word}").target == want
    assert want.title == word.lower()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@shelbox staging", "no group @shelbox. Did you mean @shellbox?"),
        ("@x staging", "no group @x. Say @ and a group"),
        ("citiod/x staging", "no service citiod. Did you mean citoid/x?"),
        ("nothing/x staging", "no service nothing. I know citoid, zotero"),
        ("citoid/ staging", "citoid/"),
        ("citoid/x/y staging", "citoid/x/y"),
    ],
)
def test_targets_that_are_none_are_named(text: str, says: str) -> None:
    """With the nearest one, where there is one."""
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert says in told(caught.value)
    assert told(caught.value).endswith("Nothing done")


def test_an_option_belongs_to_some_verbs() -> None:
    """The others say which."""
    assert parse("citoid staging --alone", "rollback").alone
    with pytest.raises(RequestError) as caught:
        parse("citoid staging --pin", "rollback")
    assert "--pin is for !deploy and !preview, !rollback does not know it" in told(caught.value)
    with pytest.raises(RequestError) as caught:
        parse("citoid staging --alone", "apply")
    assert "--alone is for" in told(caught.value)


def test_numbers_and_codes() -> None:
    """42, #42 and r42; a code with or without its count."""
    assert [grammar.number_and_rest(verb("stop"), t)[0] for t in ("42", "#42", "r42 x")] == [42, 42, 42]
    for text in ("", "x", "4²", "-1", "1234567890"):
        with pytest.raises(RequestError) as caught:
            grammar.number_and_rest(verb("stop"), text)
        assert told(caught.value).endswith("Nothing done")
    assert grammar.code_and_count("Prod-K7P with 2") == ("prod-k7p", 2)
    assert grammar.code_and_count("prod-k7p") == ("prod-k7p", 0)
    for text in ("", "a b", "a with", "a with x", "a with 2 3", "a with ²"):
        with pytest.raises(RequestError) as caught:
            grammar.code_and_count(text)
        assert told(caught.value).endswith("Nothing done")


def test_names() -> None:
    """Service names, the first unknown one named."""
    named = GRAMMAR.names(verb("versions"), "Citoid zotero/one @shellbox")
    assert [target.title for target in named] == ["citoid", "zotero/one", "@shellbox"]
    with pytest.raises(NotFoundError) as caught:
        GRAMMAR.names(verb("versions"), "zotreo")
    assert "Did you mean: !versions zotero" in told(caught.value)


@given(st.text(max_size=500))
def test_any_text_is_a_request_or_a_refusal(text: str) -> None:
    """Nothing but the refusals that are meant."""
    for act in (parse, lambda t: grammar.number_and_rest(verb("stop"), t), grammar.code_and_count):
        try:
            act(text)
        except RequestError as error:
            said = told(error)
            if not said.endswith("Nothing done") or "\n" in said:
                pytest.fail(said)


WORDS = st.sampled_from(
    (
        *(*SERVICES, *PLACES, "production", NEW, "--", "latest", "with", "1", "#1", "!", "to", "é", "-x"),
        *("citoid/all", "citoid/x", "@citoid", "@x", "--pin", "--alone"),
    )
)
LINES = st.one_of(st.text(max_size=450), st.lists(st.one_of(WORDS, st.text(max_size=12)), max_size=7).map(" ".join))
VERBS = ["", *(command.name for command in COMMANDS if command.name not in ("log", "whoami", "help"))]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([*VERBS, "log", "whoami", "help"]), LINES)
def test_whatever_a_stranger_types_starts_nothing(typed_verb: str, text: str) -> None:
    """One or more clear lines that fit, never an exception, never a rollout."""

    async def ask() -> None:
        deck = Deck()
        deck.announce()
        lines = await deck.dispatcher.answer(typed_verb, deck.actor("mallory"), text, addressed=True)
        assert all(line and "\n" not in line for line in lines)
        assert all(len(line.encode()) <= 400 for line in lines), [len(line.encode()) for line in lines]
        assert not any("internal error" in line for line in lines), lines
        assert not deck.store.tables.rollouts
        await deck.close()

    asyncio.run(ask())


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(VERBS), LINES)
def test_whatever_a_deployer_types_is_answered(typed_verb: str, text: str) -> None:
    """A rollout only for a command that names service and environment; otherwise a line."""

    async def ask() -> None:
        deck = Deck()
        deck.announce()
        lines = await deck.dispatcher.answer(typed_verb, deck.actor(), text, addressed=True)
        assert not any("internal error" in line for line in lines), lines
        assert all(len(line.encode()) <= 400 for line in lines)
        if deck.store.tables.rollouts:
            assert typed_verb in ("deploy", "apply", "rollback")
            assert "citoid" in text.lower()
        else:
            assert lines
        await deck.close()

    asyncio.run(ask())
