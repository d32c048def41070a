"""The deploy host as seen through its runner: charts checkout, helmfile, helm and kubectl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from quarterdeck.core.cluster import commands, jobs, releases
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.ports.host import Position, Release
from quarterdeck.core.ports.runner import Runner


class HelmfileHost:
    """Questions to the deploy host, and the scripts for its jobs (implements `quarterdeck.core.ports.Host`).

    The bot holds no kubeconfig: everything runs on the host, reading with the view kubeconfig where that suffices.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        charts: str,
        jobs_dir: str,
        services_dir: str = "helmfile.d/services",
        env: Mapping[str, str] | None = None,
        kubeconfig_view: str = "{dir}/{service}-{environment}.config",
        kubeconfig_deploy: str = "{dir}/{service}-deploy-{environment}.config",
        timeout: float = 30.0,
    ) -> None:
        """Say where things lie.

        Args:
            runner: how commands get there.
            charts: checkout of the charts repository on the host; absolute, or from `~/`.
            jobs_dir: the runner's folder of jobs, as it was given to the runner; locks lie beside it.
            services_dir: where the services' directories lie in the charts repository.
            env: exported before every command (KUBECONFIG_DIR, HELM_PLUGINS, PATH …), values as they stand.
            kubeconfig_view: `{dir}` is KUBECONFIG_DIR (or /etc/kubernetes), `{service}`, `{environment}`.
            kubeconfig_deploy: the same for the kubeconfig helmfile deploys with.
            timeout: seconds for one question.
        """
        self._runner, self._timeout = runner, timeout
        self._paths = commands.HostPaths(
            charts=charts,
            jobs_dir=jobs_dir,
            services_dir=services_dir,
            env=dict(env or {}),
            view=kubeconfig_view,
            deploy=kubeconfig_deploy,
        )
        self._namespaces: dict[tuple[str, str], tuple[str, ...]] = {}

    async def position(self) -> Position:
        """HEAD of the checkout, the boot id, and the first reason why a pull would fail, if we see one.

        Raises:
            PermanentError: there is no usable checkout.
        """
        status, out, err = await self._runner.query(commands.position(self._paths), self._timeout)
        lines = out.decode(errors="replace").splitlines()
        if status != 0 or len(lines) < 2:
            raise PermanentError(f"no usable checkout at {self._paths.charts}: {_last(err) or status}")
        return Position(commit=lines[0].strip(), host=lines[1].strip(), problem="; ".join(lines[2:])[:200])

    async def has_commit(self, commit: str) -> bool:
        """Whether HEAD is that commit or comes after it; False too while the host does not know the commit."""
        command = commands.has_commit(self._paths, commit)
        status, _, err = await self._runner.query(command, self._timeout)
        if status in (0, 1):
            return status == 0
        if b"Not a valid commit" in err or b"not a valid object" in err.lower() or b"bad object" in err.lower():
            return False
        raise PermanentError(f"no usable checkout at {self._paths.charts}: {_last(err) or status}")

    async def releases(self, service: str, environment: str) -> tuple[Release, ...]:
        """The releases of the checkout as it stands, with live revision, status, description and labels.

        Raises:
            PermanentError: helmfile cannot list them.
            TemporaryError: helm cannot read the cluster.
        """
        command = commands.list_live(self._paths, service, environment)
        found = releases.from_live(await self._asked(command, f"{service} in {environment}"))
        self._namespaces[service, environment] = tuple(dict.fromkeys(r.namespace for r in found))
        live = [release for release in found if release.revision]
        if not live:
            return found
        command = commands.describe(self._paths, service, environment, live)
        return releases.with_descriptions(found, await self._asked(command, f"{service} in {environment}"))

    async def objects(self, service: str, environment: str) -> Sequence[Mapping[str, Any]]:
        """What runs in the namespaces of the service's releases.

        Raises:
            TemporaryError: a read failed, which is no verdict.
        """
        if (service, environment) not in self._namespaces:
            await self.releases(service, environment)
        found: list[Mapping[str, Any]] = []
        for namespace in self._namespaces[service, environment]:
            command = commands.objects(self._paths, service, environment, namespace)
            status, out, err = await self._runner.query(command, self._timeout)
            if status != 0:
                raise TemporaryError(f"kubectl cannot read {namespace}: {_last(err) or status}")
            for answer in releases.documents(out):
                found.extend(answer.get("items", ()))
        return found

    def diff_script(
        self, service: str, environment: str, commit: str, overlay: Mapping[str, bytes] = MappingProxyType({})
    ) -> str:
        """Job script; files and exit statuses as `quarterdeck.core.cluster.jobs.diff_script` says."""
        return jobs.diff_script(self._paths, service, environment, commit, overlay)

    def apply_script(
        self,
        service: str,
        environment: str,
        stage_releases: Sequence[str],
        expected: Mapping[str, str],
        facts: Mapping[str, str],
    ) -> str:
        """Job script; files and exit statuses as `quarterdeck.core.cluster.jobs.apply_script` says.

        Args:
            service: the service.
            environment: helmfile's environment.
            stage_releases: releases of this stage; none means all.
            expected: `diff` (SHA-256 of the whole diff) or, for each release, `diff.RELEASE` (of its part);
                `revision.RELEASE`, 0 when it is not installed.
            facts: `export`, the diff job's name (or the export folder's path on the host); `id`, the rollout's id for
                the label; `note`, who we are, for whoever meets our lock.
        """
        source = facts["export"]
        job = jobs.ApplyJob(
            service=service,
            environment=environment,
            releases=tuple(stage_releases),
            export=source if "/" in source else f"{self._paths.jobs_dir.rstrip('/')}/{source}/export",
            digest=expected.get("diff", ""),
            parts=_keyed(expected, "diff."),
            revisions={name: int(text) for name, text in _keyed(expected, "revision.").items()},
            mark=facts.get("id", ""),
            note=facts.get("note", "") or f"quarterdeck {facts.get('id', '')}".strip(),
        )
        return jobs.apply_script(self._paths, job)

    def by_hand(self, service: str, environment: str, releases: Sequence[str] = ()) -> tuple[str, ...]:
        """The lines a person types on the host for the same."""
        return commands.by_hand(self._paths, service, environment, releases)

    async def _asked(self, command: str, what: str) -> bytes:
        status, out, err = await self._runner.query(command, self._timeout)
        if status == 4:
            raise TemporaryError(f"helm cannot read the releases of {what}: {_last(err)}")
        if status == 3 and b"no releases found" in err:  # helmfile's word for an environment the service has not got
            return b""
        if status != 0:
            raise PermanentError(f"helmfile cannot list {what}: {_last(err) or status}")
        return out


def _keyed(words: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): word for key, word in words.items() if key.startswith(prefix)}


def _last(err: bytes) -> str:
    lines = err.decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""
