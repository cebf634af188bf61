"""The PyTorch networks, losses and training steps give what the JAX ones give, on narrow random networks."""

import dataclasses
import json
import typing

import jax
import numpy as np
import pytest
from small_nets import NET, small_params

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[torch]'")

from torch_reference import fusion as torch_fusion  # noqa: E402  (after the skip)
from torch_reference import parity_training, training  # noqa: E402
from torch_reference.bridge import from_params, nchw, nhwc, torch_arrays  # noqa: E402
from torch_reference.convert import convert  # noqa: E402
from torch_reference.load import load_model  # noqa: E402
from torch_reference.parity import _intermediates  # noqa: E402
from torch_reference.rules import RULES  # noqa: E402

from camfuse_jax.config import AutoencoderConfig, ClassifierConfig, Config, FusionConfig, Rule, to_json  # noqa: E402
from camfuse_jax.fusion.forward import POOLED_RULES  # noqa: E402
from camfuse_jax.fusion.fuse import fuse_arrays  # noqa: E402
from camfuse_jax.fusion.params import balanced, save_params  # noqa: E402
from camfuse_jax.fusion.rules import combine  # noqa: E402
from camfuse_jax.nets.build import averaging_start, equalize, make_encoder  # noqa: E402
from camfuse_jax.training.step import schedule  # noqa: E402

torch.set_num_threads(1)  # the networks are tiny, and waiting threads of PyTorch take time from the rest


@pytest.mark.parametrize(("phase_bias", "margin", "rule"), [(True, 4, "spatial"), (False, 0, "eq5-contribution")])
@pytest.mark.parametrize("kind", ["deep", "shallow"])
def test_every_intermediate_agrees(phase_bias, margin, rule, kind):
    net = dataclasses.replace(NET, kind=kind, phase_bias=phase_bias, margin=margin)
    params = small_params(net, fusion=FusionConfig(rule=rule))
    both = np.random.default_rng(0).random((2, 29, 39, 1), np.float32)
    rows = list(_intermediates(params, from_params(params), both))
    assert len(rows) == (9 if rule == "spatial" else 10)
    assert [row for row in rows if not row.passed] == []


def test_a_wrong_weight_is_noticed():
    params = small_params()
    model = from_params(params)
    with torch.no_grad():
        model.decoder.phase4.bias[:, 0, 1] += 0.1
    both = np.random.default_rng(0).random((2, 29, 39, 1), np.float32)
    missed = [row.quantity for row in _intermediates(params, model, both) if not row.passed]
    assert missed == ["reconstructed images", "fused, float"]


def _features(shape=(2, 11, 18, 6)):
    """Smooth places with noise upon them, alike in parts of the two."""
    rng = np.random.default_rng(0)
    low = np.cumsum(np.cumsum(rng.normal(size=(2, *shape)), axis=2), axis=3)
    low[1] += low[0]
    return np.maximum(0.05 * low + rng.normal(size=low.shape), 0).astype(np.float32)


@pytest.mark.parametrize("rule", [rule for rule in typing.get_args(Rule) if rule not in ("spatial", *POOLED_RULES)])
def test_every_rule_agrees(rule):
    params = small_params(fusion=FusionConfig(rule=rule, gain=1.5))
    ir, vis = _features()
    expected = np.asarray(combine(params.fusion, ir, vis, params.channel_weights))
    found = nhwc(RULES[rule](from_params(params), nchw(ir), nchw(vis)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("rule", ["eq5", "eq5-pooled", "eq5-contribution"])
def test_kept_brightness_agrees(rule):
    params = small_params(fusion=FusionConfig(rule=rule, brightness="kept"))
    ir, vis = np.random.default_rng(0).random((2, 1, 21, 34, 1), np.float32)
    found = nhwc(torch_fusion.fuse(from_params(params), nchw(ir), nchw(vis)))
    np.testing.assert_allclose(found, fuse_arrays(params, ir, vis), atol=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_rule_spatial_agrees(noise):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1, (2, 2, 6, 7, 1)).repeat(8, axis=2).repeat(8, axis=3)[:, :, :45, :54]
    ir, vis = np.clip(low + noise * rng.normal(size=low.shape), 0, 1).astype(np.float32)
    params = small_params(dataclasses.replace(NET, kind="shallow"), fusion=FusionConfig())
    found = nhwc(torch_fusion.fuse(from_params(params), nchw(ir), nchw(vis)))
    np.testing.assert_allclose(found, fuse_arrays(params, ir, vis), atol=1e-4)


def test_gains_are_refused():
    with pytest.raises(ValueError, match="no counterpart"):
        from_params(balanced(small_params(), ir_gain=2.0))


def test_8_bit_images_agree():
    params = small_params(fusion=FusionConfig())
    ir, vis = np.random.default_rng(0).integers(256, size=(2, 1, 21, 34, 1), dtype=np.uint8)
    found = torch_fusion.fuse_u8(from_params(params), *(torch.tensor(np.moveaxis(x, 3, 1)) for x in (ir, vis)))
    apart = np.abs(np.asarray(fuse_arrays(params, ir, vis), int) - np.moveaxis(found.numpy(), 1, 3))
    assert apart.max() <= 1
    assert np.mean(apart) < 0.01


def test_a_converted_file_loads_without_jax_types(tmp_path):
    params = small_params()
    save_params(tmp_path / "j.safetensors", params)
    convert(weights=str(tmp_path / "j.safetensors"), to="torch", out=tmp_path / "t.safetensors")
    model, expected = load_model(tmp_path / "t.safetensors"), from_params(params).state_dict()
    assert model.encoder.margin == NET.margin
    assert vars(model.fusion) | {"spatial": vars(model.fusion.spatial)} == json.loads(to_json(params.fusion))
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


@pytest.fixture(scope="module")
def training_rows():
    """Losses, gradients and training steps; a normal learning rate, from random weights."""
    config = Config(
        net=NET,
        ae=AutoencoderConfig(learning_rate=1e-4, clip=1.0),
        cls=ClassifierConfig(learning_rate=1e-3, clip=1.0, distance_weight=0.3),
    )
    ir, vis = np.random.default_rng(0).integers(256, size=(2, 80, 90), dtype=np.uint8)
    return {row.quantity: row for row in parity_training.rows(config, small_params(), ir, vis)}


@pytest.mark.slow
def test_losses_gradients_and_steps_agree(training_rows):
    assert len(training_rows) == 20
    assert [row for row in training_rows.values() if not row.passed] == []


@pytest.mark.slow
def test_training_moves_the_weights(training_rows):
    for stage in ("auto-encoder", "classifier"):
        row = training_rows[f"{stage}: distance of the weights, over the way they moved"]
        assert row.relative < 0.05


@pytest.mark.parametrize("config", [ClassifierConfig(), ClassifierConfig(schedule="constant", warmup=0.5)])
@pytest.mark.parametrize("total_steps", [1, 2, 20])
def test_learning_rates_agree(config, total_steps):
    ours = schedule(config, total_steps=total_steps)
    for step in range(total_steps):
        found = training.learning_rate(config, step, total_steps=total_steps)
        assert found == pytest.approx(float(ours(step)), rel=1e-5)


def test_averaging_start_agrees():
    params = small_params()
    expected = torch_arrays({"classifier": averaging_start(params.classifier)})
    model = from_params(params)
    training.averaging_start(model)
    for name, value in expected.items():
        assert model.state_dict()[name].numpy() == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_equalize_agrees():
    params = small_params()
    image = np.random.default_rng(0).random((2, 24, 24, 1), np.float32) * 2 - 1
    classifier = jax.tree.map(np.array, params.classifier)
    for layer in ("depthwise1", "depthwise2"):
        classifier[layer]["bias"][:] = 0
    start = dataclasses.replace(params, classifier=classifier)
    features, _ = make_encoder(NET).apply({"params": params.encoder}, image)
    expected = torch_arrays({"classifier": equalize(NET, classifier, features, size=8.0)})
    model = from_params(start)
    training.equalize(model, nchw(image), size=8.0)
    for name, value in expected.items():
        assert model.state_dict()[name].numpy() == pytest.approx(value, rel=1e-4, abs=1e-5)


def test_layouts_go_there_and_back():
    image = np.random.default_rng(0).random((2, 3, 5, 4), np.float32)
    assert np.array_equal(nhwc(nchw(image)), image)
