"""The PyTorch networks, losses and training steps give what the JAX ones give, on narrow random networks."""

import dataclasses

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

from camfuse_jax.config import AutoencoderConfig, ClassifierConfig, Config  # noqa: E402
from camfuse_jax.fusion import fuse, save_params  # noqa: E402
from camfuse_jax.nets import equalise, make_encoder  # noqa: E402
from camfuse_jax.training.optimizer import schedule  # noqa: E402

torch.set_num_threads(1)  # the networks are tiny, and waiting threads of PyTorch take time from the rest


@pytest.mark.parametrize(("phase_bias", "margin"), [(True, 4), (False, 0)])
def test_every_intermediate_agrees(phase_bias, margin):
    params = small_params(dataclasses.replace(NET, phase_bias=phase_bias, margin=margin))
    both = np.random.default_rng(0).random((2, 29, 39, 1), np.float32)
    rows = list(_intermediates(params, from_params(params), both))
    assert len(rows) == 10
    assert [row for row in rows if not row.passed] == []


def test_a_wrong_weight_is_noticed():
    params = small_params()
    model = from_params(params)
    with torch.no_grad():
        model.decoder.phase4.bias[:, 0, 1] += 0.1
    both = np.random.default_rng(0).random((2, 29, 39, 1), np.float32)
    missed = [row.quantity for row in _intermediates(params, model, both) if not row.passed]
    assert missed == ["reconstructed images", "fused, float"]


def test_8_bit_images_agree():
    params = small_params()
    ir, vis = np.random.default_rng(0).integers(256, size=(2, 1, 21, 34, 1), dtype=np.uint8)
    found = torch_fusion.fuse_u8(from_params(params), *(torch.tensor(np.moveaxis(x, 3, 1)) for x in (ir, vis)))
    apart = np.abs(np.asarray(fuse(params, ir, vis), int) - np.moveaxis(found.numpy(), 1, 3))
    assert apart.max() <= 1
    assert np.mean(apart) < 0.01


def test_a_converted_file_loads_without_jax_types(tmp_path):
    params = small_params()
    save_params(tmp_path / "j.safetensors", params)
    convert(weights=str(tmp_path / "j.safetensors"), to="torch", out=tmp_path / "t.safetensors")
    model, expected = load_model(tmp_path / "t.safetensors"), from_params(params).state_dict()
    assert model.encoder.margin == NET.margin
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


def test_equalise_agrees():
    params = small_params()
    image = np.random.default_rng(0).random((2, 24, 24, 1), np.float32) * 2 - 1
    classifier = jax.tree.map(np.array, params.classifier)
    for layer in ("depthwise1", "depthwise2"):
        classifier[layer]["bias"][:] = 0
    start = dataclasses.replace(params, classifier=classifier)
    features, _ = make_encoder(NET).apply({"params": params.encoder}, image)
    with jax.numpy_rank_promotion("allow"):
        expected = torch_arrays({"classifier": equalise(NET, classifier, features, size=8.0)})
    model = from_params(start)
    training.equalise(model, nchw(image), size=8.0)
    for name, value in expected.items():
        assert model.state_dict()[name].numpy() == pytest.approx(value, rel=1e-4, abs=1e-5)


def test_layouts_go_there_and_back():
    image = np.random.default_rng(0).random((2, 3, 5, 4), np.float32)
    assert np.array_equal(nhwc(nchw(image)), image)
