"""The `quarterdeck` command: looks at the settings and at the world before the bot is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # bump and versions start fast: everything else is imported by the command that needs it
    from quarterdeck.cli.doctor import Probe
    from quarterdeck.config.settings import Settings
    from quarterdeck.core.model.catalogue import Catalogue

    #: makes the probes of a doctor from the settings
    Prober = Callable[[Settings], Mapping[str, Probe]]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="quarterdeck")
def main() -> None:
    """Quarterdeck, a ChatOps deploy bot.

    Start the bot with `errbot -c config.py`. Before that, `quarterdeck check-config` reads the settings and
    `quarterdeck doctor` asks each outside system whether it can be used.
    """


_charts = click.option("--charts", required=True, type=click.Path(path_type=Path), help="A checkout of the charts.")


@main.command()
@click.argument("service")
@click.argument("tag", default="")
@_charts
@click.option("--services-dir", default="helmfile.d/services", show_default=True, help="Where the services are in it.")
@click.option("--catalogue", type=click.Path(path_type=Path), help="Names parts, and the image a service is.")
@click.option("--part", default="", help="Of a service with several images: the one to move.")
@click.option("--env", "environments", multiple=True, help="Only what decides this environment.")
@click.option("--release", "releases", multiple=True, help="Only what decides this release.")
@click.option("--key", "keys", multiple=True, metavar="[FILE:]PATH[=TAG]", help="Exactly this scalar.")
@click.option("--pin", is_flag=True, help="Give the environments a copy of their own.")
@click.option("--unpin", is_flag=True, help="Move the shared tag and take the environments' copies away.")
@click.option("--write", "to_write", is_flag=True, help="Write the files, each at once.")
@click.option("--format", "form", type=click.Choice(["diff", "json"]), default="diff", show_default=True)
def bump(service: str, tag: str, charts: Path, to_write: bool, form: str, **more: Any) -> None:
    """Move SERVICE's image tag to TAG in the values files, and print the diff.

    Exit status 0: diff printed, 1: a file cannot be read or written, 2: usage or unknown service, 3: nothing to
    change, 4: refused, one reason per line on stderr.
    """
    from quarterdeck.cli import bump as tool

    def work() -> int:
        request = tool.request_of(service=service, tag=tag, **more)
        return tool.run(charts, request, to_write, form)

    _leave(work)


@main.command()
@click.argument("services", nargs=-1)
@_charts
@click.option("--services-dir", "services_dirs", multiple=True, default=("helmfile.d/services",), show_default=True)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def versions(services: tuple[str, ...], charts: Path, services_dirs: tuple[str, ...], form: str) -> None:
    """Say which tag each environment and release of SERVICES (or of all) gets, and from which line."""
    from quarterdeck.cli import bump as tool

    _leave(lambda: tool.versions(charts, services_dirs, services, form))


def _leave(work: Callable[[], int]) -> None:
    """Exit with the status of a tool; 1 for what cannot be read or written, 2 for usage."""
    import gc

    from quarterdeck.cli import bump as tool

    gc.disable()  # the process is short: collecting costs more than it frees
    try:
        sys.exit(work())
    except tool.UsageError as error:
        click.echo(str(error), err=True)
        sys.exit(tool.USAGE)
    except OSError as error:
        click.echo(str(error), err=True)
        sys.exit(tool.FAILED)


_config = click.argument("config", default="config.py", type=click.Path(path_type=Path))


@main.command("check-config")
@_config
@click.option(
    "--catalogue",
    "other",
    type=click.Path(path_type=Path),
    help="Check this catalogue file instead of the one the settings name.",
)
def check_config(config: Path, other: Path | None) -> None:
    """Read CONFIG (config.py by default) and its catalogue; print every mistake.

    Exit status 0 if there is none, 2 otherwise. Nothing is contacted.
    """
    found, known = read_or_exit(config, other)
    click.echo(
        f"{config}: fine. {len(known.services)} services, {len(known.environments)} environments, "
        f"{len(known.people)} people, networks: {', '.join(found.networks)}"
    )


@main.command()
@_config
def doctor(config: Path) -> None:
    """Ask Gerrit, registry, deploy host, clusters and chat networks whether the bot can use them.

    One line for each. Exit status 0 if all is well, 1 if something is missing, 2 if the settings have mistakes.
    """
    found, _ = read_or_exit(config, None)
    from quarterdeck.cli import probing  # here, because check-config must work where a library of the adapters does not

    sys.exit(report(found, probing.probes))


def report(found: Settings, prober: Prober) -> int:
    """Print what the probes find; returns the exit status."""
    import asyncio

    from quarterdeck.core.model.errors import QuarterdeckError

    try:
        findings = asyncio.run(_examined(found, prober))
    except QuarterdeckError as error:
        click.echo(f"cannot begin: {error}", err=True)
        return 1
    width = max((len(f.name) for f in findings), default=0)
    for finding in findings:
        click.echo(f"{finding.name:<{width}}  {'OK' if finding.well else 'MISSING'}  {finding.text}")
    return 0 if all(f.well for f in findings) else 1


async def _examined(found: Settings, prober: Prober) -> Any:
    from quarterdeck.cli.doctor import examine

    return await examine(prober(found))


def read_or_exit(config: Path, other: Path | None) -> tuple[Settings, Catalogue]:
    """Settings and catalogue, or all mistakes of both on stderr and exit status 2."""
    from quarterdeck.config import catalogue, settings
    from quarterdeck.config.mistakes import SettingsError

    mistakes: list[str] = []
    known: Catalogue | None = None
    found: Settings | None = None
    try:
        block = read_block(config)
        try:
            found = settings.load(block, config.resolve().parent)
        except SettingsError as error:
            mistakes += error.mistakes
        path, networks = _catalogue_of(block, config, other)
        if path and (other or path.is_file()):  # a missing file of the settings is among their mistakes already
            try:
                known = catalogue.load(path, networks)
            except SettingsError as error:
                mistakes += [f"{path.name}: {m.removeprefix(f'{path.name}: ')}" for m in error.mistakes]
    except SettingsError as error:
        mistakes += error.mistakes
    if found is None or known is None or mistakes:
        for mistake in mistakes:
            click.echo(mistake, err=True)
        count = len(mistakes)
        click.echo(f"{config}: {count} mistake{'s' * (count != 1)}. Nothing was contacted", err=True)
        sys.exit(2)
    return found, known


def _catalogue_of(block: Mapping[str, Any], config: Path, other: Path | None) -> tuple[Path | None, tuple[str, ...]]:
    """Path and networks for the catalogue, also when the settings themselves have mistakes."""
    named, networks = block.get("catalogue"), block.get("networks")
    path = other
    if path is None and isinstance(named, str | Path) and str(named):
        path = config.resolve().parent / Path(named).expanduser()
    names = tuple(str(n) for n in networks) if isinstance(networks, Mapping) and networks else ("irc", "matrix")
    return path, names


def read_block(config: Path) -> Mapping[str, Any]:
    """The QUARTERDECK dictionary of a config.py, which is run as Errbot runs it.

    Raises:
        SettingsError: there is no such file, it cannot be run, or it has no such dictionary.
    """
    import os
    import runpy

    from quarterdeck.config.mistakes import SettingsError

    if not config.is_file():
        raise SettingsError([f"{config}: there is no such file; copy config.py.example"])
    before = list(sys.path)
    try:
        sys.path.insert(0, os.fspath(config.resolve().parent))
        names = runpy.run_path(os.fspath(config))
    except BaseException as error:  # a config.py may do anything, also exit
        if isinstance(error, KeyboardInterrupt):
            raise
        words = f"{type(error).__name__}: {error}"
        raise SettingsError([f"{config}: cannot be run: {words}"]) from error
    finally:
        sys.path[:] = before
    block = names.get("QUARTERDECK")
    if not isinstance(block, Mapping):
        raise SettingsError([f"{config}: has no dictionary QUARTERDECK; see config.py.example"])
    return block
