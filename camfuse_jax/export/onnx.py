"""A list of ONNX nodes under construction, and the layers of these networks in its terms (opset 17, NCHW)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from camfuse_jax.config import Modality
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.grids import gaussian_weights
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.autoencoder import ENCODER_STRIDES, UPSAMPLED_BEFORE
from camfuse_jax.nets.layers import parity_kernel

OPSET = 17
_IR_VERSION = 8  # of the ONNX release that brought opset 17, so that runtimes of that age read the file


class Graph:
    """Nodes and constants in the order they were added; every method returns the name of the tensor it made."""

    def __init__(self) -> None:
        self._onnx = _onnx()
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any) -> str:
        """Adds a constant; the same name may be given again with the same value."""
        array = np.ascontiguousarray(value)
        self._constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def integers(self, *values: int) -> str:
        """Adds a vector of int64."""
        return self.constant("i_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output."""
        name = name or f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def halves(self, x: str, *, prefix: str) -> tuple[str, str]:
        """Splits the first axis into two equal parts."""
        names = [f"{prefix}_ir", f"{prefix}_vis"]
        self._nodes.append(self._onnx.helper.make_node("Split", [x], names, name=prefix, axis=0))
        return names[0], names[1]

    def model(self, *, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], told: dict[str, str]) -> Any:
        """Closes the graph.

        Args:
            inputs: Shapes of the float32 inputs by name; a text is a free length.
            outputs: The same for the outputs.
            told: Texts that travel with the model.
        """
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        ends = [
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in side.items()]
            for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, "camfuse", *ends, initializer=list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        helper.set_model_props(model, told)
        self._onnx.checker.check_model(model, full_check=True)
        return model


def pad_edge(graph: Graph, x: str, pixels: int) -> str:
    """Repeats the outermost pixel of height and width."""
    return graph.node("Pad", x, graph.integers(0, 0, pixels, pixels, 0, 0, pixels, pixels), mode="edge")


def convolution(
    graph: Graph,
    x: str,
    kernel: Float[np.ndarray, "h w i o"],
    bias: Float[np.ndarray, " o"] | None,
    *,
    name: str,
    **how,
) -> str:
    """Adds a convolution without padding; the kernel comes in JAX's layout."""
    inputs = [x, graph.constant(f"{name}.weight", np.transpose(kernel, (3, 2, 0, 1)))]
    if bias is not None:
        inputs.append(graph.constant(f"{name}.bias", bias))
    return graph.node("Conv", *inputs, name=name, **how)


def gaussian(graph: Graph, x: str, cells: float, *, channels: int, name: str) -> str:
    """Blurs maps along height and width, edges repeated (`fusion.rules.smooth`); 0 cells leaves them as they are."""
    if not cells:
        return x
    taps = gaussian_weights(cells).astype(np.float32)
    x = pad_edge(graph, x, len(taps) // 2)
    for axis, shape in (("rows", (1, 1, -1, 1)), ("cols", (1, 1, 1, -1))):
        kernel = graph.constant(f"{name}.{axis}", np.tile(taps.reshape(shape), (channels, 1, 1, 1)))
        x = graph.node("Conv", x, kernel, group=channels)
    return x


def crop_like(graph: Graph, x: str, like: str, *, margin: int) -> str:
    """Cuts height and width of `like` out of maps, starting `margin` pixels from the top left."""
    size = graph.node("Slice", graph.node("Shape", like), graph.integers(2), graph.integers(4))
    starts = graph.integers(margin, margin)
    return graph.node("Slice", x, starts, graph.node("Add", size, starts), graph.integers(2, 3))


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise UsageError("ONNX export needs the package onnx.", "Run `pip install '.[export]'`.") from error
    return onnx


# The fusion rules as ONNX nodes: `camfuse_jax.fusion.rules` in NCHW, any batch, height and width.


def fusion_rule(graph: Graph, params: Params, features: str) -> str:
    """Adds the rule of the weights.

    Args:
        graph: Where to add it.
        params: Weights, with their rule and balance.
        features: Both images' features, (2 n, k, h, w), infrared first.

    Returns:
        The fused features, (n, k, h, w).

    Raises:
        UsageError: If the rule is not among those that are exported.
    """
    rule = params.fusion.rule
    if rule not in _RULES:
        raise UsageError(
            f"Fusion rule {rule} cannot be exported to ONNX.",
            f"Rules that can: {', '.join(_RULES)}. StableHLO (--to stablehlo) takes every rule.",
        )
    return _RULES[rule](graph, params, features)


def _eq5(graph: Graph, params: Params, features: str) -> str:
    """Each channel times its channel weight, added (Eqs. 3 and 5); `gain` scales both."""
    return _weighted(graph, features, np.asarray(params.channel_weights) * params.fusion.gain)


def _unit_sum(graph: Graph, params: Params, features: str) -> str:
    weights = np.asarray(params.channel_weights)
    return _weighted(graph, features, weights / weights.sum(axis=0) * params.fusion.gain)


def _weighted(graph: Graph, features: str, weights: np.ndarray) -> str:
    laid = weights.astype(np.float32).reshape(2, 1, -1, 1, 1)
    parts = [
        graph.node("Mul", x, graph.constant(f"channel_weights.{kind.name.lower()}", laid[kind]))
        for kind, x in zip(Modality, graph.halves(features, prefix="features"), strict=True)
    ]
    return graph.node("Add", *parts, name="fused_features")


def _mean(graph: Graph, params: Params, features: str) -> str:
    added = graph.node("Add", *graph.halves(features, prefix="features"))
    return graph.node("Mul", added, _number(graph, 0.5), name="fused_features")


def _add(graph: Graph, params: Params, features: str) -> str:
    return graph.node("Add", *graph.halves(features, prefix="features"), name="fused_features")


def _max(graph: Graph, params: Params, features: str) -> str:
    return graph.node("Max", *graph.halves(features, prefix="features"), name="fused_features")


def _number(graph: Graph, value: float) -> str:
    return graph.constant(f"number_{value:.9g}", np.float32(value))


_RULES: dict[str, Callable[[Graph, Params, str], str]] = {
    "eq5": _eq5,
    "unit_sum": _unit_sum,
    "mean": _mean,
    "add": _add,
    "max": _max,
}


# Fusion (Eqs. 3-6) as an ONNX graph, built by hand: batch, height and width stay free.


_SHAPE = ["n", 1, "h", "w"]


def to_onnx(params: Params) -> bytes:
    """Writes `fuse` as an ONNX model, opset 17.

    Inputs `ir` and `vis` and output `fused` are float32 (n, 1, h, w) in [0, 1], any n, h, w from 1. Margin, padding of
    odd sizes and cropping are inside the graph.

    Raises:
        UsageError: If the package onnx is not installed, or the fusion rule is not exported (`adaptive`, `l1`).
    """
    graph = Graph()
    two, one, half = (graph.constant(name, np.float32(v)) for name, v in (("two", 2), ("one", 1), ("half", 0.5)))
    both = graph.node("Concat", "ir", "vis", axis=0)
    sym = graph.node("Sub", graph.node("Mul", both, two), one, name="images_sym")
    fused = fusion_rule(graph, params, _encoder(graph, sym, params.encoder, margin=params.net.margin))
    drawn = _decoder(graph, fused, params.decoder)
    cut = crop_like(graph, drawn, "ir", margin=params.net.margin)
    graph.node("Mul", graph.node("Add", graph.node("Tanh", cut), one), half, name="fused")
    told = {"range": "float32 in [0, 1]", "inputs": "ir, vis: (n, 1, h, w), same size", "made_by": "camfuse_jax"}
    told["rule"] = params.fusion.rule
    model = graph.model(inputs={"ir": _SHAPE, "vis": _SHAPE}, outputs={"fused": _SHAPE}, told=told)
    return model.SerializeToString()


def _encoder(graph: Graph, x: str, encoder: Mapping[str, Any], *, margin: int) -> str:
    for i, stride in enumerate(ENCODER_STRIDES, start=1):
        conv = encoder[f"conv{i}"]["conv"]
        # Edge padding by the margin and by a convolution's own pixel are one edge padding by both.
        x = pad_edge(graph, x, 1 + (margin if i == 1 else 0))
        name = f"encoder.conv{i}"
        x = graph.node("Relu", convolution(graph, x, *_arrays(conv), name=name, strides=[stride, stride]))
    return x


def _decoder(graph: Graph, x: str, decoder: Mapping[str, Any]) -> str:
    """Upsampling and convolution in one, as `nets.upconv` has them; the 1x1 layer comes before the last parting."""
    for i in range(1, 5):
        name, layer = f"decoder.conv{i}", decoder[f"conv{i}"]
        x = pad_edge(graph, x, 1)
        if i not in UPSAMPLED_BEFORE:
            x = graph.node("Relu", convolution(graph, x, *_arrays(layer["conv"]), name=name))
            continue
        kernel, bias = _arrays(layer["conv"])
        joined = np.asarray(parity_kernel(kernel))
        four = np.asarray(layer["phase"]["bias"]).reshape(-1) if "phase" in layer else np.tile(bias, 4)
        x = graph.node("Relu", convolution(graph, x, joined.reshape(*joined.shape[:3], -1), four, name=name))
        if i < 4:
            x = graph.node("DepthToSpace", x, blocksize=2, mode="DCR")
    kernel, bias = _arrays(decoder["conv5"])
    # One group per parity: the same 1x1 layer for each.
    x = convolution(graph, x, np.tile(kernel, (1, 1, 1, 4)), np.tile(bias, 4), name="decoder.conv5", group=4)
    return graph.node("DepthToSpace", x, blocksize=2, mode="DCR")


def _arrays(conv: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    return np.asarray(conv["kernel"]), np.asarray(conv["bias"]) if "bias" in conv else None
