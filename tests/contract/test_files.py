"""What a place for long texts promises, run against the disk and against memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.adapters.disk import DiskFiles
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.testing.files import MemoryFiles


@pytest.fixture(params=["memory", "disk"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Both places, one after the other."""
    if request.param == "memory":
        yield MemoryFiles()
        return
    files = DiskFiles(tmp_path)
    yield files
    files.close()


async def test_chunks_are_appended_and_read_from_an_offset(files: Any) -> None:
    """Append tells the size; read goes on where the last one ended, in pieces of the wished size."""
    assert await files.append(42, "apply-codfw.log", b"one\n") == 4
    assert await files.append(42, "apply-codfw.log", b"two\n") == 8
    assert await files.read(42, "apply-codfw.log") == (b"one\ntwo\n", 8)
    assert await files.read(42, "apply-codfw.log", 4) == (b"two\n", 8)
    assert await files.read(42, "apply-codfw.log", 0, 3) == (b"one", 3)
    assert await files.read(42, "apply-codfw.log", 8) == (b"", 8)


async def test_writing_replaces_and_appending_goes_on(files: Any) -> None:
    """A written file has the new bytes only, and later appends go to that file."""
    await files.append(1, "diff", b"old")
    await files.write(1, "diff", b"new\n")
    assert await files.append(1, "diff", b"more") == 8
    assert await files.read(1, "diff") == (b"new\nmore", 8)


async def test_a_file_that_is_not_there_is_empty(files: Any) -> None:
    """Reading what was never written gives nothing at the same offset."""
    assert await files.read(7, "diff", 5) == (b"", 5)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\0", "a\n", "x" * 101])
async def test_a_name_cannot_leave_the_folder(files: Any, name: str) -> None:
    """Only plain names are taken, whoever asks."""
    for call in (files.append(1, name, b"x"), files.write(1, name, b"x"), files.read(1, name)):
        with pytest.raises(PermanentError):
            await call
    with pytest.raises(PermanentError):
        await files.read(-1, "diff")


async def test_old_folders_go_and_kept_ones_stay(tmp_path: Path) -> None:
    """Expiry removes what was last written before the time, never what is named, and tells the numbers."""
    disk = DiskFiles(tmp_path)
    for number in (1, 2, 3):
        await disk.append(number, "log", b"x")
        await disk.done(number)
    for number in (1, 2):
        os.utime(tmp_path / str(number) / "log", (1000, 1000))
    assert await disk.expire(2000.0, keep={2}) == (1,)
    assert await disk.read(1, "log") == (b"", 0)
    assert await disk.read(2, "log") == (b"x", 1)
    disk.close()
    disk.close()


async def test_many_open_files_stay_few(tmp_path: Path) -> None:
    """Appending to more files than are kept open loses nothing."""
    disk = DiskFiles(tmp_path)
    for _ in range(2):
        for number in range(1, 80):
            await disk.append(number, "log", b"ab")
    assert await disk.read(1, "log") == (b"abab", 4)
    disk.close()


async def test_an_unusable_folder_is_said_in_words(tmp_path: Path) -> None:
    """The library's error becomes ours, as something that passes."""
    (tmp_path / "rollouts").write_text("a file where a folder should be")
    disk = DiskFiles(tmp_path / "rollouts")
    with pytest.raises(TemporaryError, match="data folder"):
        await disk.append(1, "log", b"x")
    disk.close()
