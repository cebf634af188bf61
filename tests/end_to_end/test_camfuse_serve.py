"""`camfuse serve` as a process: what it prints, serves and refuses, and how it ends."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from command_line import environment, refused
from served import ask, fuse

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture


@contextlib.contextmanager
def serving(cwd, cache, *arguments):
    """The command with a free port; gives the process and its port once the page can be opened."""
    command = [sys.executable, "-W", "error", "-m", "camfuse_jax.cli", "serve", "--port", "0", *map(str, arguments)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, cwd=cwd, env=environment(cache), **pipes)
    try:
        assert select.select([process.stdout], [], [], 120)[0], "nothing printed"
        line = process.stdout.readline()
        assert line.startswith("serving: http://"), process.communicate(timeout=30)
        yield process, int(line.split()[1].rstrip("/").rpartition(":")[2])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def cache(tmp_path_factory):
    return tmp_path_factory.getbasetemp() / "jax-cache"


def test_the_page_gives_what_the_command_gives(camfuse, tmp_path, cache, weights):
    ir, vis = synthetic_pair(3, 41, 53)
    write_picture(tmp_path / "i.png", ir)
    write_picture(tmp_path / "v.png", np.stack([vis, vis // 2 + 60, 255 - vis], -1))
    done = camfuse("fuse", "i.png", "v.png", "-o", "f.png", "--ir-gain", 4, "--weights", weights, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    there = sorted(path.name for path in tmp_path.iterdir())
    with serving(tmp_path, cache, "--weights", weights) as (_, port):
        files = [(tmp_path / name).read_bytes() for name in ("i.png", "v.png")]
        _, result = fuse(port, *files, ir_gain=4)
    (tmp_path / "page.png").write_bytes(result)
    page, command = (read_picture(tmp_path / name).samples for name in ("page.png", "f.png"))
    np.testing.assert_array_equal(page, command)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*there, "page.png"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it(tmp_path, cache, weights, number, code):
    with serving(tmp_path, cache, "--weights", weights) as (process, port):
        assert ask(port)[0] == 200
        # A connection that a browser holds open must not hold up the end.
        with socket.create_connection(("127.0.0.1", port)):
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (code, "", "stopped\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_what_is_refused_before_anything_is_served(camfuse, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(camfuse("serve", "--port", port, cwd=tmp_path), 5, f"http://127.0.0.1:{port}/", "--port")
    for code, arguments, told in (
        (2, ("--host", "0.0.0.0"), ("other computers", "--remote", "ssh -L")),
        (2, ("--host", "no.such.name.invalid"), ("--host no.such.name.invalid is not known",)),
        (2, ("--port", "70000"), ("--port", "70000")),
        (2, ("--queue", "0"), ("above 0",)),
        (4, ("--port", "0", "--weights", "none.safetensors"), ("no weights at none.safetensors",)),
    ):
        refused(camfuse("serve", *arguments, cwd=tmp_path), code, *told)


def test_two_live_sources_are_shown_fused(tmp_path, cache, weights):
    av = pytest.importorskip("av", reason="the `video` extra is not installed")
    for name, seed in (("ir", 1), ("vis", 2)):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for frame in np.random.default_rng(seed).integers(0, 255, (80, 48, 64, 3)).astype(np.uint8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    sources = [f"live:{tmp_path / name}.mp4" for name in ("ir", "vis")]
    with serving(tmp_path, cache, "--weights", weights, "--live", *sources) as (process, port):
        assert process.stdout.readline() == f"live: http://127.0.0.1:{port}/live\n"
        stream = ask(port, path="/live/stream")[2]  # to the end of the sources
        state = json.loads(ask(port, path="/live/facts")[2])
        assert (stream.count(b"Content-Type: image/jpeg") > 3, state["size"]) == (True, [64, 48])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143


def test_live_sources_that_are_none_are_refused(camfuse, tmp_path, weights):
    done = camfuse("serve", "--port", "0", "--weights", weights, "--live", "a.mp4", "b.mp4", cwd=tmp_path)
    refused(done, 3, "a.mp4 does not exist")


def test_a_remote_page_warns(tmp_path, cache, weights):
    with serving(tmp_path, cache, "--weights", weights, "--host", "0.0.0.0", "--remote") as (process, port):
        assert ask(port, host=f"10.1.2.3:{port}")[0] == 200
        assert ask(port, host="evil.example")[0] == 421
        process.send_signal(signal.SIGTERM)
        assert "warning: other computers can reach this page, and there is no password" in process.communicate()[1]


def test_without_the_extra_it_says_what_to_install_and_the_rest_works(tmp_path, cache):
    code = (
        "import sys\nfrom importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, *rest):\n"
        "        return None if name.split('.')[0] in ('starlette', 'uvicorn') else super().find_spec(name, *rest)\n"
        "sys.meta_path[:] = [Without if f is PathFinder else f for f in sys.meta_path]\n"
        "from camfuse_jax.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    for command, status, told in ((["serve"], 2, "camfuse-jax[serve]"), (["--version"], 0, "")):
        run = [sys.executable, "-c", code, *command]
        done = subprocess.run(run, cwd=tmp_path, env=environment(cache), capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []
