"""Compiled programs are kept between runs of the real command: the second compiles nothing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from command_line import PACKAGE_ROOT
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.images.write import write_picture

_COUNTED = """
import json, sys, warnings
warnings.simplefilter("error")
from camfuse_jax.cli import main
from camfuse_jax.system import runtime
runtime.configure()  # before JAX is imported, as the command does
import jax.monitoring
seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))
code = main(sys.argv[1:])
counts = {kind: sum(event.endswith(f"/cache_{kind}") for event in seen) for kind in ("hits", "misses")}
print(json.dumps({"code": code, **counts}))
"""


def _run(cwd, *arguments, **variables):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_", "CAMFUSE_", "XDG_"))}
    env = {**inherited, "PYTHONPATH": str(PACKAGE_ROOT), "JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "-c", _COUNTED, "fuse", "ir", "vis", "--weights", "small.safetensors", *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert "arning" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def place(tmp_path):
    save_params(tmp_path / "small.safetensors", small_params())
    rng = np.random.default_rng(0)
    for name, size in (("a", (40, 52)), ("b", (41, 50)), ("c", (37, 33))):
        for kind in ("ir", "vis"):
            write_picture(tmp_path / kind / f"{name}.png", rng.integers(0, 255, size, np.uint8))
    return tmp_path


@pytest.mark.slow
def test_the_second_run_compiles_nothing_and_damaged_entries_are_ignored(place):
    cache = place / "kept"
    first = _run(place, "-o", "one", CAMFUSE_CACHE=str(cache))
    assert first["code"] == 0
    assert first["misses"] > 0
    again = _run(place, "-o", "two", CAMFUSE_CACHE=str(cache))
    assert again == {"code": 0, "hits": again["hits"], "misses": 0}
    assert again["hits"] > 0
    for path in cache.glob("*/*-cache"):
        path.write_bytes(path.read_bytes()[:40])
    spoilt = _run(place, "-o", "three", CAMFUSE_CACHE=str(cache))
    assert spoilt["code"] == 0
    for name in ("a", "b", "c"):
        assert (place / "three" / f"{name}.png").read_bytes() == (place / "one" / f"{name}.png").read_bytes()
    mended = _run(place, "-o", "four", CAMFUSE_CACHE=str(cache))
    assert (mended["code"], mended["misses"]) == (0, 0)


@pytest.mark.slow
def test_a_place_that_cannot_be_written_and_off_do_no_harm(place):
    (place / "file").write_text("")
    for named in (str(place / "file" / "below"), "off"):
        done = _run(place, "-o", named[-3:], CAMFUSE_CACHE=named, XDG_CACHE_HOME=str(place / "xdg"))
        assert (done["code"], done["hits"]) == (0, 0)
    assert not (place / "xdg").exists()
