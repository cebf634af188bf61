"""The command with compiled programs shared by all calls of a session, and what it is given."""

import functools

import pytest
from command_line import HEIGHT, WIDTH, run_camfuse, run_command
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.data.synthetic import synthetic_pair


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return functools.partial(run_command, cache=tmp_path_factory.getbasetemp() / "jax-cache")


@pytest.fixture(scope="session")
def camfuse(tmp_path_factory):
    return functools.partial(run_camfuse, cache=tmp_path_factory.getbasetemp() / "jax-cache")


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """File of `small_nets.small_params`."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_params(path, small_params())
    return path


@pytest.fixture(scope="session")
def pair():
    """Infrared and visible, (HEIGHT, WIDTH), uint8; not to be changed."""
    return synthetic_pair(3, HEIGHT, WIDTH)
