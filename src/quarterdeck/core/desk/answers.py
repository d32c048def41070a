"""What the desk answers: facts only, the sentences stand in `views/answers.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quarterdeck.core.cluster.pods import Pod
from quarterdeck.core.model.answer import Answer
from quarterdeck.core.model.person import Person
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.records import ShownDiff
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.subject import Member
from quarterdeck.core.rules.reasons import Grounds
from quarterdeck.core.situation import Situation

# -- to orders -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AlreadyRuns(Answer):
    """Git and pods have the tag, so that nothing is to be deployed.

    Attributes:
        suffix: the usual end of the service's tags.
        pods: (ready, all).
    """

    title: str
    environments: tuple[str, ...]
    tag: str
    suffix: str
    pods: tuple[int, int]


@dataclass(frozen=True)
class AlreadyBack(Answer):
    """Git and pods have the tag that a rollback would bring.

    Attributes:
        suffix: the usual end of the service's tags.
    """

    title: str
    environments: tuple[str, ...]
    tag: str
    suffix: str


@dataclass(frozen=True)
class GoesOn(Answer):
    """A question was answered with yes."""

    rollout: Rollout


@dataclass(frozen=True)
class LooksAgain(Answer):
    """A rollout that failed or was lost was taken up again."""

    rollout: Rollout


@dataclass(frozen=True)
class Stopping(Answer):
    """The stop flag was raised.

    Attributes:
        helm_goes_back: an apply is under way, which helm takes back.
    """

    rollout: Rollout
    helm_goes_back: bool


@dataclass(frozen=True)
class LeftOpen(Answer):
    """Something remains to be done by hand of rollouts that are over.

    Attributes:
        left: (number of the rollout, what remains) of each.
    """

    left: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Previewed(Answer):
    """What a deploy or an apply would do.

    Attributes:
        service: whose places are named without it.
        running: the tags that run there now.
        tag: that would be brought; empty where git says several.
        suffix: the usual end of the service's tags.
        files: how many an edit would touch.
        lines: how many it would replace.
        differences: place -> what would change there.
        asking: what a person would be asked for; None where nobody would be.
        pending: places that would become pending.
    """

    title: str
    service: str
    environments: tuple[str, ...]
    running: frozenset[str]
    tag: str
    suffix: str
    files: int
    lines: int
    differences: Mapping[str, ShownDiff]
    asking: Grounds | None
    pending: tuple[str, ...]


# -- to questions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overview(Answer):
    """All that is under way, of everybody or of one person.

    Attributes:
        serving_order: names of the catalogue's environments.
    """

    rollouts: tuple[Rollout, ...]
    debts: tuple[Debt, ...]
    unreadable: tuple[NotReadable, ...]
    serving_order: tuple[str, ...]


@dataclass(frozen=True)
class RolloutStatus(Answer):
    """Where one rollout stands."""

    rollout: Rollout


@dataclass(frozen=True)
class ServiceVersions(Answer):
    """The tags of a service or of a part of it.

    Attributes:
        git_problem: why git says no tag, where its files were read; empty where it does.
        newest: the newest announced tag; empty if there is none.
    """

    member: Member
    situation: Situation
    git_problem: str
    newest: str


@dataclass(frozen=True)
class ServiceStatus(Answer):
    """The same with pods, debts and open rollouts.

    Attributes:
        rollouts: the open ones of it.
        serving_order: names of the catalogue's environments.
    """

    versions: ServiceVersions
    rollouts: tuple[Rollout, ...]
    serving_order: tuple[str, ...]


@dataclass(frozen=True)
class ChangedLines(Answer):
    """The lines that a rollout changes.

    Attributes:
        lines: (place, line) of each.
    """

    rollout: Rollout
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PodsNow(Answer):
    """The pods of a rollout's places.

    Attributes:
        pods: place -> its pods.
        blind: place -> why they cannot be seen.
    """

    rollout: Rollout
    pods: Mapping[str, tuple[Pod, ...]]
    blind: Mapping[str, str]


@dataclass(frozen=True)
class LogEnd(Answer):
    """The end of a rollout's helmfile logs.

    Attributes:
        wanted: how many lines were asked for; 0 to hear only how many there are.
    """

    number: int
    lines: tuple[str, ...]
    wanted: int


@dataclass(frozen=True)
class UnknownAccount(Answer):
    """The network shows an account, and nobody of the catalogue has it."""

    account: str


@dataclass(frozen=True)
class KnownPerson(Answer):
    """Who the speaker is.

    Attributes:
        host_name: the deploy host, as people call it.
        services: names of those that he may deploy.
    """

    account: str
    person: Person
    host_name: str
    services: tuple[str, ...]


@dataclass(frozen=True)
class HelpInBrief(Answer):
    """What can be said.

    Attributes:
        briefs: the forms of the commands that are told of in one line.
    """

    briefs: tuple[str, ...]
