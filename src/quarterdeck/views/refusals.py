"""What is said to somebody whose request is refused: what, why, what now, and that nothing was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import singledispatch
from types import MappingProxyType
from typing import TypeAlias

from quarterdeck.core.charts.refusals import NoPart
from quarterdeck.core.desk.refusals import (
    AlreadyConfirmed,
    ApplyTakesNoTag,
    Failed,
    FilesInHand,
    HostSilent,
    HowManyLines,
    IsOver,
    JustClosed,
    LineTooLong,
    NoCode,
    NoCommand,
    NoGroup,
    NoHelp,
    NoNumber,
    NoOption,
    NoRollout,
    NoService,
    NoServiceOfThatPart,
    NoSuchCode,
    NotATag,
    NothingCounted,
    NothingToRetry,
    NothingWaits,
    NotPlainText,
    NotUnderstood,
    OnlyANumber,
    OptionOfOthers,
    Overtaken,
    PreviewFailed,
    PreviewTooLong,
    SameWaits,
    SayEnvironment,
    SomebodyWasFaster,
    StatusOfWhat,
    StillApplies,
    TooManyWords,
    WhichEnvironment,
    WhichService,
    WrongCount,
)
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.network import PLAIN_WORDS, NetworkWords
from quarterdeck.core.model.place import joined, listed
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.model.text import clip
from quarterdeck.core.orders.refusals import (
    AloneIsForOne,
    BackAlready,
    BackToWhat,
    ChartsSilent,
    DeployedInParts,
    ImagesMissing,
    LatestIsNoTag,
    NoEnvironment,
    NoSafeEdit,
    NoStaging,
    NoTag,
    NotForServices,
    NothingAnnounced,
    NotInCharts,
    NotInGit,
    NotOneOfAGroup,
    NotYet,
    OfferedPart,
    PlacesUnseen,
    RegistrySilent,
    SeveralNewest,
    SeveralTags,
    SharersUnknown,
    StagingDiffers,
    StagingIsNoProof,
    StagingUnseen,
    TagIsShared,
    TagNotInRegistry,
    UndoesNewerBump,
    Ways,
    WhichPart,
)
from quarterdeck.core.rollout.refusals import Held, NoSuchMove, NotReadable
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rules.refusals import AccountsNotShown, NetworkRefusal, NotADeployer, NotSaidHere, UnknownAccount
from quarterdeck.views.commands import confirm_command
from quarterdeck.views.words import count

Networks: TypeAlias = Mapping[str, NetworkWords]
"""What each network calls its own things, by its name."""
NO_NETWORKS: Networks = MappingProxyType({})

NOTHING = "Nothing done"
#: characters of a word that is quoted
_QUOTED = 40
#: characters of a command that is proposed
_COMMAND = 100
#: so many of a kind are named one by one
_NAMED = 3


def refusal_line(refusal: Refusal, networks: Networks = NO_NETWORKS) -> str:
    """The whole line for a refusal."""
    told = refusal_told(refusal, networks)
    end = "" if told.endswith("?") else "."
    return f"{told}{end} {NOTHING}"


def refusal_told(refusal: Refusal, networks: Networks = NO_NETWORKS) -> str:
    """What and why, without a full stop; in the words of the network where it is the network's matter."""
    if isinstance(refusal, NetworkRefusal):
        return _in_words_of(networks.get(refusal.network, PLAIN_WORDS), refusal)
    return refusal_sentence(refusal)


@singledispatch
def refusal_sentence(refusal: Refusal) -> str:
    """What and why, without a full stop. A refusal registers its sentence here."""
    raise NotImplementedError(f"no sentence for {refusal!r}")


@refusal_sentence.register
def _(refusal: NotReadable) -> str:
    return (
        f"#{refusal.number} was written by another version of me and cannot be read ({refusal.why}): "
        "I leave it alone, and what it holds stays held"
    )


@refusal_sentence.register
def _(refusal: NoSuchMove) -> str:
    possible = ", ".join(refusal.possible) or "nothing, it is over"
    return f"#{refusal.number} is {refusal.state}: no {refusal.move} (possible: {possible})"


@refusal_sentence.register
def _(refusal: Held) -> str:
    number = refusal.number
    if refusal.state is None:
        return f"{refusal.what} is held by #{number}. !status, or wait"
    way = f"!retry {number} or !stop {number}" if refusal.state is State.UNKNOWN else f"!stop {number}, or wait"
    return f"{refusal.what} is held by #{number} ({refusal.actor}, {refusal.state}). {way}"


# -- who may, and where ----------------------------------------------------------------------------------------------


def _in_words_of(words: NetworkWords, refusal: NetworkRefusal) -> str:
    if isinstance(refusal, AccountsNotShown):
        return f"{words.accounts_hidden}, I can take no commands here"
    return f"{words.unidentified}. {words.identify}, then say it again"


@refusal_sentence.register
def _(refusal: UnknownAccount) -> str:
    return (
        f"I do not know the account {refusal.account}. "
        "Ask whoever keeps the catalogue to add it to the people in my catalogue"
    )


@refusal_sentence.register
def _(refusal: NotSaidHere) -> str:
    rooms = _sorted(room.name for room in refusal.rooms) or "a room of the service"
    return f"say that in {rooms}, where {refusal.service} is deployed"


@refusal_sentence.register
def _(refusal: NotADeployer) -> str:
    groups = _sorted(refusal.groups_of_person) or "no group"
    return f"{refusal.service} is for {_sorted(refusal.groups)}; your account {refusal.account} is in {groups}"


# -- what was meant --------------------------------------------------------------------------------------------------


@refusal_sentence.register
def _(refusal: NotYet) -> str:
    return f"{clip(refusal.word)}: not yet"


@refusal_sentence.register
def _(refusal: NoEnvironment) -> str:
    about = f" for {refusal.service}" if refusal.service else ""
    unknown = f'no environment "{clip(refusal.word)}"{about}'
    others = ", ".join(refusal.others)
    if not refusal.near:
        return f"{unknown}: it has {others or 'none'}"
    command = " ".join(filter(None, (f"!{refusal.verb}", refusal.service, refusal.near)))
    also = f" (also {others})" if others else ""
    return f"{unknown}. Did you mean: {command}{also}"


@refusal_sentence.register
def _(refusal: NotOneOfAGroup) -> str:
    hint = f". It is one of @{refusal.group}" if refusal.group else ""
    name = refusal.service
    return f"there is no @{name}: {name} shares its tag with no other service of my catalogue{hint}"


@refusal_sentence.register
def _(refusal: DeployedInParts) -> str:
    return f"there is no @{refusal.service}: say {refusal.service}, it is deployed in parts"


@refusal_sentence.register
def _(refusal: SharersUnknown) -> str:
    return f"I cannot tell who shares a tag with {refusal.service}: {refusal.why}"


@refusal_sentence.register
def _(refusal: NotInGit) -> str:
    way = f"!apply {refusal.service} {refusal.environment or 'ENV'} brings the rest"
    return f"{refusal.service} is not deployed by me: its tag is not in git. {way}"


@refusal_sentence.register
def _(refusal: WhichPart) -> str:
    shown = [_offered(part, refusal.suffix) for part in refusal.offered]
    if refusal.hidden:
        shown.append(f"and {refusal.hidden} more: !versions {refusal.service}")
    if refusal.every:
        shown.append(refusal.every)
    tag = " TAG" if refusal.tag_is_needed else ""
    example = f"!{refusal.verb} {refusal.example} {refusal.environment or 'ENV'}{tag}"
    return f"which part? {' · '.join(shown)}. E.g. {example}"


def _offered(part: OfferedPart, suffix: str) -> str:
    """`wikifunctions/evaluators (2 files, 2026-08-19-122930, newest)`."""
    words = [f"{part.files} files"] if part.files > 1 else []
    words.append(joined(short_tag(tag, suffix) for tag in part.tags))
    if part.newest:
        words.append("newest" if part.tags == (part.newest,) else f"newest {short_tag(part.newest, suffix)}")
    return f"{part.title} ({', '.join(words)})"


@refusal_sentence.register
def _(refusal: LineTooLong) -> str:
    return f"that line is too long ({refusal.characters} characters, {refusal.most} are enough)"


@refusal_sentence.register
def _(refusal: NotPlainText) -> str:
    return "that line holds control characters or is not UTF-8: type it again"


@refusal_sentence.register
def _(refusal: WhichService) -> str:
    names = f". I know {', '.join(refusal.services)}" if refusal.services else ""
    return f"which service? Say {refusal.usage}{names}"


@refusal_sentence.register
def _(refusal: NoService) -> str:
    hint = f"Did you mean: {clip(refusal.meant, _COMMAND)}" if refusal.meant else _names(refusal.services)
    return f"no service {clip(refusal.word)}. {hint}"


@refusal_sentence.register
def _(refusal: NoServiceOfThatPart) -> str:
    hint = f"Did you mean {refusal.meant}?" if refusal.meant else _names(refusal.services)
    return f"no service {clip(refusal.word)}. {hint}"


@refusal_sentence.register
def _(refusal: NoGroup) -> str:
    otherwise = "Say @ and a group, or the service whose file others share"
    hint = f"Did you mean @{refusal.meant}?" if refusal.meant else otherwise
    return f"no group {clip(refusal.word)}. {hint}"


@refusal_sentence.register
def _(refusal: WhichEnvironment) -> str:
    which = f"{clip(refusal.word)} is no environment." if refusal.word else "which environment?"
    return f"{which} Say {refusal.usage}, ENV one of {', '.join(refusal.environments)}"


@refusal_sentence.register
def _(refusal: TooManyWords) -> str:
    return f"too many words: {clip(refusal.words)}. Say {refusal.usage}"


@refusal_sentence.register
def _(refusal: NotATag) -> str:
    return f"{clip(refusal.word)} is no image tag. Say {refusal.usage}"


@refusal_sentence.register
def _(refusal: ApplyTakesNoTag) -> str:
    return f"!apply takes what git says, no tag. Say !apply {refusal.title} {refusal.environment}"


@refusal_sentence.register
def _(refusal: NoOption) -> str:
    return f"I know no option {clip(refusal.word)}"


@refusal_sentence.register
def _(refusal: OptionOfOthers) -> str:
    verbs = " and ".join(f"!{verb}" for verb in refusal.verbs)
    return f"{refusal.option} is for {verbs}, !{refusal.verb} does not know it"


@refusal_sentence.register
def _(refusal: NoNumber) -> str:
    shown = f"{clip(refusal.word)} is no rollout number. " if refusal.word else ""
    return f"{shown}Say !{refusal.verb} 42 (a rollout's number, see !status)"


@refusal_sentence.register
def _(refusal: OnlyANumber) -> str:
    return f"too many words: say !{refusal.verb} {refusal.number}"


@refusal_sentence.register
def _(refusal: NoCode) -> str:
    return "say !confirm CODE, or !confirm CODE with N, as the question shows it"


@refusal_sentence.register
def _(refusal: StatusOfWhat) -> str:
    return "say !status, !status SERVICE, !status ID or !status mine"


@refusal_sentence.register
def _(refusal: HowManyLines) -> str:
    return f"say !log {refusal.number} or !log {refusal.number} 20"


@refusal_sentence.register
def _(refusal: NoCommand) -> str:
    return f"no command !{clip(refusal.word)}. Did you mean !{refusal.meant}?"


@refusal_sentence.register
def _(refusal: NoHelp) -> str:
    hint = f"Did you mean !help {refusal.meant}?" if refusal.meant else _names(refusal.verbs)
    return f"no command {clip(refusal.word)}. {hint}"


@refusal_sentence.register
def _(refusal: NotUnderstood) -> str:
    return f"I do not know {clip(refusal.word) or 'that'}. Say !help"


@refusal_sentence.register
def _(refusal: SayEnvironment) -> str:
    return f"say !deploy {refusal.title} staging, or !deploy {refusal.title} production"


def _names(names: Iterable[str]) -> str:
    return f"I know {', '.join(names)}"


# -- which rollout, and in which state -------------------------------------------------------------------------------


@refusal_sentence.register
def _(refusal: NoRollout) -> str:
    return f"there is no #{refusal.number}. See !status"


@refusal_sentence.register
def _(refusal: IsOver) -> str:
    return f"#{refusal.number} is over ({refusal.state})"


@refusal_sentence.register
def _(refusal: NothingToRetry) -> str:
    return f"#{refusal.number} is {refusal.state}: only FAILED and UNKNOWN are retried"


@refusal_sentence.register
def _(refusal: SomebodyWasFaster) -> str:
    return f"#{refusal.number}: somebody was faster. See !status {refusal.number}"


@refusal_sentence.register
def _(refusal: StillApplies) -> str:
    return f"#{refusal.number} still applies on the deploy host: !retry {refusal.number} follows it again"


@refusal_sentence.register
def _(refusal: HostSilent) -> str:
    unseen = f"I cannot see whether #{refusal.number} still applies"
    return f"the deploy host does not answer, so {unseen}: {refusal.why}"


@refusal_sentence.register
def _(refusal: SameWaits) -> str:
    until = f" until {refusal.until}" if refusal.until else ""
    return (
        f"#{refusal.number} ({refusal.owner}) is the same deploy and waits for a confirm{until}. "
        f"You may {confirm_command(refusal.code, refusal.count)} yourself, or !stop {refusal.number}"
    )


@refusal_sentence.register
def _(refusal: FilesInHand) -> str:
    n = refusal.number
    way = f"!retry {n} or !stop {n}" if refusal.state is State.UNKNOWN else f"!stop {n}, or wait"
    return f"{', '.join(refusal.files)} is in the hands of #{n} ({refusal.owner}, {refusal.state}). {way}"


@refusal_sentence.register
def _(refusal: Overtaken) -> str:
    return f"{refusal.why}. Say it again"


# -- which question --------------------------------------------------------------------------------------------------


@refusal_sentence.register
def _(refusal: JustClosed) -> str:
    return f"#{refusal.number}: the question has just closed. Say the command again"


@refusal_sentence.register
def _(refusal: NothingCounted) -> str:
    return f"#{refusal.number} has no surprises: {confirm_command(refusal.code, 0)}"


@refusal_sentence.register
def _(refusal: WrongCount) -> str:
    surprises = count(refusal.surprises, "surprise")
    return f"#{refusal.number} has {surprises}: read them, then {confirm_command(refusal.code, refusal.surprises)}"


@refusal_sentence.register
def _(refusal: AlreadyConfirmed) -> str:
    return f"#{refusal.number} was already confirmed by {refusal.by} {refusal.at}"


@refusal_sentence.register
def _(refusal: NothingWaits) -> str:
    return "nothing waits for a confirm here"


@refusal_sentence.register
def _(refusal: NoSuchCode) -> str:
    return f"no open question has the code {clip(refusal.code)}. Waiting here: {', '.join(refusal.waiting)}"


# -- what the edit would do ------------------------------------------------------------------------------------------


@refusal_sentence.register
def _(refusal: NoSafeEdit) -> str:
    return refusal.why


@refusal_sentence.register
def _(refusal: TagIsShared) -> str:
    file = "/".join(refusal.file.split("/")[-2:])
    every = str(refusal.members) if refusal.strangers else f"all {refusal.members}"
    does = f"{'takes back' if refusal.verb == 'rollback' else 'applies'} {every}"
    group, alone = f"!{refusal.verb} @{refusal.group}", f"!{refusal.verb} {refusal.service}"
    return (
        f"{file} holds one tag for {refusal.services} services. {group} {refusal.environment} {does}, "
        f"one after the other.{_strangers(refusal)} Only {refusal.service}, {refusal.services - 1} pending: "
        f"{alone} {refusal.environment} --alone"
    )


def _strangers(refusal: TagIsShared) -> str:
    """Who is left behind by a command for the group."""
    if not refusal.strangers:
        return ""
    of = f"@{refusal.group}" if refusal.declared else "my catalogue"
    become = f"is not in {of} and becomes" if len(refusal.strangers) == 1 else f"are not in {of} and become"
    return f" {joined(refusal.strangers)} {become} pending."


@refusal_sentence.register
def _(refusal: AloneIsForOne) -> str:
    return f"--alone is for one service of {refusal.title}, not for all of it"


@refusal_sentence.register
def _(refusal: ImagesMissing) -> str:
    missing = refusal.references
    verb = "are" if len(missing) > 1 else "is"
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return f"{', '.join(missing[:_NAMED])}{more} {verb} not in the registry"


@refusal_sentence.register
def _(refusal: UndoesNewerBump) -> str:
    bump, tag = short_tag(refusal.bump, refusal.suffix), short_tag(refusal.tag, refusal.suffix)
    forward = f"!deploy {refusal.title} {refusal.environment} {bump}{' --alone' if refusal.alone else ''}"
    return (
        f"not started. git says {bump} for {refusal.whose} {refusal.environment}: a bump made by hand, running "
        f"nowhere, newer than {tag}. Go forward: {forward}, or take that change back in Gerrit first"
    )


@refusal_sentence.register
def _(refusal: NoPart) -> str:
    names = ", ".join(f"{refusal.service}/{part}" for part in refusal.parts)
    return f"no part {refusal.name[:_QUOTED]} of {refusal.service}: say {names or refusal.service}"


@refusal_sentence.register
def _(refusal: PreviewTooLong) -> str:
    return f"preview of {refusal.title} had no end within {refusal.seconds:.0f} s. Nothing was changed"


@refusal_sentence.register
def _(refusal: PreviewFailed) -> str:
    return f"preview of {refusal.title} failed: {refusal.why}. Nothing was changed"


# -- what does not answer --------------------------------------------------------------------------------------------


@refusal_sentence.register
def _(refusal: Failed) -> str:
    return refusal.why


@refusal_sentence.register
def _(refusal: ChartsSilent) -> str:
    return f"Gerrit does not answer, so I cannot read the charts: {refusal.why}"


@refusal_sentence.register
def _(refusal: NotInCharts) -> str:
    return refusal.why


@refusal_sentence.register
def _(refusal: RegistrySilent) -> str:
    return f"the registry does not answer, so I cannot check the image: {refusal.why}"


@refusal_sentence.register
def _(refusal: PlacesUnseen) -> str:
    return f"I cannot see {listed(refusal.places, refusal.service)} of {refusal.title}: {refusal.why}"


# -- which tag -------------------------------------------------------------------------------------------------------


@refusal_sentence.register
def _(refusal: LatestIsNoTag) -> str:
    return "latest is no tag I deploy: say which, or none for the newest"


@refusal_sentence.register
def _(refusal: NoTag) -> str:
    return f"that is no image tag: {refusal.word[:_QUOTED]!r}"


@refusal_sentence.register
def _(refusal: SeveralTags) -> str:
    return f"{refusal.word} could be {' or '.join(refusal.tags)}"


@refusal_sentence.register
def _(refusal: TagNotInRegistry) -> str:
    known = f"it has {', '.join(refusal.newest)}" if refusal.newest else "it has none that I may deploy"
    return f"the registry has no tag {refusal.word}: {known}"


@refusal_sentence.register
def _(refusal: NotForServices) -> str:
    return f"{refusal.tag} is a candidate or development image, not for services"


@refusal_sentence.register
def _(refusal: NothingAnnounced) -> str:
    way = f"!{refusal.verb} {refusal.title} {refusal.word} TAG"
    return f"no image of {refusal.title} was announced yet: say the tag, {way}"


@refusal_sentence.register
def _(refusal: SeveralNewest) -> str:
    newest = refusal.newest.items()
    shown = ", ".join(f"{title} {short_tag(tag, refusal.suffix) or 'none'}" for title, tag in newest)
    ways = ", then ".join(f"!{refusal.verb} {title} {refusal.word}" for title in refusal.newest)
    return f"not one image is the newest of all: {shown}. Say a TAG, or {ways}"


@refusal_sentence.register
def _(refusal: NoStaging) -> str:
    return f"{refusal.title} has no staging to take the tag from: say the tag"


@refusal_sentence.register
def _(refusal: StagingUnseen) -> str:
    return f"I cannot see what {refusal.place} runs: {refusal.why}"


@refusal_sentence.register
def _(refusal: StagingIsNoProof) -> str:
    tags = refusal.tags.items()
    shown = ", ".join(f"{short_tag(tag, refusal.suffix)} {ready}/{pods}" for tag, (ready, pods) in tags)
    return (
        f"{refusal.place} is no proof just now: it runs {shown or 'nothing'}. Mend it, or say the tag: "
        f"!deploy {refusal.title} production TAG"
    )


@refusal_sentence.register
def _(refusal: StagingDiffers) -> str:
    ways = _ways(refusal.ways)
    if not refusal.group:
        tags = joined(short_tag(tag, refusal.suffix) for tag in refusal.services)
        return f"staging runs {tags}: say the tag: {ways}"
    services = refusal.services.items()
    shown = ", ".join(f"{joined(names)} runs {short_tag(tag, refusal.suffix)}" for tag, names in services)
    return f"staging differs: {shown}. Say the tag: {ways}"


@refusal_sentence.register
def _(refusal: BackToWhat) -> str:
    ran = [f"{place} ran {_tags(tags, refusal.suffix)}" for place, tags in refusal.ran.items()]
    return f"back to what? {'; '.join(ran) or 'I have no record'}. Say the tag: {_ways(refusal.ways)}"


@refusal_sentence.register
def _(refusal: BackAlready) -> str:
    tag = short_tag(refusal.tag, refusal.suffix)
    return (
        f"{refusal.title} {joined(refusal.environments)} is back on {tag} already, in git and pods "
        f"(#{refusal.number} failed there). To go further back say the tag: "
        f"!rollback {refusal.title} {refusal.environments[0]} TAG"
    )


def _ways(ways: Ways) -> str:
    """The whole with a tag, or the first few parts one by one."""
    of_parts = [f"!{ways.verb} {part} {ways.word}" for part in ways.parts]
    whole = f"!{ways.verb} {ways.title} {ways.word} TAG"
    if not of_parts:
        return whole
    more = ", …" if len(of_parts) > _NAMED else ""
    return f"{whole}, or {', then '.join(of_parts[:_NAMED])}{more}"


def _tags(tags: Iterable[str], suffix: str) -> str:
    return joined(sorted(short_tag(tag, suffix) for tag in tags))


def _sorted(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
