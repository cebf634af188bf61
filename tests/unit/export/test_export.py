"""Exported networks give what `fuse` gives at any size, and one that does not is refused."""

import dataclasses

import jax
import numpy as np
import pytest
from small_nets import NET, small_params

from camfuse_jax import balanced, save_params
from camfuse_jax.cli import main
from camfuse_jax.config import FusionConfig, SpatialConfig
from camfuse_jax.errors import CamfuseError, UsageError
from camfuse_jax.export import check as module
from camfuse_jax.export.check import SIZES, TOLERANCE, check, export_network, onnx_session, to_stablehlo
from camfuse_jax.export.onnx import to_onnx
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import with_look

SHALLOW = dataclasses.replace(NET, kind="shallow")
PLAIN = dataclasses.replace(NET, phase_bias=False, margin=0)
EXACT = 0.01  # gray levels; what two float32 runtimes on one processor differ by at most


def _write(kind, params):
    if kind == "onnx":
        pytest.importorskip("onnx", reason="ONNX is not installed: pip install '.[export]'")
        pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: pip install '.[export]'")
        return to_onnx(params)
    pytest.importorskip("flatbuffers", reason="flatbuffers is not installed: pip install '.[export]'")
    return to_stablehlo(params)


@pytest.mark.parametrize("net", [SHALLOW, NET, PLAIN], ids=["shallow", "deep", "plain"])
def test_onnx_is_fuse(net):
    params = with_look(balanced(small_params(net, fusion=FusionConfig()), ir_gain=3.0), 0.3)
    sizes = SIZES if net is SHALLOW else [(1, 1, 1), (2, 35, 29)]
    assert check("onnx", _write("onnx", params), params, sizes=sizes) < EXACT


@pytest.mark.parametrize("net", [SHALLOW, NET], ids=["shallow", "deep"])
def test_stablehlo_is_fuse(net):
    params = small_params(net, fusion=FusionConfig())
    assert check("stablehlo", _write("stablehlo", params), params, sizes=[(1, 1, 1), (2, 35, 29)]) < EXACT


def test_the_tolerance_is_a_quarter_of_a_gray_level():
    assert pytest.approx(0.25 / 255) == TOLERANCE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_sigma", 4.0),
        ("activity_sigma", 3.0),
        ("sharpness", 1.0),
        ("class_score", 2.0),
        ("saliency", 0.0),
        ("warm_levels", 5.0),
        ("warm_base", (1.0, 1.0)),
        ("base_gain", (2.0, 1.0)),
        ("visible_tone", (0.0, 0.5)),
        ("bright_tone", (0.0, 1.0)),
        ("visible_mean", (0.0, 1.0)),
        ("base_bound", 0.0),
        ("detail_gain", (2.0, 2.0)),
        ("bound", (0.0, 1.0)),
        ("knee", 60.0),
        ("denoise", 0.0),
    ],
)
def test_every_setting_of_rule_spatial_is_in_the_onnx_file(name, value):
    """Compared with the default of `fuse`: what changes there changes here by as much."""
    fusion = FusionConfig(spatial=SpatialConfig(**{name: value}))
    plain, changed = (small_params(SHALLOW, fusion=one) for one in (FusionConfig(), fusion))
    ir, vis = _scene(noise=0.02)
    found = [_run(params, ir, vis) for params in (plain, changed)]
    expected = [np.asarray(fuse_arrays(params, ir, vis)) for params in (plain, changed)]
    assert np.abs(expected[1] - expected[0]).max() > 0.5 / 255
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=EXACT / 255)


def _scene(shape=(56, 72), noise=0.008):
    """Bright, dark and warm patches with texture and noise."""
    rng = np.random.default_rng(5)
    low = rng.random((2, 4, 5)).repeat(16, axis=1).repeat(16, axis=2)[:, : shape[0], : shape[1]]
    noisy = np.clip(1.1 * low - 0.05 + noise * rng.normal(size=low.shape), 0, 1)
    return noisy.astype(np.float32) * np.float32([[[0.7]], [[1.0]]])


def _run(params, ir, vis):
    (fused,) = onnx_session(_write("onnx", params)).run(None, {"ir": ir[None, None], "vis": vis[None, None]})
    return fused[0, 0]


@pytest.mark.parametrize("net", [NET, SHALLOW], ids=["deep", "shallow"])
@pytest.mark.parametrize("rule", ["eq5", "unit_sum", "mean", "add", "max"])
def test_every_rule_that_is_decoded_and_the_balance_are_those_of_fuse(rule, net):
    params = balanced(small_params(net, fusion=FusionConfig(rule=rule, gain=1.5)), ir_gain=3.0)
    assert check("onnx", _write("onnx", params), params, sizes=[(2, 17, 23)]) < EXACT


def test_two_equal_and_two_flat_images_come_out_unchanged():
    content = _write("onnx", small_params(SHALLOW, fusion=FusionConfig()))
    session = onnx_session(content)
    busy = _scene()[0][None, None]
    for image in (busy, np.full_like(busy, 0.4)):
        (fused,) = session.run(None, {"ir": image, "vis": image})
        np.testing.assert_allclose(fused, image, atol=1.5 / 255)


@pytest.mark.parametrize("rule", ["eq5-pooled_node", "eq5-contribution", "l1"])
def test_rules_without_onnx_are_refused_by_name(rule):
    pytest.importorskip("onnx", reason="ONNX is not installed: pip install '.[export]'")
    with pytest.raises(UsageError, match=f"Fusion rule {rule} cannot be exported to ONNX") as refused:
        to_onnx(small_params(fusion=FusionConfig(rule=rule)))
    assert "spatial, eq5" in str(refused.value)


def test_kept_brightness_is_refused():
    pytest.importorskip("onnx", reason="ONNX is not installed: pip install '.[export]'")
    with pytest.raises(UsageError, match="Brightness"):
        to_onnx(small_params(fusion=FusionConfig(rule="eq5", brightness="kept")))


@pytest.mark.parametrize("rule", ["eq5-contribution", "l1"])
def test_stablehlo_takes_the_rules_that_onnx_does_not(rule):
    params = small_params(fusion=FusionConfig(rule=rule))
    assert check("stablehlo", _write("stablehlo", params), params, sizes=[(2, 17, 23)]) < EXACT


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
    assert model.ir_version == 8  # of the time of that opset, so that older runtimes read it
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == ["n", 1, "h", "w"]
    # Every weight that fusion uses is inside, bit for bit.
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    kernel = np.asarray(small_params().encoder["conv2"]["conv"]["kernel"])
    assert np.array_equal(stored["encoder.conv2.weight"], kernel.transpose(3, 2, 0, 1))


def test_what_is_written_is_checked_first(tmp_path, monkeypatch):
    """And is of the weights and the format that are asked for."""
    save_params(tmp_path / "w.safetensors", small_params(seed=1))
    refusal, checked = [CamfuseError("It differs.")], []

    def compare(kind, content, params):
        checked.append((kind, content))
        np.testing.assert_array_equal(params.class_weights, small_params(seed=1).class_weights)
        if refusal:
            raise refusal.pop()
        return 0.0

    monkeypatch.setattr(module, "check", compare)
    monkeypatch.setattr(
        module, "_WRITERS", {kind: lambda params, kind=kind: kind.encode() for kind in ("onnx", "stablehlo")}
    )
    out = tmp_path / "new" / "x"
    command = ["export", "--weights", str(tmp_path / "w.safetensors"), "-o", str(out), "--to", "stablehlo"]
    assert main(command) == 1
    assert not out.exists()
    assert main(command) == 0
    assert [path.name for path in out.parent.iterdir()] == ["x"]
    assert checked == [("stablehlo", b"stablehlo")] * 2
    assert out.read_bytes() == b"stablehlo"


def test_stablehlo_is_for_every_kind_of_processor():
    pytest.importorskip("flatbuffers", reason="flatbuffers is not installed: pip install '.[export]'")
    assert jax.export.deserialize(bytearray(to_stablehlo(small_params()))).platforms == ("cpu", "cuda", "tpu")


@pytest.mark.parametrize(("to", "out"), [(None, "x"), ("torch", "x"), ("onnx", None)])
def test_wrong_options_are_refused(tmp_path, to, out):
    with pytest.raises(UsageError):
        export_network(weights="tno", to=to, out=out and tmp_path / out)
    assert list(tmp_path.iterdir()) == []
