"""The command tells mistakes and what cannot be reached, with exit statuses for scripts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from quarterdeck.cli import doctor
from quarterdeck.cli import main as cli
from quarterdeck.config import settings
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.ports.host import Position, Release

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with config.py, catalogue and secrets that fit together."""
    (tmp_path / "secrets").mkdir()
    for name in ("gerrit-token", "gerrit-key", "known_hosts", "deploy-key", "irc-password"):
        (tmp_path / "secrets" / name).write_text("x" * 9)
        (tmp_path / "secrets" / name).chmod(0o600)
    (tmp_path / "services.yaml").write_text((ROOT / "services.yaml.example").read_text())
    (tmp_path / "config.py").write_text((ROOT / "config.py.example").read_text())
    return tmp_path


def run(*args: object) -> tuple[int, str]:
    """Exit status and output of one command."""
    result = CliRunner().invoke(cli.main, [str(a) for a in args], env={"QUARTERDECK_REGISTRY_PASSWORD": "x" * 9})
    return result.exit_code, result.output


def test_help_helps() -> None:
    """Help names the commands and how to start the bot."""
    status, out = run("--help")
    assert status == 0
    for word in ("check-config", "doctor", "errbot -c config.py"):
        assert word in out
    assert run("check-config", "-h")[0] == 0


def test_good_settings_are_fine(folder: Path) -> None:
    """Nothing wrong: one line and exit status 0."""
    status, out = run("check-config", folder / "config.py")
    assert (status, out.count("\n")) == (0, 1)
    assert "fine. 5 services, 3 environments, 2 people, networks: irc" in out


def test_all_mistakes_of_both_files_are_printed(folder: Path) -> None:
    """Mistakes of settings and catalogue come together, and the exit status is 2."""
    config = folder / "config.py"
    config.write_text(config.read_text().replace('"data_dir"', '"data_dri"'))
    services = folder / "services.yaml"
    services.write_text(services.read_text().replace("suffix: -production", "sufix: -production"))
    status, out = run("check-config", config)
    assert status == 2
    assert "data_dri: unknown key (did you mean data_dir?)" in out
    assert "services.yaml: services.citoid.sufix: unknown key (did you mean suffix?)" in out
    assert "3 mistakes. Nothing was contacted" in out
    assert run("doctor", config)[0] == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("raise SystemExit(1)", "cannot be run: SystemExit"),
        ("import nothing_like_it", "cannot be run: ModuleNotFoundError"),
        ("def (", "cannot be run: SyntaxError"),
        ("X = 1", "has no dictionary QUARTERDECK"),
        ("QUARTERDECK = {}", "gerrit: is missing"),
    ],
)
def test_a_config_that_is_none(tmp_path: Path, text: str, wanted: str) -> None:
    """What cannot be run or has no block is said in a sentence, never as a traceback."""
    (tmp_path / "config.py").write_text(text)
    status, out = run("check-config", tmp_path / "config.py")
    assert status == 2
    assert wanted in out
    assert "Traceback" not in out


def test_a_missing_config_and_another_catalogue(folder: Path) -> None:
    """A missing file is named; another catalogue can be checked instead."""
    assert run("check-config", folder / "none.py")[1].startswith(f"{folder}/none.py: there is no such file")
    other = folder / "other.yaml"
    other.write_text("charts: 1")
    status, out = run("check-config", folder / "config.py", "--catalogue", other)
    assert status == 2
    assert "other.yaml: charts: must be a mapping" in out
    assert run("check-config", folder / "config.py", "--catalogue", folder / "none")[0] == 2


class Gerrit:
    """Knows one account."""

    async def whoami(self) -> str:
        """The account."""
        return "quarterdeck"


class Registry:
    """Has the tags it was given."""

    def __init__(self, *tags: str) -> None:
        self.found = tags

    async def tags(self, image: str) -> tuple[str, ...]:
        """Whatever was given."""
        return self.found


class Host:
    """A host with one release, or with a problem."""

    def __init__(self, problem: str = "", *releases: Release) -> None:
        self.problem, self.found = problem, releases

    async def position(self) -> Position:
        """A commit, and the problem if there is one."""
        return Position("c" * 40, "boot", self.problem)

    async def releases(self, service: str, environment: str) -> tuple[Release, ...]:
        """Whatever was given."""
        return self.found


async def test_probes_say_what_they_found_or_what_is_missing() -> None:
    """Each probe answers on its own; late, refused and broken ones hide no other."""

    async def late() -> str:
        await asyncio.Event().wait()
        return ""

    async def refused() -> str:
        raise TemporaryError("no route to host")

    async def broken() -> str:
        raise ZeroDivisionError("oh")

    release = Release("production", "citoid", status="deployed")
    findings = await doctor.examine(
        {
            "gerrit": doctor.review_probe(Gerrit(), "quarterdeck"),  # type: ignore[arg-type]
            "other": doctor.review_probe(Gerrit(), "bob"),  # type: ignore[arg-type]
            "registry": doctor.registry_probe(Registry("a"), "citoid"),  # type: ignore[arg-type]
            "empty": doctor.registry_probe(Registry(), "citoid"),  # type: ignore[arg-type]
            "host": doctor.host_probe(Host()),  # type: ignore[arg-type]
            "stuck": doctor.host_probe(Host("git pull hangs")),  # type: ignore[arg-type]
            "codfw": doctor.cluster_probe(Host("", release), "citoid", "codfw"),  # type: ignore[arg-type]
            "eqiad": doctor.cluster_probe(Host(), "citoid", "eqiad"),  # type: ignore[arg-type]
            "late": late,
            "refused": refused,
            "broken": broken,
        },
        deadline=0.05,
    )
    assert [(f.name, f.well, f.text) for f in findings] == [
        ("gerrit", True, "I am quarterdeck"),
        ("other", False, "Gerrit knows this credential as quarterdeck, not as bob"),
        ("registry", True, "citoid has 1 tag"),
        ("empty", False, "there is no image citoid, or it may not be read"),
        ("host", True, "charts stand at cccccccccc"),
        ("stuck", False, "git pull hangs"),
        ("codfw", True, "production deployed"),
        ("eqiad", True, "no release here"),
        ("late", False, "no answer within 0.05 s"),
        ("refused", False, "no route to host"),
        ("broken", False, "the probe itself failed: ZeroDivisionError: oh"),
    ]


def test_the_doctor_prints_a_line_for_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OK or MISSING for each; exit status 1 if anything is missing."""
    found = settings.load(cli.read_block(folder / "config.py"), folder, {"QUARTERDECK_REGISTRY_PASSWORD": "x"})

    async def well() -> str:
        return "I am x"

    async def ill() -> str:
        raise PermanentError("no such account")

    assert cli.report(found, lambda _: {"gerrit": well}) == 0
    assert cli.report(found, lambda _: {"gerrit": well, "irc account": ill}) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "gerrit       OK  I am x",
        "irc account  MISSING  no such account",
    ]
