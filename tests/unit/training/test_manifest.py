"""The manifest: whatever happens to a step's files, or to the manifest itself, is found and named."""

import json
import os

import pytest

from camfuse_jax.training import manifest

CONFIG = manifest.digest({"a": 1, "b": [1, 2]})


@pytest.fixture
def step(tmp_path):
    folder = tmp_path / "4"
    (folder / "state").mkdir(parents=True)
    (folder / "one").write_bytes(b"first")
    (folder / "state" / "two").write_bytes(b"second")
    (folder / "state" / "empty").write_bytes(b"")
    manifest.write_manifest(folder, step=4, last=False, config=CONFIG)
    return folder


def _problem(folder, step=4, config=CONFIG):
    return manifest.problem(folder, step=step, config=config)


def test_an_untouched_step_is_good(step):
    assert _problem(step) == ""
    read = manifest.read_manifest(step)
    assert (read.step, read.last, read.config) == (4, False, CONFIG)
    assert sorted(read.files) == ["one", "state/empty", "state/two"]
    assert read.files["one"][0] == 5


def test_the_digest_of_a_config_knows_no_order():
    assert manifest.digest({"b": [1, 2], "a": 1}) == CONFIG
    assert manifest.digest({"b": [2, 1], "a": 1}) != CONFIG


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: (f / "one").write_bytes(b"firsT"), "the sha256 of one differs"),
        (lambda f: (f / "one").write_bytes(b"firs"), "one has 4 bytes instead of 5"),
        (lambda f: (f / "one").unlink(), "one is missing"),
        (lambda f: (f / "state" / "three").write_bytes(b""), "state/three is not part of it"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_bytes(b""), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff" * 9), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").write_text("[" * 9999), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").write_text("1" * (1 << 21)), "manifest.json cannot be read"),
        (lambda f: os.mkfifo(f / "pipe"), "pipe is neither a file nor a folder"),
        (lambda f: (f / "link").symlink_to(f / "one"), "link is neither a file nor a folder"),
    ],
)
def test_every_damage_is_named(step, damage, told):
    damage(step)
    assert told in _problem(step)


def test_another_step_and_another_config_are_told_apart(step):
    assert "that of step 4" in _problem(step, step=6)
    assert "another config" in _problem(step, config=manifest.digest({}))


def test_a_flipped_bit_in_any_byte_of_the_manifest_is_found(step):
    path = step / manifest.NAME
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"manifest\.json"):
            manifest.read_manifest(step)


def test_a_manifest_that_says_last_by_mistake_is_damaged(step):
    text = (step / manifest.NAME).read_text()
    content = json.loads(text)
    content["manifest"]["last"] = True
    (step / manifest.NAME).write_text(text.replace('"last": false', '"last": true'))
    assert _problem(step) == "manifest.json is damaged"
