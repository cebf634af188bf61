"""Narrow networks that compile in a second, with random values in every parameter."""

import functools

import numpy as np
from random_params import random_params

from camfuse_jax import Params
from camfuse_jax.config import FusionConfig, NetConfig
from camfuse_jax.nets.build import make_classifier, make_decoder, make_encoder

NET = NetConfig(
    encoder_widths=(4, 4, 6, 6, 6), decoder_widths=(6, 6, 4, 4), margin=4, init="he", branches=2, strides=(1, 2)
)

EQ5 = FusionConfig(rule="eq5")


@functools.cache
def small_params(net=NET, seed=0, fusion=EQ5):
    """Random weights of the three networks."""
    k = net.encoder_widths[-1]
    features = np.zeros((1, 4, 4, k), np.float32)
    return Params(
        random_params(make_encoder(net), np.zeros((1, 8, 8, 1), np.float32), seed=seed),
        random_params(make_decoder(net), features, (8, 8), seed=seed + 1),
        random_params(make_classifier(net), features, seed=seed + 2),
        net=net,
        fusion=fusion,
    )


def parts(params):
    """The tree that tests/reference.py takes."""
    return {"encoder": params.encoder, "decoder": params.decoder, "classifier": params.classifier}
