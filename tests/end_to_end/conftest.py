"""The command with compiled programs shared by all calls of a session."""

import functools

import pytest
from command_line import run_camfuse, run_command


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return functools.partial(run_command, cache=tmp_path_factory.getbasetemp() / "jax-cache")


@pytest.fixture(scope="session")
def camfuse(tmp_path_factory):
    return functools.partial(run_camfuse, cache=tmp_path_factory.getbasetemp() / "jax-cache")
