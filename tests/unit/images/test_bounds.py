"""Files that promise little and cost much are refused by name within two seconds and one GiB."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import hostile_images
import numpy as np
import pytest
from PIL import Image

from camfuse_jax.errors import InputError
from camfuse_jax.images import read
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.read import picture_size, read_picture
from camfuse_jax.system.isolation import LimitedProcess

# Reads each file in a fresh process; prints what came of it, processor seconds with those of ended children, and the
# largest memory of any of them in bytes.
_MEASURED = """
import json, resource, sys, warnings
from camfuse_jax.errors import InputError
from camfuse_jax.images.read import picture_size, read_picture
warnings.simplefilter("ignore")
def spent():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in both)
def peak():
    # Not ru_maxrss: a new program begins with that of the process that started it, which is this test run.
    try:
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    for reader in (picture_size, read_picture):
        before = spent()
        try:
            outcome = str(getattr(reader(path), "notes", ""))
        except InputError as error:
            outcome = f"refused: {error}"
        most = max(peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        print(json.dumps([path, reader.__name__, outcome, spent() - before, most * 1024]), flush=True)
"""


def _measured(paths):
    done = subprocess.run([sys.executable, "-c", _MEASURED, *paths], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def attacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name, content in (hostile_images.refused() | hostile_images.accepted()).items():
        (folder / name).write_bytes(content)
    return {Path(path).name: [] for path in sorted(map(str, folder.iterdir()))}, folder


def test_each_attack_is_refused_by_name_within_two_seconds_and_one_gib(attacks):
    names, folder = attacks
    wanted = hostile_images.refused()
    for path, reader, outcome, seconds, memory in _measured([str(folder / name) for name in names]):
        name = Path(path).name
        assert seconds < 2, (name, reader, seconds)
        assert memory < 2**30, (name, reader, memory)
        if name in wanted and reader == "read_picture":
            assert outcome.startswith("refused: "), (name, outcome)
            assert name in outcome
            assert " object at 0x" not in outcome
    assert len(wanted) > 15


def test_a_stack_is_counted_without_reading_its_pages(attacks):
    picture = read_picture(attacks[1] / "pages.tif")
    assert "10000 pages or frames; the first is used; --video takes all" in picture.notes
    assert picture.size == (48, 64)


def test_a_decoder_that_lacks_memory_is_an_error_of_that_file(monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(read, "decode_pillow", full)
    with pytest.raises(InputError, match=r"x\.png is not a whole PNG image: MemoryError"):
        read_picture(hostile_images.png(), name="x.png")


def test_threads_leave_pillows_own_limit_and_the_filters_as_they_are(monkeypatch):
    """One process-wide number, set and set back by two threads at once, stayed at the larger value for good."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    import warnings

    content, filters, seen = hostile_images.png(), list(warnings.filters), set()

    def work():
        for _ in range(30):
            assert read_picture(content, Limits(max_pixels=4000), name="x").size == (48, 64)
            seen.add(Image.MAX_IMAGE_PIXELS)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1000}
    assert warnings.filters == filters


_ANSWER = """
import time
from camfuse_jax.system.isolation import answer_requests, limit_process
def answer(request):
    kind, _, number = request.partition(b" ")
    if kind == b"spin":
        limit_process(seconds=float(number))
        while True: pass
    if kind == b"sleep":
        time.sleep(float(number))
    if kind == b"hold":
        limit_process(seconds=5, memory=2**29)
        try:
            bytearray(int(number))
        except MemoryError:
            return b"no memory"
    return b"done " + number
answer_requests(answer)
"""


@pytest.fixture
def process():
    limited = LimitedProcess(_ANSWER)
    yield limited
    limited.close()


def test_a_limited_process_is_kept_and_replaced_after_it_broke_a_limit(process):
    assert process.call(b"echo 1", seconds=5) == b"done 1"
    first = process._process.pid
    assert process.call(b"hold 4000000000", seconds=5) == b"no memory"
    assert process._process.pid == first
    before = time.process_time()
    assert process.call(b"spin 0.2", seconds=5) is None
    assert time.process_time() - before < 1
    assert process.call(b"echo 2", seconds=5) == b"done 2"
    assert process._process.pid != first


def test_a_limited_process_that_only_waits_is_ended_on_the_clock(process):
    process.call(b"echo 0", seconds=5)
    begun = time.monotonic()
    assert process.call(b"sleep 600", seconds=0.05) is None
    assert time.monotonic() - begun < 10


def test_threads_take_turns_and_get_their_own_answers(process):
    answers = {}

    def ask(number):
        answers[number] = process.call(f"echo {number}".encode(), seconds=5)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"done {number}".encode() for number in range(8)}


_PARENT = """
import os, signal, sys, threading
from camfuse_jax.images import read
import hostile_images, io
from PIL import Image
buffer = io.BytesIO()
Image.fromarray(hostile_images.GRAY).save(buffer, "WEBP")
print(read.read_picture(buffer.getvalue(), name="x").size, read._decoder()._process.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_the_decoder_ends_with_the_program(ending):
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(hostile_images.__file__).parent), *filter(None, sys.path)])
    }
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    )
    with parent:
        line = parent.stdout.readline().decode()
        assert line.startswith("(48, 64)")
        child = int(line.split()[-1])
        parent.send_signal(ending)
        try:
            parent.wait(5)
        finally:
            parent.kill()
    for _ in range(50):
        if (
            not Path(f"/proc/{child}").exists()
            or "Z" in Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0]
        ):
            return
        time.sleep(0.1)
    pytest.fail("the decoder outlives its program")


def test_ordinary_camera_files_never_start_a_process(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "_decoder", lambda: pytest.fail("a process for an ordinary file"))
    rng = np.random.default_rng(0)
    rgb, deep = rng.integers(0, 256, (40, 50, 3), np.uint8), rng.integers(0, 65536, (40, 50), np.uint16)
    for name, image, options in (
        ("a.jpg", rgb, {"progressive": True}),
        ("b.png", rgb, {}),
        ("c.bmp", rgb, {}),
        ("d.tif", deep, {"compression": "tiff_deflate"}),
        ("e.tif", deep, {"compression": "tiff_lzw"}),
        ("f.tif", rgb, {"compression": "packbits"}),
        ("g.png", deep, {}),
    ):
        Image.fromarray(image).save(tmp_path / name, **options)
        assert picture_size(tmp_path / name) == read_picture(tmp_path / name).size == (40, 50)
