"""Which heard lines are commands for us, whatever the network. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from quarterdeck.chat.contract import Heard
from quarterdeck.core.model.room import Room


def said_to(name: str, text: str) -> str | None:
    """What was said to somebody by name (`NAME: …` or `NAME, …`), the letters' case aside; None if it was not."""
    match = re.match(rf"{re.escape(name)}[:,]\s+(.*)", text.strip(), re.IGNORECASE | re.DOTALL)
    return match[1] if match else None


def command_text(heard: Heard, home_rooms: Collection[Room], prefix: str, verbs: Collection[str]) -> str | None:
    """The line as a command that begins with the prefix and a verb in small letters; None when it is not for us.

    Said to us by name it counts everywhere; with the bare prefix in home rooms and in private; in private also without
    any, if its first word is a verb. What Errbot would take for "again" (`!!`, `!1`, `!²`) or stumble over (`!` alone)
    is for nobody.
    """
    command = _without_prefix(heard, home_rooms, prefix, verbs)
    words = command.split(maxsplit=1) if command else ()
    if not command or not words or words[0].startswith(prefix) or words[0].isdigit():
        return None
    verb = words[0]  # phones begin lines with a capital
    return prefix + verb.lower() + command.strip().removeprefix(verb)


def _without_prefix(heard: Heard, home_rooms: Collection[Room], prefix: str, verbs: Collection[str]) -> str | None:
    text = heard.text.strip()
    if heard.addressed is not None:
        return heard.addressed.removeprefix(prefix)
    if text.startswith(prefix) and (heard.room is None or heard.room in home_rooms):
        return text.removeprefix(prefix)
    if heard.room is None and text and text.split()[0].lower() in verbs:
        return text
    return None
