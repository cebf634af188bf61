"""The shipped weights on real test images: reconstruction and classification, before any fusion is judged."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from camfuse_jax import load_params
from camfuse_jax.config import Modality
from camfuse_jax.data.splits import find_pairs
from camfuse_jax.images.read import read_gray
from camfuse_jax.metrics.information import vif
from camfuse_jax.metrics.ssim import structural_similarity
from camfuse_jax.nets.build import make_classifier, make_decoder, make_encoder
from camfuse_jax.system.runtime import compiler_options


def _run(params, images_u8):
    sym = images_u8.astype(jnp.float32)[..., None] / 127.5 - 1
    features, _ = make_encoder(params.net).apply({"params": params.encoder}, sym)
    restored, _ = make_decoder(params.net).apply({"params": params.decoder}, features, sym.shape[1:3])
    logits, _ = make_classifier(params.net).apply({"params": params.classifier}, features)
    return jnp.clip(jnp.rint((restored[..., 0] + 1) * 127.5), 0, 255), logits


def _judge(root, dataset, count):
    """Mean SSIM and VIF of each band, and the share of images the classifier gets right."""
    params = load_params(dataset)
    test = json.loads((root / dataset / "splits.json").read_text())["test"]
    pairs = {pair.name: pair for pair in find_pairs(root / dataset)}
    run = jax.jit(_run, compiler_options=compiler_options())
    scores, right = [], []
    for name in test[:count]:
        images = np.stack([read_gray(pairs[name].ir), read_gray(pairs[name].vis)])
        restored, logits = map(np.asarray, run(params, images))
        scores.append([(structural_similarity(a, b), vif(a, b)) for a, b in zip(images, restored, strict=True)])
        right += (logits.argmax(axis=1) == [Modality.IR, Modality.VIS]).tolist()
    return np.mean(scores, axis=0), np.mean(right)


@pytest.mark.parametrize("dataset", ["tno", "roadscene"])
def test_two_pairs_are_given_back_and_told_apart(data_root, dataset):
    scores, right = _judge(data_root, dataset, 2)
    assert np.all(scores >= [0.97, 0.85]), scores
    assert right == 1


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "floor"), [("tno", 0.86), ("roadscene", 0.96)])
def test_the_whole_test_list(data_root, dataset, floor):
    # The goal is .98 on both; there are 44 of 50 and 97 of 100 (docs/results.md). The floor keeps them, less one.
    scores, right = _judge(data_root, dataset, None)
    assert np.all(scores >= [0.97, 0.85]), scores
    assert right >= floor
