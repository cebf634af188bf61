"""JAX's settings of types change nothing: float32 weights stay readable and trainable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import camfuse_jax


@pytest.mark.slow
@pytest.mark.parametrize("setting", [{"JAX_ENABLE_X64": "1"}, {"JAX_NUMPY_DTYPE_PROMOTION": "strict"}], ids=str)
def test_weights_are_read_and_trained_under_other_settings_of_types(tmp_path, setting):
    script = Path(__file__).with_name("train_under_settings.py")
    environment = {
        **os.environ,
        **setting,
        "PYTHONPATH": str(Path(camfuse_jax.__file__).parents[1]),
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_shapes_and_types_of_a_network_do_not_follow_the_setting():
    import jax
    import numpy as np

    from camfuse_jax.config import NetConfig
    from camfuse_jax.nets.build import abstract_params

    with jax.enable_x64(True):
        assert {leaf.dtype for leaf in jax.tree.leaves(abstract_params(NetConfig()))} == {np.dtype("float32")}
