"""The three networks, each returning its output and its named intermediates."""

from camfuse_jax.nets.autoencoder import Decoder, Encoder
from camfuse_jax.nets.build import (
    abstract_params,
    averaging_start,
    equalise,
    init_autoencoder,
    init_classifier,
    make_classifier,
    make_decoder,
    make_encoder,
    rescale_head,
)
from camfuse_jax.nets.classifier import Classifier

__all__ = [
    "Classifier",
    "Decoder",
    "Encoder",
    "abstract_params",
    "averaging_start",
    "equalise",
    "init_autoencoder",
    "init_classifier",
    "make_classifier",
    "make_decoder",
    "make_encoder",
    "rescale_head",
]
