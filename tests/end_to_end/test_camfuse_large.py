"""`camfuse fuse` on an image that does not fit its budget, through the real command."""

import numpy as np
import pytest
from command_line import refused
from PIL import Image
from small_nets import small_params

from camfuse_jax import fuse, save_params
from camfuse_jax.images.write import write_picture


@pytest.mark.slow
def test_an_image_over_the_budget_is_fused_by_tiles(tmp_path, camfuse):
    save_params(tmp_path / "small.safetensors", small_params())
    rng = np.random.default_rng(0)
    ir, vis = rng.integers(0, 255, (2, 420, 401), np.uint8)
    write_picture(tmp_path / "i.png", ir)
    write_picture(tmp_path / "v.png", vis)
    command = ("fuse", "i.png", "v.png", "-o", "f.png", "--weights", "small.safetensors", "--max-memory")
    done = camfuse(*command, "0.01", cwd=tmp_path)  # 110,000 pixels with these networks
    assert done.returncode == 0, done.stderr
    found = np.asarray(Image.open(tmp_path / "f.png")).astype(int)
    whole = np.asarray(fuse(small_params(), ir, vis)).astype(int)
    assert np.abs(found - whole).max() <= 1
    refused(camfuse(*command, "0", cwd=tmp_path), 2, "--max-memory is 0")
