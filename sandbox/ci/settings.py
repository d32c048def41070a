"""Hold what the CI stand-in has been told for each project, and what it did last."""

import re
import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sandbox import contents

GATE_SECONDS = 1.5
BUILD_SECONDS = 1.0

_CHOICES: dict[str, tuple[object, ...]] = {
    "result": ("SUCCESS", "FAILURE"),
    "order": ("registry-first", "comment-first"),
    "comment": ("normal", "no-tag", "old", "silent", "ci-only"),
    "images": (1, 2),
}
_FAULT = re.compile(r"[a-z0-9]{1,20}")
_MAX_DELAY = 3600.0


class Wrong(ValueError):
    """A setting that does not exist or cannot have that value; the text is for whoever sent it."""


@dataclass(frozen=True)
class Settings:
    """How the builds of a project go, or, for the charts project, its gate."""

    delay: float
    """Seconds from merge to image, or that the gate takes."""
    result: str = "SUCCESS"
    order: str = "registry-first"
    """Which comes first, the image or the comment; the other one follows two seconds later."""
    comment: str = "normal"
    """normal; no-tag: the comment names no tag anywhere; old: the form of 2019, the tag in TAGS only;
    silent: nobody says or votes anything; ci-only: PipelineBot is silent, jenkins-bot is not."""
    images: int = 1
    """2: beside each image another one is built that no service uses, `<image>-tools`."""
    fault: str | None = None
    """A word put into the tag, such as crash, badpull, slow or neverready; the cluster obeys it."""

    def changed(self, wishes: object) -> "Settings":
        """These settings with some of them changed.

        Raises:
            Wrong: one of the wishes is not known or not possible; nothing is changed then.
        """
        if not isinstance(wishes, dict):
            raise Wrong("the body must be a JSON object")
        for key, value in wishes.items():
            _check(key, value)
        return replace(self, **wishes)


def _check(key: object, value: Any) -> None:
    if key == "delay":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_DELAY:
            raise Wrong(f"delay must be seconds from 0 to {_MAX_DELAY:.0f}")
    elif key == "fault":
        if value is not None and not (isinstance(value, str) and _FAULT.fullmatch(value)):
            raise Wrong("fault must be null or one word of small letters and digits")
    elif key in _CHOICES:
        if isinstance(value, bool) or value not in _CHOICES[str(key)]:
            raise Wrong(f"{key} must be one of {', '.join(map(str, _CHOICES[str(key)]))}")
    else:
        raise Wrong(f"no setting is called {key}; there are delay, fault, {', '.join(_CHOICES)}")


def defaults(project: str) -> Settings:
    """What holds for a project until something else is said."""
    if project == contents.CHARTS_PROJECT:
        return Settings(GATE_SECONDS)
    return Settings(BUILD_SECONDS, fault=contents.project(project).fault)


@dataclass
class Board:
    """The settings and the last run of every project, for all threads."""

    merge: str
    connected: bool = False
    """Whether the stream of events is open."""
    _settings: dict[str, Settings] = field(default_factory=dict)
    _last: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        names = [contents.CHARTS_PROJECT, *(entry.name for entry in contents.PROJECTS)]
        self._settings = {name: defaults(name) for name in names}

    @property
    def projects(self) -> tuple[str, ...]:
        """The names of all projects."""
        return tuple(self._settings)

    def settings(self, project: str) -> Settings:
        """What holds now, or a KeyError."""
        with self._lock:
            return self._settings[project]

    def change(self, project: str, wishes: object) -> None:
        """Let something else hold from now on; raises Wrong or KeyError."""
        with self._lock:
            self._settings[project] = self._settings[project].changed(wishes)

    def reset(self, project: str) -> None:
        """Let the defaults hold again."""
        with self._lock:
            if project not in self._settings:
                raise KeyError(project)
            self._settings[project] = defaults(project)

    def note(self, project: str, run: dict[str, Any]) -> None:
        """Keep what was done last."""
        with self._lock:
            self._last[project] = dict(run)

    def show(self, project: str) -> dict[str, Any]:
        """A project's settings and its last build or gate."""
        with self._lock:
            key = "last_gate" if project == contents.CHARTS_PROJECT else "last_build"
            return asdict(self._settings[project]) | {key: self._last.get(project)}
