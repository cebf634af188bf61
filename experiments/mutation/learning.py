"""Wrong changes to the losses and to class activation."""

# ruff: noqa: E501  (one entry, one line)

from mutation.trial import mutations_of

MUTATIONS = [
    *mutations_of(
        "camfuse_jax/losses.py", ("tests/unit/test_losses.py",),
        ("_SIGMA = 1.5", "_SIGMA = 1.6"),
        ("SSIM_WINDOW = 11", "SSIM_WINDOW = 9"),
        ("_C1 = (0.01 * 2.0) ** 2", "_C1 = (0.01 * 255.0) ** 2"),
        ("_C2 = (0.03 * 2.0) ** 2", "_C2 = (0.03 * 1.0) ** 2"),
        ("structure = (apart - mean_apart)", "structure = apart"),
        ("luminance + structure - luminance * structure", "luminance + structure"),
        ("jnp.mean((reconstructed - image) ** 2, axis=(1, 2, 3))", "jnp.mean(jnp.abs(reconstructed - image), axis=(1, 2, 3))"),
        ("jnp.mean((reconstructed - image) ** 2, axis=(1, 2, 3))", "jnp.sum((reconstructed - image) ** 2, axis=(1, 2, 3))"),
        ("return pixel + ssim_weight * unlike", "return pixel + unlike"),
        ('"ssim": 1 - unlike', '"ssim": unlike'),
        ("[label == Modality.IR, label == Modality.VIS]", "[label == Modality.VIS, label == Modality.IR]"),
        ("optax.sigmoid_binary_cross_entropy(logits, targets)", "optax.sigmoid_binary_cross_entropy(-logits, targets)"),
        ("cam.caam(last) - cam.cam(last, class_weights[label])", "cam.caam(last) - cam.cam(last, class_weights[1 - label])"),
        ("distance > _MEET", "distance < _MEET"),
        ("return cross_entropy + distance_weight * distance", "return cross_entropy + distance"),
        ("return cross_entropy + distance_weight * distance", "return cross_entropy - distance_weight * distance"),
        ("jnp.argmax(logits, axis=-1) == label", "jnp.argmax(logits, axis=-1) <= 1"),
    ),
    *mutations_of(
        "camfuse_jax/cam.py", ("tests/unit/test_cam.py",),
        ("0.5 * jnp.tanh(weights) + 0.5", "0.5 * jnp.tanh(weights / 2) + 0.5"),
        ("0.5 * jnp.tanh(weights) + 0.5", "jnp.tanh(weights)"),
        ('classifier_params["head"]["kernel"]).T', 'classifier_params["head"]["kernel"]).T[::-1]'),
        ("ir_weights * ir_features + vis_weights * vis_features", "vis_weights * ir_features + ir_weights * vis_features"),
        ("(maps - low) / jnp.where", "maps / jnp.where"),
        ("jnp.sum(last, axis=-1)", "jnp.max(last, axis=-1)"),
        ("jnp.sum(last * weights[:, None, None, :], axis=-1)", "jnp.sum(last * jnp.abs(weights)[:, None, None, :], axis=-1)"),
        ("jnp.where(constant, 0.0,", "jnp.where(constant, 1.0,"),
    ),
]  # fmt: skip
