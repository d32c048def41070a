"""Read the charts repository at a pinned commit, from a bare shallow clone that git keeps in the data folder.

Core Gerrit's REST lists no tree, so only git can show which services share a file by symlink.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from quarterdeck.adapters.git.listing import Listing
from quarterdeck.core.charts.reading.files import UNREADABLE
from quarterdeck.core.charts.reading.sharers import Folders, Sharers
from quarterdeck.core.model.errors import AbsentError, PermanentError, TemporaryError
from quarterdeck.core.ports.charts import Tree

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = "refs/quarterdeck/tip"
_DEPTH = 50  #: commits of the first fetch; later ones bring what is new
_SILENCE = 10  #: seconds without a byte after which a fetch is given up
_DEEPEN = 1000
_MAX_FILE = 1 << 20
_LISTS = 2  #: commits whose listing is kept: a rollout's base and the tip
_REFUSED = (
    "authentication failed",
    "could not read username",
    "returned error: 401",
    "returned error: 403",
    "access denied",
    "not found",
    "does not appear to be a git repository",
    "couldn't find remote ref",
    "not our ref",
    "unable to update url base from redirection",
)


class GitError(Exception):
    """git ended with a status other than 0; never leaves the adapter."""

    def __init__(self, verb: str, status: int, said: str) -> None:
        super().__init__(f"git {verb}: {status}: {said}")
        self.status = status
        self.said = said


class GitCharts:
    """`ports.Charts` by git.

    Args:
        url: what git fetches from. With a token: HTTP(S), for Gerrit with its "/a/" before the project.
        branch: e.g. "master".
        folder: our own bare repository; made when missing, made again when it is broken.
        services_dir: directory whose entries are the services.
        user: for HTTP basic; empty to fetch anonymously.
        token: its HTTP token.
        token_file: file that holds the token instead; read at each fetch, so that it can be replaced.
        timeout: seconds one git command may take.
    """

    def __init__(
        self,
        url: str,
        branch: str,
        folder: Path,
        *,
        services_dir: str = "helmfile.d/services",
        user: str = "",
        token: str = "",
        token_file: Path | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._url = url
        self._branch = branch
        self._folder = folder
        self._services = services_dir.strip("/")
        self._user, self._token_file, self._token = user, token_file, token
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._ready = False
        self._lists: dict[str, tuple[Listing, Sharers]] = {}

    async def tip(self) -> str:
        """Fetch, and return the branch's newest commit.

        Raises:
            TemporaryError: the server is late or away.
            PermanentError: it refuses, or there is no such branch.
        """
        async with self._call():
            first = not await self._open()
            depth = [f"--depth={_DEPTH}"] if first else []
            await self._fetch(*depth, f"+refs/heads/{self._branch}:{_REF}")
            return (await self._git("rev-parse", "--verify", f"{_REF}^{{commit}}")).decode().strip()

    async def tree(self, commit: str, service: str) -> Tree:
        """The directory of a service at a commit, with what it leads to and with the directories that share that.

        Raises:
            AbsentError: no such directory there, or no such commit.
        """
        async with self._call():
            await self._open()
            await self._need(commit)
            listing, sharers = await self._known(commit)
            paths, links = sharers.around(service)
            if not paths:
                raise AbsentError(f"no directory {self._services}/{service[:60]} at {commit[:12]}")
            files = await self._texts(listing, paths)
            files |= dict.fromkeys(sorted(paths & listing.symlinks.keys()), UNREADABLE)
        return Tree(commit, files, links, {path: sharers[path] for path in files})

    async def _known(self, commit: str) -> tuple[Listing, Sharers]:
        """What there is at a commit, and who shares it; kept for the commits asked for last."""
        found = self._lists.pop(commit, None)
        if found is None:
            listing = Listing.parse(await self._git("ls-tree", "-r", "-z", "--full-tree", "-l", commit))
            links = listing.links(await self._blobs(listing.symlinks.values()))
            folders = Folders(self._services, frozenset(listing.files) | listing.lost(links), links)
            found = listing, Sharers(folders, await self._texts(listing, folders.helmfiles.values()))
        self._lists = dict([*self._lists.items()][1 - _LISTS :]) | {commit: found}
        return found

    async def _texts(self, listing: Listing, paths: Iterable[str]) -> dict[str, bytes]:
        """The contents of files, without what is too large or no text."""
        readable = sorted({path for path in paths if path in listing.files and listing.sizes[path] <= _MAX_FILE})
        blobs = await self._blobs(listing.files[path] for path in readable)
        files = {path: blobs[listing.files[path]] for path in readable}
        return {path: content for path, content in files.items() if b"\0" not in content[:8000]}

    async def contains(self, commit: str, ancestor: str) -> bool:
        """Whether *ancestor* is *commit* or one of its ancestors. Raises as `tree`."""
        if commit == ancestor:
            return True
        async with self._call():
            await self._open()
            await self._need(commit)
            try:
                await self._need(ancestor)
            except AbsentError:
                return False
            edge = self._edge()
            while not await self._is_ancestor(ancestor, commit):
                # A shallow clone's no is no proof, unless it is the other way round.
                if not edge or await self._is_ancestor(commit, ancestor):
                    return False
                await self._fetch(f"--deepen={_DEEPEN}", f"+refs/heads/{self._branch}:{_REF}")
                before, edge = edge, self._edge()
                if edge == before:
                    edge = b""  # what is left is no part of the branch
            return True

    def _edge(self) -> bytes:
        """The commits where our history ends; empty when we have all of it."""
        shallow = self._folder / "shallow"
        return shallow.read_bytes() if shallow.exists() else b""

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """One at a time, and the core's errors."""
        async with self._lock:
            try:
                yield
            except GitError as error:
                raise _translated(error) from error

    async def _is_ancestor(self, ancestor: str, commit: str) -> bool:
        try:
            await self._git("merge-base", "--is-ancestor", ancestor, commit)
        except GitError as error:
            if error.status == 1:
                return False
            raise
        return True

    async def _need(self, commit: str) -> None:
        """Have a commit here, fetched by its name if need be."""
        if not _SHA.fullmatch(commit):
            raise AbsentError(f"{commit[:60]!r} is no commit")
        if await self._has(commit):
            return
        await self._fetch(f"+refs/heads/{self._branch}:{_REF}")
        if await self._has(commit):
            return
        try:
            await self._fetch(f"--depth={_DEPTH}", commit)
        except GitError as error:
            # Gerrit has no better word for a commit it does not have: 500, and no acknowledgments.
            unknown = "expected 'acknowledgments'" in error.said
            if not unknown and isinstance(_translated(error), TemporaryError):
                raise
            raise AbsentError(f"the charts repository has no commit {commit[:12]}") from error

    async def _has(self, commit: str) -> bool:
        try:
            await self._git("cat-file", "-e", f"{commit}^{{commit}}")
        except GitError:
            return False
        return True

    async def _open(self) -> bool:
        """Have our repository in order; whether it held the branch already."""
        if not self._ready:
            # We are the only ones here: a lock in the folder is of a git that was killed.
            for lock in self._folder.rglob("*.lock"):
                lock.unlink(missing_ok=True)
            try:
                await self._git("rev-parse", "--is-bare-repository")
            except GitError:
                await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
                self._folder.mkdir(parents=True, exist_ok=True)
                await self._git("init", "--quiet", "--bare", ".")
            self._ready = True
        return await self._has(_REF)

    async def _fetch(self, *what: str) -> None:
        command = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *what[:-1], self._url, what[-1])
        env = self._credentials()
        if not any(word.startswith("--depth") for word in what):  # only the first fetch may take its time
            env |= {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": str(_SILENCE)}
        await self._git(*command, env=env)

    def _credentials(self) -> dict[str, str]:
        """The token in git's environment, where no process list shows it, for this one server."""
        settings = {"http.followRedirects": "false", "credential.helper": "", "gc.autoDetach": "false"}
        if self._user and (self._token_file or self._token):
            parts = urlsplit(self._url)
            basic = base64.b64encode(f"{self._user}:{self._read_token()}".encode()).decode()
            settings[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: Basic {basic}"
        env = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings.items()):
            env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return env

    def _read_token(self) -> str:
        if self._token_file is None:
            return self._token
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise PermanentError(f"cannot read the charts token: {error.strerror}") from error

    async def _blobs(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of blobs, by one `git cat-file --batch`."""
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return {}
        answer = await self._git("cat-file", "--batch", stdin="\n".join(wanted).encode() + b"\n")
        found: dict[str, bytes] = {}
        at = 0
        for name in wanted:
            end = answer.index(b"\n", at)
            size = int(answer[at:end].split(b" ")[2])
            found[name] = answer[end + 1 : end + 1 + size]
            at = end + size + 2
        return found

    async def _git(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """Run git in our folder and return what it prints. Raises GitError."""
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *args,
                cwd=self._folder if self._folder.is_dir() else "/",
                env=_environment(self._folder) | dict(env or {}),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise PermanentError("git is not installed here") from error
        try:
            async with asyncio.timeout(self._timeout):
                out, err = await process.communicate(stdin)
        except TimeoutError as error:
            raise TemporaryError(f"git {args[0]} did not end within {self._timeout:g} s") from error
        finally:
            if process.returncode is None:
                # With its helpers (git-remote-https), or they would hold our pipes.
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise GitError(args[0], process.returncode, err.decode(errors="replace").strip())
        return out


def _environment(folder: Path) -> dict[str, str]:
    """The caller's environment without anybody's git settings and without questions."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return env | {
        "GIT_DIR": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }


def _translated(error: GitError) -> TemporaryError | PermanentError:
    lines = [line for line in error.said.splitlines() if line.strip()]
    reason = (lines[-1] if lines else f"status {error.status}").removeprefix("fatal: ")[:300]
    if any(word in error.said.casefold() for word in _REFUSED):
        return PermanentError(f"the charts repository cannot be fetched: {reason}")
    return TemporaryError(f"the charts repository cannot be read just now: {reason}")
