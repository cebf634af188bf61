"""The three networks of a config, and their parameters at the start of training."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.config import NetConfig
from camfuse_jax.nets import lapped_init
from camfuse_jax.nets.autoencoder import Decoder, Encoder, ShallowDecoder, ShallowEncoder
from camfuse_jax.nets.classifier import Classifier, depthwise_layers

_SIZE = (16, 16)  # any size serves to find the shapes
_VARIATION = 0.3  # of the taps of an averaging start
_SMALLEST = 1e-5  # a channel that is silent is not blown up without bound


def make_encoder(net: NetConfig, *, dtype: str = "float32") -> Encoder | ShallowEncoder:
    """The encoder of a config."""
    if net.kind == "shallow":
        return ShallowEncoder(net.encoder_widths[-1] // 2, margin=net.margin, dtype=jnp.dtype(dtype))
    return Encoder(net.encoder_widths, margin=net.margin, dtype=jnp.dtype(dtype))


def make_decoder(net: NetConfig, *, dtype: str = "float32") -> Decoder | ShallowDecoder:
    """The decoder of a config."""
    if net.kind == "shallow":
        return ShallowDecoder(margin=net.margin, dtype=jnp.dtype(dtype))
    return Decoder(net.decoder_widths, phase_bias=net.phase_bias, margin=net.margin, dtype=jnp.dtype(dtype))


def make_classifier(net: NetConfig, *, dtype: str = "float32") -> Classifier:
    """The classifier of a config."""
    return Classifier(net.branches, net.strides, dtype=jnp.dtype(dtype))


def init_autoencoder(net: NetConfig, *, seed: int) -> dict[str, Any]:
    """Parameters of encoder and decoder before training.

    Returns:
        `{"encoder": ..., "decoder": ...}`.
    """
    params = _random(net, seed)
    encoder, decoder = params["encoder"], params["decoder"]
    if net.init == "lapped" and net.kind == "shallow":
        encoder, decoder = lapped_init.lapped_shallow()
    elif net.init == "lapped":
        encoder, decoder = lapped_init.lapped_deep(encoder, decoder, seed=seed)
    return {"encoder": encoder, "decoder": decoder}


def init_classifier(net: NetConfig, *, seed: int) -> dict[str, Any]:
    """Parameters of the classifier before training."""
    return _random(net, seed)["classifier"]


def averaging_start(classifier: dict[str, Any]) -> dict[str, Any]:
    """Makes every depthwise branch begin as a local mean: each tap is the mean's, varied by up to a few tenths.

    From a random start, what a channel's last map shows of its channel is chance, and so are the class weights that
    training then finds: other seeds, other weights. From this one the last map begins as the channel's mean strength
    at each place, and a class weight says what that strength speaks for. The variation tells the branches apart.

    Args:
        classifier: Parameters from `init_classifier`, whose random kernels give the variation.
    """

    def mean(kernel: Float[Array, "b 3 3 k"]) -> Float[Array, "b 3 3 k"]:
        taps = kernel.shape[0] * 9
        return (1 + _VARIATION * kernel / jnp.std(kernel)) / taps

    layers = {name: {**layer, "kernel": mean(layer["kernel"])} for name, layer in classifier.items() if name != "head"}
    return {**classifier, **layers}


def equalize(
    net: NetConfig, classifier: dict[str, Any], features: Float[Array, "n h4 w4 k"], *, size: float
) -> dict[str, Any]:
    """Scales a freshly made classifier so that each channel's pooled value is the same on average over some features.

    Features differ in size by factors of hundreds (brightness against fine texture). Class weights multiply them, so
    without a common scale a weight says more about its channel's size than about its meaning, and small channels
    are hardly trained at all. Biases are zero at the start and ReLU keeps factors, so the first kernel can carry them.

    Args:
        net: Shape of the networks.
        classifier: Parameters from `init_classifier`.
        features: Encoder features of a batch of training images.
        size: The average that every channel gets.
    """
    pooled: Any = make_classifier(net).apply({"params": classifier}, features)[1]["pooled"]
    found = jnp.mean(pooled, axis=0)
    scale = size / jnp.maximum(found, _SMALLEST * jnp.max(found)).reshape(1, 1, 1, -1)
    first = classifier["depthwise1"]
    return {**classifier, "depthwise1": {**first, "kernel": first["kernel"] * scale}}


def rescale_head(classifier: dict[str, Any], *, rms: float) -> dict[str, Any]:
    """Gives the class weights a root mean square, and the last feature maps the inverse factor: the same classifier.

    How large trained class weights are depends on how large the last maps happen to be, and Eq. 3 bends at 1. ReLU
    keeps positive factors, so the factor moves into the last depthwise layer and no logit, probability or map changes.

    Args:
        classifier: Parameters of `Classifier`.
        rms: The wanted root mean square of the class weights; weights that are all zero stay so.
    """
    kernel = classifier["head"]["kernel"]
    factor = rms / jnp.sqrt(jnp.mean(kernel**2))
    factor = jnp.where(jnp.isfinite(factor), factor, 1.0)
    last = depthwise_layers(classifier)[-1]
    layer = {name: value / factor for name, value in classifier[last].items()}
    return {**classifier, last: layer, "head": {"kernel": kernel * factor}}


def abstract_params(net: NetConfig) -> dict[str, Any]:
    """Shapes and types of all parameters, by network, without computing any."""
    return jax.eval_shape(lambda: _init(net, jax.random.key(0)))


def _random(net: NetConfig, seed: int) -> dict[str, Any]:
    return dict(jax.jit(_init, static_argnums=0)(net, jax.random.key(seed)))


def _init(net: NetConfig, key: jax.Array) -> dict[str, Any]:
    encoder_key, decoder_key, classifier_key = jax.random.split(key, 3)
    image = jnp.zeros((1, *_SIZE, 1))
    encoder, decoder, classifier = make_encoder(net), make_decoder(net), make_classifier(net)
    (features, _), encoder_params = encoder.init_with_output(encoder_key, image)
    return {
        "encoder": encoder_params["params"],
        "decoder": decoder.init(decoder_key, features, _SIZE)["params"],
        "classifier": classifier.init(classifier_key, features)["params"],
    }
