"""Fusion (Eqs. 3-6, and rule spatial) as an ONNX graph, built by hand: batch, height and width stay free."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from camfuse_jax.errors import UsageError
from camfuse_jax.export.onnx_spatial import Graph, cropped, filled_node, pad_edge_node, spatial_rule
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.autoencoder import ENCODER_STRIDES, UPSAMPLED_BEFORE
from camfuse_jax.nets.layers import SHRINK, parity_kernel

_SHAPE = ["n", 1, "h", "w"]


def to_onnx(params: Params) -> bytes:
    """Writes `fuse` as an ONNX model, opset 17.

    Inputs `ir` and `vis` and output `fused` are float32 (n, 1, h, w) in [0, 1], any n, h, w from 1. Margin, padding of
    odd sizes and cropping are inside the graph.

    Raises:
        UsageError: If the package onnx is not installed, or the fusion rule is not exported.
    """
    rule, margin = params.fusion.rule, params.net.margin
    if rule != "spatial" and rule not in _RULES:
        _refuse(f"Fusion rule {rule}")
    if rule != "spatial" and params.fusion.brightness == "kept":
        _refuse('Brightness "kept"')
    graph = Graph()
    both = graph.node("Concat", "ir", "vis", axis=0)
    sym = graph.node("Sub", graph.node("Mul", both, 2.0), 1.0, name="images_sym")
    encode, decode = _NETWORKS[params.net.kind]
    features = encode(graph, sym, params.encoder, margin)
    if rule == "spatial":
        spatial_rule(graph, params, both, features)
    else:
        fused = _RULES[rule](graph, params, *graph.halves(features))
        drawn = decode(graph, fused, params.decoder, margin)
        graph.node("Mul", graph.node("Add", drawn, 1.0), 0.5, name="fused")
    notes = {"range": "float32 in [0, 1]", "inputs": "ir, vis: (n, 1, h, w), same size", "made_by": "camfuse_jax"}
    notes["rule"] = rule
    model = graph.model(inputs={"ir": _SHAPE, "vis": _SHAPE}, outputs={"fused": _SHAPE}, notes=notes)
    return model.SerializeToString()


def _refuse(what: str) -> None:
    raise UsageError(
        f"{what} cannot be exported to ONNX.",
        f"Rules that can: spatial, {', '.join(_RULES)}. StableHLO (--to stablehlo) takes every rule.",
    )


def _weighted(graph: Graph, ir: str, vis: str, weights: Float[np.ndarray, "2 k"]) -> str:
    ir_weights, vis_weights = weights.astype(np.float32).reshape(2, 1, -1, 1, 1)
    return graph.node("Add", graph.node("Mul", ir, ir_weights), graph.node("Mul", vis, vis_weights))


def _eq5(graph: Graph, params: Params, ir: str, vis: str) -> str:
    return _weighted(graph, ir, vis, np.asarray(params.channel_weights) * params.fusion.gain)


def _unit_sum(graph: Graph, params: Params, ir: str, vis: str) -> str:
    weights = np.asarray(params.channel_weights)
    return _weighted(graph, ir, vis, weights / weights.sum(axis=0) * params.fusion.gain)


_RULES: dict[str, Callable[[Graph, Params, str, str], str]] = {
    "eq5": _eq5,
    "unit_sum": _unit_sum,
    "mean": lambda graph, params, ir, vis: graph.node("Mul", graph.node("Add", ir, vis), 0.5),
    "add": lambda graph, params, ir, vis: graph.node("Add", ir, vis),
    "max": lambda graph, params, ir, vis: graph.node("Max", ir, vis),
}


def _deep_encoder(graph: Graph, x: str, encoder: Mapping[str, Any], margin: int) -> str:
    for i, stride in enumerate(ENCODER_STRIDES, start=1):
        # Edge padding by the margin and by a convolution's own pixel are one edge padding by both.
        x = pad_edge_node(graph, x, 1 + (margin if i == 1 else 0))
        layer = _arrays(encoder[f"conv{i}"]["conv"])
        x = graph.node("Relu", _convolution(graph, x, *layer, name=f"encoder.conv{i}", strides=[stride, stride]))
    return x


def _deep_decoder(graph: Graph, x: str, decoder: Mapping[str, Any], margin: int) -> str:
    """Upsampling and convolution in one, as `nets.layers` has them; the 1x1 layer comes before the last parting."""
    for i in range(1, 5):
        name, layer = f"decoder.conv{i}", decoder[f"conv{i}"]
        x = pad_edge_node(graph, x, 1)
        kernel, bias = _arrays(layer["conv"])
        if i in UPSAMPLED_BEFORE:
            joined = np.asarray(parity_kernel(kernel))
            bias = np.asarray(layer["phase"]["bias"]).reshape(-1) if "phase" in layer else np.tile(bias, 4)
            kernel = joined.reshape(*joined.shape[:3], -1)
        x = graph.node("Relu", _convolution(graph, x, kernel, bias, name=name))
        if i in UPSAMPLED_BEFORE and i < 4:
            x = graph.node("DepthToSpace", x, blocksize=2, mode="DCR")
    kernel, bias = _arrays(decoder["conv5"])
    # One group per parity: the same 1x1 layer for each.
    x = _convolution(graph, x, np.tile(kernel, (1, 1, 1, 4)), np.tile(bias, 4), name="decoder.conv5", group=4)
    x = graph.node("DepthToSpace", x, blocksize=2, mode="DCR")
    return graph.node("Tanh", cropped(graph, x, "ir", margin=margin))


def _shallow_encoder(graph: Graph, x: str, encoder: Mapping[str, Any], margin: int) -> str:
    x = filled_node(graph, pad_edge_node(graph, x, margin + SHRINK), SHRINK)
    x = graph.node("SpaceToDepth", x, blocksize=SHRINK)
    x = _convolution(graph, x, *_arrays(encoder["conv"]), name="encoder.conv")
    return graph.node("Concat", graph.node("Relu", x), graph.node("Relu", graph.node("Neg", x)), axis=1)


def _shallow_decoder(graph: Graph, x: str, decoder: Mapping[str, Any], margin: int) -> str:
    x = _convolution(graph, pad_edge_node(graph, x, 1), *_arrays(decoder["conv"]), name="decoder.conv")
    x = graph.node("DepthToSpace", x, blocksize=SHRINK, mode="DCR")
    return graph.node("Clip", cropped(graph, x, "ir", margin=margin), -1.0, 1.0)


_NETWORKS = {"deep": (_deep_encoder, _deep_decoder), "shallow": (_shallow_encoder, _shallow_decoder)}


def _convolution(
    graph: Graph,
    x: str,
    kernel: Float[np.ndarray, "h w i o"],
    bias: Float[np.ndarray, " o"] | None,
    *,
    name: str,
    **how: Any,
) -> str:
    """A convolution without padding; the kernel comes in JAX's layout."""
    inputs = [x, graph.constant(f"{name}.weight", np.transpose(kernel, (3, 2, 0, 1)))]
    if bias is not None:
        inputs.append(graph.constant(f"{name}.bias", bias))
    return graph.node("Conv", *inputs, name=name, **how)


def _arrays(conv: Mapping[str, Any]) -> tuple[np.ndarray, Any]:
    return np.asarray(conv["kernel"]), np.asarray(conv["bias"]) if "bias" in conv else None
