"""A small report page from arrays, with names that a careless page would run as code."""

import functools

import numpy as np

from camfuse_jax.metrics.table import average, score_folders
from camfuse_jax.report.page import PairView, page_html

HEIGHT, WIDTH, CHANNELS = 48, 64, 40
HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}_with_a_long_name_that_does_not_fit_a_telephone"
OTHER = "<img src=x onerror=alert(2)>"
METRICS = ("EN", "AG", "SSIM")


def scene(seed):
    """A dark and a bright picture, uint8: the boundary between them can be seen in any pixel."""
    rng = np.random.default_rng(seed)
    ir = rng.integers(0, 60, (HEIGHT, WIDTH), dtype=np.uint8)
    vis = rng.integers(190, 250, (HEIGHT, WIDTH), dtype=np.uint8)
    return ir, vis


def view(name, seed, **changes):
    ir, vis = scene(seed)
    heat = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    channels = np.random.default_rng(seed).random((2, CHANNELS))
    values = dict(ir=ir, vis=vis, fused=average(ir, vis), ir_cam=heat, vis_cam=1 - heat, channels=channels)
    return PairView(name=name, **{**values, "others": {OTHER: vis}, **changes})


def records(steps=700):
    return [{"step": i, "loss": 1 / i, "only_now": float("nan"), "images_per_second": 3.0} for i in range(1, steps)]


@functools.cache
def page(names=("one", HOSTILE, "three"), method="ours"):
    views = [view(name, seed) for seed, name in enumerate(names)]
    triples = [(v.name, v.ir, v.vis) for v in views]
    methods = {method: {v.name: v.fused for v in views}, OTHER: {v.name: v.vis for v in views}}
    tables = score_folders(triples, {}, others=methods, metrics=METRICS)
    weights = np.random.default_rng(5).random((2, CHANNELS))
    facts = {"Weights": "</dd><script>alert(3)</script>"}
    training = {"Auto-encoder </h3><script>": records()}
    return page_html(views, tables, weights, method=method, title="<b>Title</b> & more", facts=facts, training=training)
