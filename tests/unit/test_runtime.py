"""Where compiled programs are kept, and where they are not."""

import os

import pytest

from camfuse_jax.system import runtime


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.delenv(runtime.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_a_folder_of_the_user_alone_per_version_and_processor(home):
    folder = runtime.cache_folder()
    assert folder.parent == home / "cache" / "camfuse_jax"
    assert folder.name.startswith("jaxlib-")
    assert folder.stat().st_mode & 0o077 == 0
    assert runtime.cache_folder() == folder


def test_the_environment_names_another_or_none(home, monkeypatch):
    monkeypatch.setenv(runtime.CACHE_VARIABLE, str(home / "named"))
    assert runtime.cache_folder().parent == home / "named"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv(runtime.CACHE_VARIABLE, "~/mine")
    assert runtime.cache_folder().parent == home / "mine"
    for off in ("off", "0", "OFF", ""):
        monkeypatch.setenv(runtime.CACHE_VARIABLE, off)
        assert runtime.cache_folder() is None
    assert not (home / "cache").exists()


@pytest.mark.skipif(os.name != "posix", reason="rights are those of POSIX")
def test_a_folder_that_others_may_write_is_not_used(home):
    folder = runtime.cache_folder()
    folder.chmod(0o777)
    assert runtime.cache_folder() is None


def test_a_place_that_is_no_folder_or_a_full_disk_is_none(home, monkeypatch):
    (home / "cache").write_text("")
    assert runtime.cache_folder() is None
    (home / "cache").unlink()
    monkeypatch.setattr(runtime.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert runtime.cache_folder() is None


def test_the_oldest_go_first_and_what_is_empty_goes(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "empty").touch()
    runtime.prune(tmp_path, most=250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["middle", "new"]
