"""Translates chat commands to calls of the app, and nothing else: every rule lives in the package."""

from collections.abc import Iterator
from typing import Any

from errbot import BotPlugin, botcmd, cmdfilter
from errbot.backends.base import Message

#: seconds a command may keep one of Errbot's threads; a rollout itself never does
PATIENCE = 120.0


class Deploy(BotPlugin):
    """Deploys services from the channel."""

    def _ask(self, verb: str, msg: Message, args: object) -> Iterator[str]:
        """Hand a command in by the engine's one door, and answer what comes back, line by line."""
        heard = msg.extras["heard"]
        yield from self._bot.app.submit(self._bot.app.answer(verb, heard, str(args))).result(PATIENCE)

    @botcmd(historize=False)
    def deploy(self, msg: Message, args: object) -> Iterator[str]:
        """Deploy an image to an environment."""
        yield from self._ask("deploy", msg, args)

    @botcmd(historize=False)
    def apply(self, msg: Message, args: object) -> Iterator[str]:
        """Bring the cluster to what git says."""
        yield from self._ask("apply", msg, args)

    @botcmd(historize=False)
    def preview(self, msg: Message, args: object) -> Iterator[str]:
        """Show what a deploy would change."""
        yield from self._ask("preview", msg, args)

    @botcmd(historize=False)
    def confirm(self, msg: Message, args: object) -> Iterator[str]:
        """Answer a question."""
        yield from self._ask("confirm", msg, args)

    @botcmd(historize=False)
    def stop(self, msg: Message, args: object) -> Iterator[str]:
        """Stop a rollout."""
        yield from self._ask("stop", msg, args)

    @botcmd(historize=False)
    def cancel(self, msg: Message, args: object) -> Iterator[str]:
        """Stop a rollout."""
        yield from self._ask("stop", msg, args)

    @botcmd(historize=False)
    def abort(self, msg: Message, args: object) -> Iterator[str]:
        """Stop a rollout."""
        yield from self._ask("stop", msg, args)

    @botcmd(historize=False)
    def retry(self, msg: Message, args: object) -> Iterator[str]:
        """Go on with a failed or lost rollout."""
        yield from self._ask("retry", msg, args)

    @botcmd(historize=False)
    def rollback(self, msg: Message, args: object) -> Iterator[str]:
        """Go back to the tag that ran before."""
        yield from self._ask("rollback", msg, args)

    @botcmd(historize=False)
    def status(self, msg: Message, args: object) -> Iterator[str]:
        """Say what runs, waits and is stuck."""
        yield from self._ask("status", msg, args)

    @botcmd(historize=False)
    def versions(self, msg: Message, args: object) -> Iterator[str]:
        """Say which tags run."""
        yield from self._ask("versions", msg, args)

    @botcmd(historize=False)
    def diff(self, msg: Message, args: object) -> Iterator[str]:
        """Print a rollout's diff."""
        yield from self._ask("diff", msg, args)

    @botcmd(historize=False)
    def pods(self, msg: Message, args: object) -> Iterator[str]:
        """Print a rollout's pods."""
        yield from self._ask("pods", msg, args)

    @botcmd(name="log", historize=False)
    def print_log(self, msg: Message, args: object) -> Iterator[str]:  # BotPlugin.log is its logger
        """Print the end of helmfile's log."""
        yield from self._ask("log", msg, args)

    @botcmd(historize=False)
    def whoami(self, msg: Message, args: object) -> Iterator[str]:
        """Say who you are to the bot."""
        yield from self._ask("whoami", msg, args)

    @botcmd(historize=False)
    def help(self, msg: Message, args: object) -> Iterator[str]:
        """Say what can be said."""
        yield from self._ask("help", msg, args)

    @cmdfilter(catch_unprocessed=True)
    def unknown(self, msg: Message, cmd: Any, args: Any, dry_run: bool, emptycmd: bool = False) -> Any:
        """Say "not yet" or "did you mean" for words nearly ours, and nothing for anybody else's."""
        if not emptycmd or dry_run:
            return msg, cmd, args
        heard = msg.extras["heard"]
        lines = self._bot.app.submit(self._bot.app.answer("", heard, msg.body)).result(PATIENCE)
        return "\n".join(lines) or None
