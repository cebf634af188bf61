"""Exported networks give what `fuse` gives at any size, and one that does not is refused."""

import dataclasses

import numpy as np
import pytest
from camfuse_jax.check import SIZES, TOLERANCE, check, export_network, onnx_session, to_stablehlo
from small_nets import NET, small_params

from camfuse_jax import balanced
from camfuse_jax.config import FusionConfig
from camfuse_jax.errors import CamfuseError, UsageError
from camfuse_jax.export.onnx import to_onnx

VARIANTS = [NET, dataclasses.replace(NET, phase_bias=False, margin=0)]


def _write(kind, params):
    if kind == "onnx":
        pytest.importorskip("onnx", reason="ONNX is not installed: pip install '.[export]'")
        pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: pip install '.[export]'")
        return to_onnx(params)
    pytest.importorskip("flatbuffers", reason="flatbuffers is not installed: pip install '.[export]'")
    return to_stablehlo(params)


@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
@pytest.mark.parametrize("net", VARIANTS, ids=["phase bias, margin", "plain"])
def test_exported_network_is_fuse(kind, net):
    params = small_params(net, fusion=FusionConfig())
    sizes = SIZES if (kind, net) == ("onnx", NET) else [(1, 1, 1), (2, 35, 29)]
    assert check(kind, _write(kind, params), params, sizes=sizes) < TOLERANCE


@pytest.mark.parametrize(
    "fusion",
    [
        FusionConfig(base_cells=0.8, place_cells=0.0, sharpness=1.0),
        *(FusionConfig(rule=rule, gain=1.5) for rule in ("eq5", "unit_sum", "mean", "add", "max")),
    ],
    ids=lambda fusion: fusion.rule,
)
def test_every_exported_rule_and_the_balance_are_those_of_fuse(fusion):
    params = balanced(small_params(fusion=fusion), ir_gain=3.0)
    assert check("onnx", _write("onnx", params), params, sizes=[(2, 17, 23)]) < TOLERANCE


def test_two_equal_and_two_flat_images_are_finite():
    content = _write("onnx", small_params(fusion=FusionConfig()))
    session = onnx_session(content)
    busy = np.random.default_rng(0).random((1, 1, 20, 24), np.float32)
    for image in (busy, np.full_like(busy, 0.4)):
        (fused,) = session.run(None, {"ir": image, "vis": image})
        assert np.all(np.isfinite(fused))


@pytest.mark.parametrize("rule", ["adaptive", "l1"])
def test_rules_without_onnx_are_refused_by_name(rule):
    pytest.importorskip("onnx", reason="ONNX is not installed: pip install '.[export]'")
    with pytest.raises(UsageError, match=f"Fusion rule {rule} cannot be exported to ONNX") as refused:
        to_onnx(small_params(fusion=FusionConfig(rule=rule)))
    assert "place, eq5" in str(refused.value)


@pytest.mark.parametrize("rule", ["adaptive", "l1"])
def test_stablehlo_takes_the_rules_that_onnx_does_not(rule):
    params = small_params(fusion=FusionConfig(rule=rule))
    assert check("stablehlo", _write("stablehlo", params), params, sizes=[(2, 17, 23)]) < TOLERANCE


@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
def test_other_weights_are_noticed(kind):
    content = _write(kind, small_params())
    with pytest.raises(CamfuseError, match="differs from fuse"):
        check(kind, content, small_params(seed=1), sizes=[(1, 17, 23)])


def test_odd_sizes_are_among_those_checked():
    assert any(height % 4 and width % 4 and height % 2 and width % 2 for _, height, width in SIZES)
    assert len({count for count, _, _ in SIZES}) > 1


def test_onnx_model_says_what_it_takes():
    content = _write("onnx", small_params())
    import onnx

    model = onnx.load_from_string(content)
    assert model.opset_import[0].version == 17
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == ["n", 1, "h", "w"]
    # Every weight that fusion uses is inside, bit for bit.
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    kernel = np.asarray(small_params().encoder["conv2"]["conv"]["kernel"])
    assert np.array_equal(stored["encoder.conv2.weight"], kernel.transpose(3, 2, 0, 1))


@pytest.mark.parametrize(("to", "out"), [(None, "x"), ("torch", "x"), ("onnx", None)])
def test_wrong_options_are_refused(tmp_path, to, out):
    with pytest.raises(UsageError):
        export_network(weights="tno", to=to, out=out and tmp_path / out)
    assert list(tmp_path.iterdir()) == []
