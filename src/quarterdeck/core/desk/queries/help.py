"""`!help [VERB]`: one line in a channel, all of it in private, one command by name."""

from __future__ import annotations

from dataclasses import replace

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.answers import HelpInBrief
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.whoami import whoami
from quarterdeck.core.desk.refusals import NoHelp
from quarterdeck.core.desk.verb import Said, to_person


async def help_(desk: Desk, said: Said) -> list[str]:
    """What can be said."""
    words = grammar.words(said.text)
    if words:
        return [_about(desk, said, words[0])]
    if said.actor.room:
        return desk.tell(HelpInBrief(tuple(verb.brief for verb in desk.vocabulary if verb.brief)))
    return [*(verb.help for verb in desk.vocabulary), *await whoami(desk, replace(said, text=""))]


def _about(desk: Desk, said: Said, word: str) -> str:
    name = word.lstrip("!").lower()
    verb = desk.vocabulary.find(name)
    if verb is not None:
        return verb.help
    verbs = tuple(verb.name for verb in desk.vocabulary)
    unknown = NoHelp(word, desk.vocabulary.nearest(name), verbs)
    return to_person(said.actor, desk.voice.refusal(unknown, begun=True))
