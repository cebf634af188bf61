"""Wrong changes to the default rule, its statistics, and the choice of programs."""

from mutation.trial import mutations_of

_HOME, _UNIT = "camfuse_jax/fusion", "tests/unit/fusion"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/spatial.py",
        (f"{_UNIT}/test_spatial.py",),
        (
            "2 * (jnp.log(ir_part + 1e-6) - jnp.log(vis_part + 1e-6))",
            "2 * (jnp.log(vis_part + 1e-6) - jnp.log(ir_part + 1e-6))",
        ),
        (
            "detail = vis_detail + share * (ir_detail - vis_detail)",
            "detail = ir_detail + share * (vis_detail - ir_detail)",
        ),
        ("lift = _at(look, config.warm_base) *", "lift = 0 *"),
        ("(_at(look, config.base_gain) - 1) * 4", "(_at(look, config.base_gain) - 1) * 2"),
        ("_unless_same(_at(look, config.detail_gain), known) * detail", "detail"),
        ("mixed - config.base_bound * (1 - known.same) * outside", "mixed"),
        ("config.visible_mean), 0, 1) * (vis_mean - mean)", "config.visible_mean), 0, 1) * (ir_mean - mean)"),
        ("NOISE_SHARE * config.denoise * noise", "0 * noise"),
        ("energy - 1.5 * (part * noise) ** 2", "energy - 0.5 * (part * noise) ** 2"),
        ("jnp.clip(noise / LEVEL / 2 - 1, 0, 1)", "jnp.clip(noise / LEVEL / 2, 0, 1)"),
        (" + config.class_score * score", ""),
        ("odds = 0.5 * config.sharpness", "odds = config.sharpness"),
        ("_channel_sums(energy, weights[0] ** 2)", "_channel_sums(energy, weights[0])"),
        ("config.warm_levels * LEVEL", "config.warm_levels"),
        ("around - margin) / WARM_SLOPE", "around) / WARM_SLOPE"),
        ("knee = config.knee * LEVEL", "knee = 0.0"),
        ("ends[0] + look * (ends[1] - ends[0])", "ends[1] + look * (ends[0] - ends[1])"),
        ("return gain + known.same * (1 - gain)", "return gain"),
        (
            "(1 - vis_trust) * masks[0], (1 - ir_trust) * masks[1]",
            "(1 - ir_trust) * masks[0], (1 - vis_trust) * masks[1]",
        ),
        ("_ir(score) - _vis(score)", "_vis(score) - _ir(score)"),
        ("config.saliency * jnp.maximum(warm, jnp.clip(2 * up(rim), 0, 1))", "config.saliency * warm"),
        ("config.saliency * jnp.maximum(warm,", "0 * jnp.maximum(warm,"),
        ("WARM_RIM = 2.0", "WARM_RIM = 1.0"),
        ("MOST_ODDS = 6.0", "MOST_ODDS = 60.0"),
        ("BAND_SHARES = (0.82, 0.25, 0.12)", "BAND_SHARES = (0.82, 0.12, 0.25)"),
    ),
    *mutations_of(
        f"{_HOME}/statistics.py",
        (f"{_UNIT}/test_spatial.py",),
        ("NOISE_QUANTILE, QUANTILE_TO_SIGMA = 0.25, 1.09", "NOISE_QUANTILE, QUANTILE_TO_SIGMA = 0.75, 1.09"),
        ("(level > 2 * LEVEL) & (level < 253 * LEVEL)", "(level > -1) & (level < 2)"),
        ("jnp.maximum(correlation, 0.0) ** 4", "jnp.maximum(correlation, 0.0) ** 2"),
        ("weight if mask is None else weight * jnp.pad(mask, around)", "weight"),
        ("jnp.where(valid > 0, x, enlarged(", "jnp.where(valid > 0, x, 0 * enlarged("),
        ("jnp.maximum(2 * level - 1, 0) * white", "jnp.maximum(2 * level - 1, 0) * black"),
    ),
    *mutations_of(
        f"{_HOME}/dispatch.py",
        (f"{_UNIT}/test_buckets.py",),
        ("rows <= self.rows and cols <= self.cols", "rows <= self.rows or cols <= self.cols"),
        ("if len(groups) <= most and cost > COMPILING:", "if len(groups) <= most or cost > COMPILING:"),
        ("if rows % 8 == cols % 8 == 0:", "if rows % 8 == 0:"),
        ("return -(-length // step) * step", "return length // step * step"),
    ),
]
