"""Checkpoints: exact, tied to their config, and honest about damage."""

import os
import resource
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from camfuse_jax.errors import CheckpointError, ResourceError
from camfuse_jax.training import checkpoint
from camfuse_jax.training.checkpoint import StageCheckpoints
from camfuse_jax.training.step import TrainState

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


@pytest.mark.parametrize(("before", "told"), [("1", "auto-encoder 11111111"), (None, "the workdir's own auto-encoder")])
def test_another_auto_encoder_is_named_in_short(tmp_path, before, told):
    own = {"stage": "ae", "net": {"widths": [4]}, "ae": {"crop": 32}}
    given = {"sha256": "2" * 64, "net": {"widths": [8]}}
    with StageCheckpoints(tmp_path / "cls", {"ae": own if before is None else given | {"sha256": before * 64}}) as kept:
        kept.save(1, _state(1))
    with pytest.raises(CheckpointError) as caught:
        StageCheckpoints(tmp_path / "cls", {"ae": given, "seed": 3})
    config = f"(seed: saved not set, now 3; trained on {told}, now auto-encoder 22222222)"
    assert f"was trained with another config {config}" in str(caught.value)


def test_a_folder_without_checkpoints_takes_another_config(tmp_path):
    # A first attempt with a wrong batch size, say, ends before anything is trained.
    StageCheckpoints(tmp_path / "ae", CONFIG).close()
    other = {**CONFIG, "ae": {"crop": 64}}
    StageCheckpoints(tmp_path / "ae", other).close()
    assert checkpoint.read_stage_config(tmp_path / "ae")["ae"] == {"crop": 64}


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


def _damage(folder):
    largest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 3] ^= 1
    largest.write_bytes(content)
    return largest.relative_to(folder)


def test_a_damaged_step_is_named_and_the_one_before_used(saved, capsys):
    (saved / "4" / "state" / "_METADATA").write_bytes(b"")
    with StageCheckpoints(saved, CONFIG) as checkpoints:
        assert checkpoints.latest == 2
        restored = checkpoints.restore(_state())
    told = capsys.readouterr().err
    assert "step 4 is damaged (state/_METADATA has 0 bytes instead of" in told
    assert "going back to step 2" in told
    np.testing.assert_array_equal(restored.params["conv"]["kernel"], _state(2, seed=2).params["conv"]["kernel"])


def test_one_flipped_bit_is_found(saved, capsys):
    name = _damage(saved / "4")
    StageCheckpoints(saved, CONFIG).close()
    assert (
        f"step 4 is damaged ({'' if name.name == 'manifest.json' else 'the sha256 of '}{name} "
        in capsys.readouterr().err
    )


def test_without_a_good_step_there_is_an_error_that_names_all(saved):
    names = [str(_damage(saved / step)) for step in ("2", "4")]
    with pytest.raises(CheckpointError) as caught:
        StageCheckpoints(saved, CONFIG)
    for text in ("no checkpoint left", "step 2 is damaged", "step 4 is damaged", *names):
        assert text in str(caught.value)


def test_a_damaged_step_is_replaced_by_a_good_one(saved):
    _damage(saved / "4")
    with StageCheckpoints(saved, CONFIG) as checkpoints:
        checkpoints.save(3, _state(3, seed=3))
        assert checkpoints.latest == 3
    assert sorted(path.name for path in saved.iterdir() if path.is_dir()) == ["2", "3"]
    with StageCheckpoints(saved, CONFIG) as checkpoints:
        assert checkpoints.latest == 3


def test_what_a_kill_left_is_no_step_and_is_cleared(saved):
    (saved / "4").rename(saved / ".saving-6")
    (saved / ".removing-1" / "state").mkdir(parents=True)
    (saved / ".0123.part").write_text("x")
    with StageCheckpoints(saved, CONFIG, writable=False) as checkpoints:
        assert checkpoints.latest == 2
    assert (saved / ".saving-6").is_dir()  # a reader changes nothing
    StageCheckpoints(saved, CONFIG).close()
    assert sorted(path.name for path in saved.iterdir()) == [".lock", "2", "config.json"]


def test_a_stage_is_finished_by_its_last_step(tmp_path):
    with StageCheckpoints(tmp_path / "ae", CONFIG) as checkpoints:
        assert not checkpoints.finished
        checkpoints.save(1, _state(1))
        assert not checkpoints.finished
        checkpoints.save(2, _state(2), last=True)
        assert checkpoints.finished


def test_a_folder_has_one_writer_or_many_readers(saved):
    with StageCheckpoints(saved, CONFIG):
        for writable in (True, False):
            with pytest.raises(ResourceError, match=f"in use by process {os.getpid()} on"):
                StageCheckpoints(saved, CONFIG, writable=writable)
    reader = StageCheckpoints(saved, CONFIG, writable=False)
    StageCheckpoints(saved, CONFIG, writable=False).close()
    with reader, pytest.raises(ResourceError, match="in use"):
        StageCheckpoints(saved, CONFIG)
    StageCheckpoints(saved, CONFIG).close()


def test_a_full_disk_leaves_earlier_steps_and_one_line(saved, capfd):
    with StageCheckpoints(saved, CONFIG) as checkpoints:
        large = {"x": np.random.default_rng(0).normal(size=200_000)}
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(
                ResourceError, match=r"Step 6 could not be saved .*: File too large\. Earlier .* whole: 4"
            ):
                checkpoints.save(6, large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
        assert checkpoints.latest == 4
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in saved.iterdir() if path.is_dir()) == ["2", "4"]


def test_a_damaged_config_is_a_checkpoint_error(saved):
    (saved / "config.json").write_text('{"stage": ')
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        StageCheckpoints(saved, CONFIG)
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        checkpoint.read_stage_config(saved)


def test_saved_config_of_an_untrained_stage(tmp_path):
    with pytest.raises(CheckpointError, match="holds no trained stage"):
        checkpoint.read_stage_config(tmp_path / "ae")


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
