"""Translates chat commands to calls of the app, and nothing else: every rule lives in the package."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from errbot import BotPlugin, botcmd, cmdfilter
from errbot.backends.base import Message

from quarterdeck.core.desk.commands import COMMANDS
from quarterdeck.core.desk.verb import Verb

#: seconds a command may keep one of Errbot's threads; a rollout itself never does
PATIENCE = 120.0

Plugin = TypeVar("Plugin", bound=type[BotPlugin])


def with_commands(verbs: Iterable[Verb]) -> Callable[[Plugin], Plugin]:
    """Give a plugin a command for each name of each verb, under names that no attribute of a plugin has (`log` is one)."""

    def given(plugin: Plugin) -> Plugin:
        for verb in verbs:
            for name in verb.names:
                setattr(plugin, f"say_{name}", _command(name, verb))
        return plugin

    return given


def _command(name: str, verb: Verb) -> Callable[..., Iterator[str]]:
    def say(self: Any, msg: Message, args: object) -> Iterator[str]:
        yield from self.ask(verb.name, msg, str(args))

    say.__name__, say.__doc__ = f"say_{name}", verb.help
    marked: Callable[..., Iterator[str]] = botcmd(name=name, historize=False)(say)
    return marked


@with_commands(COMMANDS)
class Deploy(BotPlugin):
    """Deploys services from the channel."""

    def ask(self, verb: str, msg: Message, text: str) -> list[str]:
        """Hand a command in by the engine's one door; what comes back, line by line."""
        app = self._bot.app
        lines: list[str] = app.submit(app.answer(verb, msg.extras["heard"], text)).result(PATIENCE)
        return lines

    @cmdfilter(catch_unprocessed=True)
    def unknown(self, msg: Message, cmd: Any, args: Any, dry_run: bool, emptycmd: bool = False) -> Any:
        """Say "not yet" or "did you mean" for words nearly ours, and nothing for anybody else's."""
        if not emptycmd or dry_run:
            return msg, cmd, args
        return "\n".join(self.ask("", msg, msg.body)) or None
