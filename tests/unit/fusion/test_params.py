"""Weights files: exact, checked, and nothing but weights."""

import dataclasses
import json

import flax.traverse_util
import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from small_nets import EQ5, NET, parts, small_params

from camfuse_jax import fuse, load_params, save_params
from camfuse_jax.config import FusionConfig, SpatialConfig
from camfuse_jax.errors import CheckpointError, ResourceError, UsageError
from camfuse_jax.fusion.params import with_look

KERNEL = "encoder/conv2/conv/kernel"


def _header(net=dataclasses.asdict(NET), fusion=dataclasses.asdict(EQ5)):  # noqa: B008 - never changed
    return {"camfuse_jax": json.dumps({"net": net, "fusion": fusion, "sha256": "of other weights"})}


HEADER = _header()


def _arrays():
    return flax.traverse_util.flatten_dict(jax.tree.map(np.array, parts(small_params())), sep="/")


@pytest.fixture
def write(tmp_path):
    def write(arrays, metadata):
        path = tmp_path / "x.safetensors"
        path.write_bytes(safetensors.numpy.save(arrays, metadata))
        return path

    return write


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "new" / "x.safetensors"
    save_params(path, small_params())
    loaded = load_params(path)
    assert (loaded.net, loaded.fusion) == (NET, EQ5)
    assert jax.tree.structure(loaded) == jax.tree.structure(small_params())
    jax.tree.map(np.testing.assert_array_equal, loaded, small_params())
    assert {jax.numpy.result_type(leaf) for leaf in jax.tree.leaves(loaded)} == {np.dtype("float32")}
    content = path.read_bytes()
    save_params(path, loaded)
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_a_look_is_saved_and_that_of_a_new_rule_is_used(tmp_path):
    params = small_params(fusion=FusionConfig())
    save_params(tmp_path / "x", with_look(params, 0.25))
    assert load_params(tmp_path / "x").current_look == 0.25
    natural = dataclasses.replace(params.fusion, spatial=SpatialConfig(look=0.0))
    images = np.random.default_rng(0).random((2, 24, 28), np.float32)
    results = [np.asarray(fuse(p, *images)) for p in (params.replace(fusion=natural), with_look(params, 0.0), params)]
    np.testing.assert_array_equal(results[0], results[1])
    assert abs(results[0] - results[2]).max() > 1 / 255


def test_a_look_may_be_the_word_that_the_command_takes():
    params = small_params(fusion=FusionConfig())
    assert [with_look(params, look).current_look for look in ("natural", "contrast", 0.5)] == [0, 1, 0.5]
    for wrong in ("vivid", 2, float("nan")):
        with pytest.raises(UsageError, match=r"look is .*Give natural, contrast, or a number from 0"):
            with_look(params, wrong)


def test_a_path_may_be_text(tmp_path):
    save_params(str(tmp_path / "x"), small_params())
    assert load_params(str(tmp_path / "x")).net == NET


def test_class_weights_are_the_heads_columns():
    head = np.asarray(small_params().classifier["head"]["kernel"], np.float64)
    np.testing.assert_array_equal(small_params().class_weights, head.T.astype(np.float32))
    np.testing.assert_allclose(small_params().channel_weights, 0.5 * np.tanh(head.T) + 0.5, rtol=1e-5)


def test_a_network_is_part_of_the_type_and_its_weights_are_leaves():
    doubled = jax.tree.map(lambda x: 2 * x, small_params())
    assert doubled.net == NET
    np.testing.assert_array_equal(doubled.class_weights, 2 * small_params().class_weights)


def _told(path):
    with pytest.raises(CheckpointError) as caught:
        load_params(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_array(write):
    arrays = _arrays()
    del arrays[KERNEL]
    text = _told(write(arrays, HEADER))
    assert f"missing: {KERNEL}; unexpected: none; shape: none; type: none" in text


@pytest.mark.parametrize("name", ["encoder/conv9/conv/kernel", "ema/conv1/conv/kernel", "step"])
def test_an_unexpected_array(write, name):
    text = _told(write({**_arrays(), name: np.zeros(2, np.float32)}, HEADER))
    assert f"missing: none; unexpected: {name}; shape: none; type: none" in text


def test_all_four_lists_at_once(write):
    arrays = _arrays()
    del arrays["decoder/conv5/bias"]
    arrays["decoder/conv6/bias"] = np.zeros(1, np.float32)
    arrays[KERNEL] = arrays[KERNEL][..., :-1].copy()
    arrays["classifier/head/kernel"] = arrays["classifier/head/kernel"].astype(np.float64)
    text = _told(write(arrays, HEADER))
    assert "missing: decoder/conv5/bias; unexpected: decoder/conv6/bias;" in text
    assert f"shape: {KERNEL}; type: classifier/head/kernel" in text


def test_a_part_that_is_absent(write):
    arrays = {name: array for name, array in _arrays().items() if not name.startswith("classifier/")}
    assert "classifier/head/kernel" in _told(write(arrays, HEADER))


@pytest.mark.parametrize("name", ["encoder", f"{KERNEL}/deeper"])
def test_names_that_are_both_array_and_folder(write, name):
    _told(write({**_arrays(), name: np.zeros(2, np.float32)}, HEADER))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(write, value):
    arrays = _arrays()
    arrays[KERNEL][0, 0, 0, 0] = value
    assert "not finite" in _told(write(arrays, HEADER))


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"net": "{}"},
        *({"camfuse_jax": text} for text in ("", "null", "[1]", "3", "{}", '{"sha256": "x", "net": {}}')),
        _header(net={"depth": 3}),
        _header(net={"margin": "4"}),
        _header(fusion={"rule": "best"}),
    ],
    ids=str,
)
def test_metadata_that_name_no_network(write, metadata):
    assert "not a weights file" in _told(write(_arrays(), metadata))


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_widths": [4, 4, 6, 6, 8]},
        {"encoder_widths": [4, 4]},
        {"encoder_widths": ["a", 4, 6, 6, 6]},
        {"encoder_widths": [0, 4, 6, 6, 6]},
        {"encoder_widths": [-4, 4, 6, 6, 6]},
        {"decoder_widths": []},
        {"phase_bias": False},
        {"branches": 0},
        {"branches": 3},
        {"strides": []},
        {"strides": [0, 2]},
        {"margin": -4},
        {"margin": 3},
    ],
    ids=str,
)
def test_metadata_that_name_another_or_an_impossible_network(write, change):
    _told(write(_arrays(), _header(net={**dataclasses.asdict(NET), **change})))


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "x"
    save_params(path, small_params())
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert "sha256" in _told(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file(write, share):
    path = write(_arrays(), HEADER)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "not a weights file" in _told(path)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes(tmp_path, seed):
    path = tmp_path / "noise.safetensors"
    path.write_bytes(np.random.default_rng(seed).bytes(1000))
    assert "not a weights file" in _told(path)


def test_random_damage_of_the_header_never_escapes_as_another_error(write):
    path = write(_arrays(), HEADER)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[rng.integers(0, 2000)] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            load_params(path)
        except CheckpointError as error:
            assert str(path) in str(error)


def test_an_absent_path_names_the_shipped_ones(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path, "TNO", ""):
        with pytest.raises(CheckpointError, match=r"no weights at .*tno, roadscene"):
            load_params(path)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResourceError, match="cannot be written"):
        save_params(tmp_path / "file" / "x.safetensors", small_params())
