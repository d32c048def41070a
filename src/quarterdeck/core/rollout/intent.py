"""What somebody asked for, as it was understood: enough to check it again when its turn comes."""

from __future__ import annotations

from dataclasses import dataclass

#: the part that means every part
ALL = "all"


@dataclass(frozen=True)
class Target:
    """What a command is about.

    Attributes:
        service: empty for a group.
        part: of the service, as typed; empty if none was said.
        group: its name without `@`.
    """

    service: str = ""
    part: str = ""
    group: str = ""

    @property
    def title(self) -> str:
        """As people say it."""
        return spoken_target(self.service, self.part, self.group)


@dataclass(frozen=True)
class Intent:
    """What somebody asked for.

    Attributes:
        environment: a word for one environment, or "production" for all of that kind; empty if none was said.
        tag: as typed; empty if none was said.
        reason: the words after ` -- `.
        alone: this service may leave the others behind whose tag it changes too (`--alone`).
        pin: the tag is for the asked environments only (`--pin`).
        verb: what was said, for what to say instead.
    """

    target: Target
    environment: str = ""
    tag: str = ""
    reason: str = ""
    alone: bool = False
    pin: bool = False
    verb: str = "deploy"

    @property
    def title(self) -> str:
        """What it is about, as people say it."""
        return self.target.title


#: of a rollout that nobody asked for in words
NOTHING_ASKED = Intent(Target())


def spoken_target(service: str, part: str = "", group: str = "") -> str:
    """What a command is about, as people say it: `citoid`, `wikifunctions/orchestrator`, `@shellbox`."""
    return f"@{group}" if group else f"{service}/{part}" if part else service
