"""Random values for every parameter, biases and heads too: a start at zero would hide what they do."""

import jax
import numpy as np


def random_params(module, *args, seed=0):
    """Parameters of `module`, normal with the deviation that keeps signals of the order of one."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *args))["params"]
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        name = path[-1].key
        scale = 0.3 if name == "bias" else np.sqrt(2 / np.prod(leaf.shape[:-1]))
        return (scale * rng.normal(size=leaf.shape)).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)
