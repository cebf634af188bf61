"""Checkpoints: exact, tied to their config, and honest about damage."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from camfuse_jax.errors import CheckpointError, ResourceError
from camfuse_jax.training.checkpoint import StageCheckpoints, saved_config
from camfuse_jax.training.parallel import TrainState

CONFIG = {"stage": "ae", "ae": {"crop": 32, "learning_rate": 1e-3}, "net": {"widths": (4, 8)}}
TX = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))


def _state(step=0, seed=0, *, shape=(3, 4), dtype=np.float32, extra=False):
    rng = np.random.default_rng(seed)
    params = {"conv": {"kernel": rng.normal(size=shape).astype(dtype), "bias": rng.normal(size=4).astype(np.float32)}}
    if extra:
        params["more"] = np.ones(2, np.float32)
    return jax.tree.map(np.asarray, TrainState(jnp.int32(step), params, TX.init(params)))


@pytest.fixture
def saved(tmp_path):
    """A folder with steps 2 and 4."""
    checkpoints = StageCheckpoints(tmp_path / "ae", CONFIG)
    for step in (2, 4):
        checkpoints.save(step, _state(step, seed=step))
    checkpoints.close()
    return tmp_path / "ae"


def test_what_is_restored_is_what_was_saved(saved):
    checkpoints = StageCheckpoints(saved, CONFIG)
    assert checkpoints.latest == 4
    restored = checkpoints.restore(_state())
    checkpoints.close()
    assert isinstance(restored, TrainState)
    assert jax.tree.structure(restored) == jax.tree.structure(_state())
    for found, expected in zip(jax.tree.leaves(restored), jax.tree.leaves(_state(4, seed=4)), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_only_the_newest_are_kept(saved):
    checkpoints = StageCheckpoints(saved, CONFIG)
    checkpoints.save(6, _state(6))
    checkpoints.close()
    assert sorted(int(path.name) for path in saved.iterdir() if path.is_dir()) == [4, 6]


def test_a_step_that_is_there_is_left_as_it_is(saved):
    checkpoints = StageCheckpoints(saved, CONFIG)
    checkpoints.save(4, _state(4, seed=99))
    restored = checkpoints.restore(_state())
    checkpoints.close()
    np.testing.assert_array_equal(restored.params["conv"]["kernel"], _state(4, seed=4).params["conv"]["kernel"])


def test_without_any_there_is_an_error(tmp_path):
    checkpoints = StageCheckpoints(tmp_path / "ae", CONFIG)
    assert checkpoints.latest is None
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*ae"):
        checkpoints.restore(_state())
    checkpoints.close()


def test_another_config_is_refused_with_the_names_that_differ(saved):
    other = {"stage": "ae", "ae": {"crop": 64, "learning_rate": 1e-3}, "net": {"widths": (4, 9)}}
    with pytest.raises(CheckpointError) as caught:
        StageCheckpoints(saved, other)
    text = str(caught.value)
    assert "ae.crop: saved 32, now 64" in text
    assert "net.widths: saved [4, 8], now [4, 9]" in text
    assert "learning_rate" not in text
    assert "stage:" not in text


def test_a_folder_without_checkpoints_takes_another_config(tmp_path):
    # A first attempt with a wrong batch size, say, ends before anything is trained.
    StageCheckpoints(tmp_path / "ae", CONFIG).close()
    other = {**CONFIG, "ae": {"crop": 64}}
    StageCheckpoints(tmp_path / "ae", other).close()
    assert saved_config(tmp_path / "ae")["ae"] == {"crop": 64}


@pytest.mark.parametrize(
    "like",
    [{"shape": (4, 3)}, {"shape": (3, 5)}, {"dtype": np.float16}, {"dtype": np.int32}, {"extra": True}],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused(saved, like):
    checkpoints = StageCheckpoints(saved, CONFIG)
    with pytest.raises(CheckpointError):
        checkpoints.restore(_state(**like))
    checkpoints.close()


def test_a_saved_state_with_more_in_it_is_refused(tmp_path):
    checkpoints = StageCheckpoints(tmp_path / "ae", CONFIG)
    checkpoints.save(1, _state(1, extra=True))
    with pytest.raises(CheckpointError):
        checkpoints.restore(_state())
    checkpoints.close()


def test_damaged_files_are_a_checkpoint_error(saved):
    largest = max((path for path in (saved / "4").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 3 :] = b"\x00" * (len(content) - len(content) // 3)
    largest.write_bytes(content)
    checkpoints = StageCheckpoints(saved, CONFIG)
    with pytest.raises(CheckpointError):
        checkpoints.restore(_state())
    checkpoints.close()


def test_lost_files_are_a_checkpoint_error(saved):
    for path in (saved / "4").rglob("*"):
        if path.is_file() and path.name not in ("_CHECKPOINT_METADATA", "checkpoint_metadata"):
            path.unlink()
    checkpoints = StageCheckpoints(saved, CONFIG)
    with pytest.raises(CheckpointError):
        checkpoints.restore(_state())
    checkpoints.close()


def test_a_damaged_config_is_a_checkpoint_error(saved):
    (saved / "config.json").write_text('{"stage": ')
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        StageCheckpoints(saved, CONFIG)
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        saved_config(saved)


def test_saved_config_of_an_untrained_stage(tmp_path):
    with pytest.raises(CheckpointError, match="holds no trained stage"):
        saved_config(tmp_path / "ae")


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "ae"):
        with pytest.raises(ResourceError, match="cannot be used"):
            StageCheckpoints(folder, CONFIG)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    folder = tmp_path / "ae"
    folder.mkdir(mode=0o555)
    with pytest.raises(ResourceError, match="cannot be used"):
        StageCheckpoints(folder, CONFIG)
