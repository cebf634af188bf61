"""A list of ONNX nodes under construction, and the layers of these networks in its terms (opset 17, NCHW)."""

from typing import Any

import numpy as np
from jaxtyping import Float

from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.rules import gaussian_taps

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
    taps = gaussian_taps(cells).astype(np.float32)
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
