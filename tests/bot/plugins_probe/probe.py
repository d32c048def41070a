"""Commands that behave badly, for the backend's tests."""

import time
from collections.abc import Iterator
from pathlib import Path

from errbot import BotPlugin, CommandError, botcmd


def _refuse(_args: str) -> list[str]:
    raise ValueError("secret=hunter2")


class Probe(BotPlugin):
    """Commands that behave badly."""

    def deactivate(self):
        """Leave a trace in the log."""
        self.log.warning("probe is deactivated")
        super().deactivate()

    @botcmd
    def ping(self, msg, args):
        """Answer."""
        return f"pong {args}".strip()

    @botcmd
    def who(self, msg, args):
        """Tell what the backend says about the speaker."""
        heard = msg.extras["heard"]
        return f"{msg.frm.person} {msg.frm.aclattr} {heard.room.name} {heard.text}"

    @botcmd
    def crash(self, msg, args):
        """Raise with a secret in the text."""
        raise RuntimeError("secret=hunter2")

    @botcmd
    def crash_late(self, msg, args) -> Iterator[str]:
        """Answer, then raise."""
        yield "so far so good"
        raise RuntimeError("secret=hunter2")

    @botcmd
    def leave(self, msg, args):
        """Try to end the process."""
        raise SystemExit("secret=hunter2")

    @botcmd
    def refuse(self, msg, args):
        """Raise what is meant for people."""
        raise CommandError("not today")

    @botcmd(split_args_with=_refuse)
    def parse(self, msg, args):
        """Never come so far."""
        return "parsed"

    @botcmd
    def slow(self, msg, args):
        """Take some time."""
        time.sleep(float(args))
        return f"slept {args}"

    @botcmd
    def until(self, msg, args):
        """Take as long as it takes somebody to make a file."""
        while not Path(args).exists():
            time.sleep(0.01)
        return f"until {Path(args).name}"

    @botcmd
    def stop(self, msg, args):
        """Answer under a name that must never wait."""
        return f"stopping {args}"

    @botcmd
    def many(self, msg, args) -> Iterator[str]:
        """Answer in lines and marks that no renderer may touch."""
        yield "\n".join(f"{args} {number} *it* _is_ <raw> `x`\n" for number in range(5))

    @botcmd
    def long(self, msg, args):
        """Answer with more bytes than fit into a line."""
        return "é" * 600 + "END"

    @botcmd
    def only_sre(self, msg, args):
        """Be restricted by ACCESS_CONTROLS."""
        return "you may"

    @botcmd
    def not_in_ops(self, msg, args):
        """Be restricted by room."""
        return "not ops"

    @botcmd(admin_only=True)
    def admin(self, msg, args):
        """Wait for all running commands, as Errbot does with these."""
        return "done"
