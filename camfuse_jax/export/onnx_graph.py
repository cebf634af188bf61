"""A list of ONNX nodes under construction, and moves between pixels and coarser grids in its terms (opset 17, NCHW)."""

from typing import Any

import numpy as np

from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.statistics import gaussian_weights

OPSET = 17
_IR_VERSION = 8  # of the ONNX release that brought opset 17, so that runtimes of that age read the file


class Graph:
    """Nodes and constants in the order they were added; every method returns the name of the tensor it made."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise UsageError("ONNX export needs the package onnx.", "Run `pip install '.[export]'`.") from error
        self._onnx: Any = onnx
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any) -> str:
        """Adds a constant; the same name may be given again with the same value."""
        self._constants[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, *values: int) -> str:
        """Adds a vector of int64."""
        return self.constant("i_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, op: str, *inputs: Any, name: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output; inputs are names, or float32 values that become constants."""
        name = name or f"{op.lower()}_{len(self._nodes)}"
        names = [self._named(value, f"{name}.{i}") for i, value in enumerate(inputs)]
        self._nodes.append(self._onnx.helper.make_node(op, names, [name], name=name, **attributes))
        return name

    def halves(self, x: str) -> tuple[str, str]:
        """Splits the first axis into two equal parts, infrared and visible."""
        names = [f"{x}.ir", f"{x}.vis"]
        if names[0] not in (node.output[0] for node in self._nodes):
            self._nodes.append(self._onnx.helper.make_node("Split", [x], names, name=f"{x}.halves", axis=0))
        return names[0], names[1]

    def model(self, *, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], notes: dict[str, str]) -> Any:
        """Closes the graph.

        Args:
            inputs: Shapes of the float32 inputs by name; a text is a free length.
            outputs: The same for the outputs.
            notes: Texts that travel with the model.
        """
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        ends = [
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in side.items()]
            for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, "camfuse", *ends, initializer=list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        helper.set_model_props(model, notes)
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _named(self, value: Any, name: str) -> str:
        if isinstance(value, str):
            return value
        array = np.asarray(value, np.float32)
        return self.constant(f"number_{array:.9g}" if array.ndim == 0 else name, array)


def height_width_node(graph: Graph, x: str) -> str:
    """Height and width, a vector of two."""
    return graph.node("Slice", graph.node("Shape", x), graph.integers(2), graph.integers(4))


def pad_edge_node(graph: Graph, x: str, pixels: int) -> str:
    """Repeats the outermost pixel of height and width."""
    return graph.node("Pad", x, graph.integers(0, 0, pixels, pixels, 0, 0, pixels, pixels), mode="edge")


def filled_node(graph: Graph, x: str, side: int, mode: str = "edge") -> str:
    """Continues maps to the right and below until height and width are multiples of `side`."""
    missing = graph.node("Mod", graph.node("Neg", height_width_node(graph, x)), graph.integers(side))
    return graph.node("Pad", x, graph.node("Concat", graph.integers(*[0] * 6), missing, axis=0), mode=mode)


def cropped(graph: Graph, x: str, like: str, *, margin: int = 0) -> str:
    """Cuts height and width of `like` out of maps, starting `margin` pixels from the top left."""
    starts = graph.integers(margin, margin)
    ends = graph.node("Add", height_width_node(graph, like), starts)
    return graph.node("Slice", x, starts, ends, graph.integers(2, 3))


def pooled_node(graph: Graph, x: str, side: int, how: str = "Average") -> str:
    """`statistics.pooled` by AveragePool or MaxPool."""
    return graph.node(f"{how}Pool", filled_node(graph, x, side), kernel_shape=[side] * 2, strides=[side] * 2)


def enlarged_node(graph: Graph, x: str, side: int, like: str) -> str:
    """`statistics.enlarged` to height and width of `like`."""
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return cropped(graph, graph.node("Resize", x, "", np.array([1, 1, side, side]), **how), like)


def blurred_node(graph: Graph, x: str, sigma: float) -> str:
    """`statistics.blurred` of one channel."""
    taps = gaussian_weights(sigma).astype(np.float32)
    x = pad_edge_node(graph, x, len(taps) // 2)
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        x = graph.node("Conv", x, graph.constant(f"gauss_{sigma:.9g}_{shape.index(-1)}", taps.reshape(shape)))
    return x
