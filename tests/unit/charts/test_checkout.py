"""A checkout on disk is read as it stands: symlinks, links written as text, files shared by services; and written back."""

from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck.cli import charts_report
from quarterdeck.cli.checkout import Checkout, write
from quarterdeck.core.charts.editing.request import FileChange
from quarterdeck.core.charts.reading.files import UNREADABLE

S = "helmfile.d/services"
HELMFILE = """\
environments:
  one:
    values:
      - releases: [main]
---
releases:
  - name: main
    chart: c/{name}
    values:
      - global.yaml
      - values.yaml
      - "../_common_/values-{{{{ .Environment.Name }}}}.yaml"
"""


def put(root: Path, path: str, text: str) -> None:
    """A file below the root."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    """Three services: one owns a file, one has a symlink to it, one its path as text."""
    for name in ("a", "b", "c"):
        put(tmp_path, f"{S}/{name}/helmfile.yaml", HELMFILE.format(name=name))
        put(tmp_path, f"{S}/{name}/values.yaml", "main_app:\n  port: 1\n")
    put(tmp_path, f"{S}/a/global.yaml", "main_app:\n  version: one\n")
    (tmp_path / S / "b/global.yaml").symlink_to("../a/global.yaml")
    put(tmp_path, f"{S}/c/global.yaml", "../b/global.yaml")
    put(tmp_path, f"{S}/_common_/values-one.yaml", "x: 1\n")
    return tmp_path


def test_links_of_both_kinds_lead_to_the_real_file(charts: Path) -> None:
    """A chain too; a text that names no file is a text."""
    put(charts, f"{S}/c/values.yaml", "../nowhere.yaml")
    tree = Checkout(charts, S)
    assert tree.links == {f"{S}/b/global.yaml": f"{S}/a/global.yaml", f"{S}/c/global.yaml": f"{S}/a/global.yaml"}
    assert tree.sharers[f"{S}/a/global.yaml"] == ("a", "b", "c")
    assert tree.sharers[f"{S}/_common_/values-one.yaml"] == ("a", "b", "c")
    assert tree.sharers[f"{S}/a/values.yaml"] == ("a",)
    assert f"{S}/a/values.yaml" in tree.files
    assert tree.files.get("../etc/passwd") is None
    assert len(tree.files) == len(list(tree.files)) == len(list(tree.sharers)) == len(tree.sharers)


def test_a_link_out_of_the_checkout_cannot_be_read(charts: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing outside is read or written."""
    outside = tmp_path_factory.mktemp("outside") / "values.yaml"
    outside.write_text("main_app:\n  version: one\n")
    (charts / S / "a/values-one.yaml").symlink_to(outside)
    (charts / S / "d").symlink_to(charts / S / "a")
    tree = Checkout(charts, S)
    assert f"{S}/a/values-one.yaml" not in tree.links
    assert tree.files.get(f"{S}/a/values-one.yaml") == UNREADABLE
    assert tree.links[f"{S}/d/values.yaml"] == f"{S}/a/values.yaml"


def test_files_are_written_whole_and_keep_their_mode(charts: Path) -> None:
    """Changed, created in a new folder, deleted; nothing else is left behind."""
    path = charts / S / "a/values.yaml"
    path.chmod(0o640)
    changes = (
        FileChange(f"{S}/a/values.yaml", b"", b"new", ()),
        FileChange(f"{S}/new/values.yaml", None, b"made", ()),
        FileChange(f"{S}/b/values.yaml", b"", None, ()),
    )
    write(charts, changes)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert (charts / S / "new/values.yaml").read_bytes() == b"made"
    assert not (charts / S / "b/values.yaml").exists()
    assert sorted(p.name for p in path.parent.iterdir()) == ["global.yaml", "helmfile.yaml", "values.yaml"]


def test_a_folder_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    """An OSError, as any other."""
    with pytest.raises(FileNotFoundError):
        Checkout(tmp_path / "nothing", S)


def test_the_report_tries_every_service(charts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right with what it touches, refused with the reason; parts are tried one by one."""
    put(charts, f"{S}/e/helmfile.yaml", HELMFILE.format(name="e"))
    put(
        charts,
        f"{S}/e/values.yaml",
        "sidecars:\n  x:\n    image: i/x\n    version: v\n  y:\n    image: i/y\n    version: v@sha256:" + "1" * 64,
    )
    put(charts, f"{S}/f/helmfile.yaml", HELMFILE.format(name="f"))
    assert charts_report.main([str(charts)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines[:7]] == [
        ["a", "-", "right"],
        ["b", "-", "right"],
        ["c", "-", "right"],
        ["e", "-", "refused"],
        ["e", "x", "right"],
        ["e", "y", "right"],
        ["f", "-", "refused"],
    ]
    assert lines[-1][:6] == ["5", "services:", "3", "right,", "2", "refused,"]
    assert charts_report.main([]) == 2
