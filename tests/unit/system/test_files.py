"""Atomic files: the new content or the old, and nothing beside it."""

import errno
import os
import time

import pytest

from camfuse_jax.errors import ResourceError
from camfuse_jax.system import files
from camfuse_jax.system.files import as_resource_error


def test_text_bytes_and_the_longest_name(tmp_path):
    for name, content in (("a", "Grüße"), ("b", b"\x00"), ("é" * 127, "x"), ("n" * 255, "y")):
        files.write_atomically(tmp_path / name, content)
        expected = content.encode() if isinstance(content, str) else content
        assert (tmp_path / name).read_bytes() == expected
    assert len(list(tmp_path.iterdir())) == 4


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    files.write_atomically(tmp_path / "a", "old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(tmp_path / "a", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x/y"), "x/y: No space left on device."),
        (PermissionError(errno.EACCES, "Permission denied", "z"), "z: Permission denied."),
        (RuntimeError("split: write() failed: No space left on device; writing x"), "No space left on device: split"),
        (MemoryError(), "Memory does not suffice."),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), "Memory does not suffice."),
    ],
    ids=str,
)
def test_refusals_of_the_system_become_one_kind(error, told):
    with pytest.raises(ResourceError) as caught, as_resource_error():
        raise error
    assert told in str(caught.value)


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "?"), RuntimeError("a bug"), OSError("no number")])
def test_our_own_mistakes_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, as_resource_error():
        raise error
    assert caught.value is error


def test_what_another_machine_left_is_removed_after_a_day(tmp_path):
    """Its processes cannot be asked; those of this machine can."""
    mine = files.partial_name(tmp_path)
    fresh, old = (mine.with_name(f".{'0' * 8}-{'f' * 8}-{number * 16}.part") for number in "12")
    for path in (mine, fresh, old):
        path.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    files.remove_partial_files(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted((mine, fresh))


def test_folders_are_made_on_the_way(tmp_path):
    files.replace_file(tmp_path / "a" / "b" / "c.txt", "text")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "text"


def test_an_exclusive_write_never_replaces(tmp_path, monkeypatch):
    for links in (True, False):  # some file systems know no links
        if not links:
            monkeypatch.setattr(files.os, "link", _no_links)
        path = tmp_path / str(links)
        files.write_atomically(path, "first", exclusive=True)
        with pytest.raises(FileExistsError):
            files.write_atomically(path, "second", exclusive=True)
        assert path.read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 2


def _no_links(*_):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
