"""A git repository on disk that is served over HTTP with a password, and fails when it is told to."""

import asyncio
import base64
import os
import subprocess
from pathlib import Path

from aiohttp import web


class GitRepository:
    """A repository with a work tree, to make commits in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=master")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")

    def git(self, *args: str) -> str:
        """Run git there; what it prints."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(["git", *args], cwd=self.folder, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, bytes], links: dict[str, str] | None = None) -> str:
        """Write files and symlinks, and commit all; the sha."""
        for path, content in files.items():
            place = self.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        for path, target in (links or {}).items():
            place = self.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", "work")
        return self.git("rev-parse", "HEAD")


class GitServer:
    """Serves a repository by `git http-backend`; `async with GitServer(repository) as server`.

    Attributes:
        action: "" serves; "500", "404" answer so; "hang" does not answer; "redirect" sends elsewhere.
        seen: command lines of all processes that held the password while a request ran.
        elsewhere: requests that followed the redirect.
    """

    def __init__(self, repository: GitRepository, user: str = "bot", password: str = "sesame-77") -> None:
        self.repository = repository
        self.user, self.password = user, password
        self.action = ""
        self.seen: list[str] = []
        self.elsewhere = 0
        self.fetches = 0
        self._released = asyncio.Event()

    async def __aenter__(self) -> "GitServer":
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/{self.repository.folder.name}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.fetches += 1
        if request.path.startswith("/elsewhere"):
            self.elsewhere += 1
            return web.Response(status=404)
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        self.seen += await asyncio.to_thread(_command_lines, (self.password, basic))
        if self.action == "hang":
            await self._released.wait()
        if self.action == "redirect":
            port = self._runner.addresses[0][1]
            raise web.HTTPFound(f"http://localhost:{port}/elsewhere/info/refs?service=git-upload-pack")
        if self.action.isdigit():
            return web.Response(status=int(self.action))
        if request.headers.get("Authorization") != f"Basic {basic}":
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        return await self._backend(request)

    async def _backend(self, request: web.Request) -> web.Response:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.repository.folder.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path.replace(f"/{self.repository.folder.name}", f"/{self.repository.folder.name}/.git", 1),
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "REMOTE_USER": self.user,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate(await request.read())
        head, _, body = out.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, body=body, headers=headers)


def _command_lines(words: tuple[str, ...]) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if any(word in line for word in words):
            found.append(line)
    return found
