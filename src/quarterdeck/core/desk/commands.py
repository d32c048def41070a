"""The table of commands: a new one is an entry here, and its use case or query.

The plugin, the backend, the grammar, the rules, `!help` and "did you mean" read it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.diff import diff
from quarterdeck.core.desk.queries.help import help_
from quarterdeck.core.desk.queries.log import log
from quarterdeck.core.desk.queries.pods import pods
from quarterdeck.core.desk.queries.status import status
from quarterdeck.core.desk.queries.versions import versions
from quarterdeck.core.desk.queries.whoami import whoami
from quarterdeck.core.desk.use_cases.apply import apply
from quarterdeck.core.desk.use_cases.confirm import confirm
from quarterdeck.core.desk.use_cases.deploy import deploy
from quarterdeck.core.desk.use_cases.preview import preview
from quarterdeck.core.desk.use_cases.retry import retry
from quarterdeck.core.desk.use_cases.rollback import rollback
from quarterdeck.core.desk.use_cases.stop import stop
from quarterdeck.core.desk.verb import Said, Turn, Verb, Vocabulary, Words
from quarterdeck.core.rules.moments import Where, Who

#: the lines to say; none where the rollout itself speaks
UseCase: TypeAlias = Callable[[Desk, Said], Awaitable[list[str]]]


@dataclass(frozen=True, kw_only=True)
class Command(Verb):
    """A verb, and what does it."""

    use_case: UseCase


#: in the order of `!help`
COMMANDS: tuple[Command, ...] = (
    Command(
        name="deploy",
        words=Words("ENV", "[TAG]", options=frozenset({"--alone", "--pin"})),
        who=Who.DEPLOYERS,
        where=Where.SERVICE_ROOMS,
        turn=Turn.IN_ORDER,
        brief="!deploy SERVICE ENV [TAG]",
        help=(
            "!deploy SERVICE[/PART]|@GROUP ENV [TAG] [-- why]: edits the tag in git, merges, syncs, diffs, asks where it must, "
            "applies, checks the pods. Without TAG: staging takes the newest announced image, production takes what staging "
            "runs. ENV: an environment or production. --pin: in a copy of ENV's own. --alone: one service of a group, the "
            "others become pending"
        ),
        use_case=deploy,
    ),
    Command(
        name="apply",
        words=Words("ENV"),
        who=Who.DEPLOYERS,
        where=Where.SERVICE_ROOMS,
        turn=Turn.IN_ORDER,
        brief="!apply SERVICE ENV",
        help=(
            "!apply SERVICE[/PART]|@GROUP ENV: brings the cluster to what git says already (config, charts, a tag bumped by hand)"
        ),
        use_case=apply,
    ),
    Command(
        name="preview",
        words=Words("ENV", "[TAG]", options=frozenset({"--alone", "--pin"})),
        brief="!preview",
        help=(
            "!preview SERVICE[/PART]|@GROUP ENV [TAG]: a deploy up to the diff, changes nothing; "
            "!preview apply … previews an apply"
        ),
        use_case=preview,
    ),
    Command(
        name="confirm",
        who=Who.DEPLOYERS,
        where=Where.SERVICE_ROOMS,
        turn=Turn.IN_ORDER,
        brief="!confirm CODE",
        help="!confirm CODE [with N]: answers my question, in the channel where I asked it; N is the number of surprises",
        use_case=confirm,
    ),
    Command(
        name="stop",
        aliases=("cancel", "abort"),
        who=Who.DEPLOYERS,
        where=Where.SERVICE_ROOMS_OR_PRIVATE,
        turn=Turn.AT_ONCE,
        brief="!stop ID",
        help=(
            "!stop ID (also !cancel, !abort): declines the question, closes what is FAILED or UNKNOWN, "
            "or ends the apply and lets helm go back"
        ),
        use_case=stop,
    ),
    Command(
        name="retry",
        who=Who.DEPLOYERS,
        where=Where.SERVICE_ROOMS,
        turn=Turn.IN_ORDER,
        brief="!retry ID",
        help="!retry ID: looks again at a FAILED or UNKNOWN rollout and goes on from there",
        use_case=retry,
    ),
    Command(
        name="rollback",
        words=Words("[ENV]", "[TAG]", options=frozenset({"--alone"}), usual_environment="production"),
        who=Who.DEPLOYERS_AND_RESCUERS,
        where=Where.SERVICE_ROOMS_OR_PRIVATE,
        turn=Turn.IN_ORDER,
        brief="!rollback SERVICE",
        help=(
            "!rollback SERVICE[/PART]|@GROUP [ENV] [TAG]: back to the tag that ran before; without ENV production. "
            "--alone as for deploy"
        ),
        use_case=rollback,
    ),
    Command(
        name="status",
        brief="!status [SERVICE]",
        help="!status [SERVICE|@GROUP|ID|mine]: what runs, what waits, what is stuck",
        use_case=status,
    ),
    Command(
        name="versions",
        help="!versions SERVICE|SERVICE/PART|@GROUP...: tags only",
        use_case=versions,
    ),
    Command(
        name="diff",
        help="!diff ID: what the rollout changes",
        use_case=diff,
    ),
    Command(
        name="pods",
        help="!pods ID: the pods of its environments now",
        use_case=pods,
    ),
    Command(
        name="log",
        help="!log ID [LINES]: the end of helmfile's log",
        in_a_room=re.compile(r"[#r]?[0-9]+(\s+[0-9]+)?"),
        use_case=log,
    ),
    Command(
        name="whoami",
        help="!whoami: who I think you are and what you may do",
        use_case=whoami,
    ),
    Command(
        name="help",
        help="!help [VERB]",
        use_case=help_,
    ),
)

#: verbs that are planned: they are known, and do nothing
PLANNED = frozenset(
    {
        "pending",
        "why",
        "restart",
        "skip",
        "note",
        "approve",
        "hold",
        "unhold",
        "veto",
        "unveto",
        "unstick",
        "rebuild",
        "mute",
        "notify",
    }
)
VOCABULARY = Vocabulary(COMMANDS, PLANNED)
