"""Rule `spatial`: against float64 NumPy, what each of its settings does, and what it promises of any pair."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_spatial
from jax import export as jax_export
from small_nets import NET, parts, small_params

from camfuse_jax import balanced, fuse
from camfuse_jax.config import FusionConfig, NetConfig, SpatialConfig
from camfuse_jax.fusion.dispatch import Buckets, Exact, Program, memory_needed
from camfuse_jax.fusion.forward import context_of, fuse_unit, image_sums
from camfuse_jax.fusion.params import Params, with_look
from camfuse_jax.nets.build import init_autoencoder, init_classifier

LEVEL = 1 / 255
SIZE = (90, 122)  # of nothing a multiple; nearly all tests, so that few programs are compiled
EXACT = Exact()
DEFAULT = SpatialConfig()


@functools.cache
def lapped_params(config=DEFAULT, seed=0):
    """The shallow network as it starts, with class weights drawn at random."""
    net = NetConfig(kind="shallow")
    head = np.random.default_rng(seed).normal(size=(net.encoder_widths[-1], 2)).astype(np.float32)
    classifier = {**init_classifier(net, seed=seed), "head": {"kernel": 0.3 * head}}
    fusion = FusionConfig(spatial=config)
    return Params(**init_autoencoder(net, seed=seed), classifier=classifier, net=net, fusion=fusion, look=config.look)


@functools.cache
def scene(size=SIZE, seed=0, texture=0.12):
    """Infrared and visible: patches of their own, a warm target on dark ground, texture of the visible one."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: size[0], : size[1]]
    low = rng.uniform(0.2, 0.7, (2, 1 + size[0] // 24, 1 + size[1] // 24)).repeat(24, axis=1).repeat(24, axis=2)
    ir, vis = low[:, : size[0], : size[1]]
    vis = vis + texture * np.sin(rows / 1.7) * np.sin(cols / 2.3)
    ir = 0.5 * ir + 0.05 * np.sin(cols / 4)
    target = (rows - 45) ** 2 + (cols - 60) ** 2 < 9**2
    ir = np.where(target, 0.9, ir)
    pair = np.stack([ir, vis]) + 0.002 * rng.normal(size=(2, *size))
    return tuple(np.clip(image, 0, 1).astype(np.float32) for image in pair)


def run(ir, vis, params=None, **options):
    return np.asarray(fuse(lapped_params() if params is None else params, ir, vis, buckets=EXACT, **options))


def run_eagerly(ir, vis, params):
    """The same operation by operation: settings are static, and each would be compiled anew."""
    with jax.disable_jit():
        return np.asarray(fuse_unit(params, *(jnp.asarray(x, jnp.float32)[None, ..., None] for x in (ir, vis))))[
            0, ..., 0
        ]


def with_config(**settings):
    return lapped_params(SpatialConfig(**settings))


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def fine(x):
    return x - reference_spatial.blur(x, 4)


def outside(x, low, high):
    return rms(reference_spatial.beyond(x, np.minimum(low, high), np.maximum(low, high)))


def contrast(x):
    return float(np.std(x))


# Against the reference


def _random_pair(size, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1, (2, 1 + size[0] // 9, 1 + size[1] // 9)).repeat(9, axis=1).repeat(9, axis=2)
    return (0.8 * low[:, : size[0], : size[1]] + 0.2 * rng.uniform(0, 1, (2, *size))).astype(np.float32)


@pytest.mark.parametrize(("look", "gain"), [(1.0, 1.0), (0.25, 3.0)])
@pytest.mark.parametrize("kind", ["lapped", "deep", "shallow"])
def test_equals_the_reference(kind, look, gain):
    net = dataclasses.replace(NET, kind="shallow") if kind == "shallow" else NET
    params = lapped_params() if kind == "lapped" else small_params(net, fusion=FusionConfig())
    params = balanced(with_look(params, look), ir_gain=gain)
    size = (45, 58)
    for seed, share in ((0, 1.0), (1, 0.02)):  # with much noise, and with little
        ir, vis = 0.5 + share * (_random_pair(size, seed) - 0.5)
        expected = reference_spatial.fuse(
            params.fusion.spatial, look, params.net, parts(params), ir, vis, gain / (gain + 1)
        )
        np.testing.assert_allclose(run(ir, vis, params), expected, rtol=0, atol=1e-3)


# Promises


def test_two_equal_images_come_out_unchanged():
    for image in scene():
        np.testing.assert_allclose(run(image, image), image, atol=1.5 * LEVEL)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)], ids=str)
def test_small_sizes(size):
    ir, vis = _random_pair(size)
    fused = run(ir, vis)
    assert fused.shape == size
    assert np.all((fused >= 0) & (fused <= 1))
    np.testing.assert_allclose(run(ir, ir), ir, atol=1.5 * LEVEL)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_comes_out_constant(level):
    flat = np.full(SIZE, level, np.float32)
    np.testing.assert_allclose(run(flat, flat), flat, atol=LEVEL)
    fused = run(flat, np.full_like(flat, 0.5))
    assert np.ptp(fused) < 0.1 * LEVEL
    assert min(level, 0.5) - LEVEL <= fused.mean() <= max(level, 0.5) + LEVEL


def test_a_ramp_of_16_bits_stays_a_ramp():
    ramp = np.tile(np.linspace(20_000, 21_000, SIZE[1]).astype(np.uint16), (SIZE[0], 1))
    fused = run(ramp, ramp).astype(int)
    assert np.all(np.diff(fused, axis=1) >= 0)
    assert len(np.unique(fused)) >= 0.9 * SIZE[1]


def test_more_infrared_gain_comes_nearer_to_infrared():
    ir, vis = scene()
    gains = [0.0, 0.25, 1.0, 4.0, 100.0]
    apart = [np.abs(run(ir, vis, balanced(lapped_params(), ir_gain=gain)) - ir).mean() for gain in gains]
    assert np.all(np.diff(apart) < 0)
    toward = [np.abs(run(ir, vis, balanced(lapped_params(), vis_gain=gain)) - vis).mean() for gain in gains]
    assert np.all(np.diff(toward) < 0)


def test_no_infrared_is_no_lift_of_its_target():
    ir, vis = scene()
    params = balanced(with_config(warm_base=(1.0, 1.0)), ir_gain=0.0)
    target, dark = ir > 0.85, 0.3 * vis
    assert abs(run(ir, dark, params)[target].mean() - dark[target].mean()) < 5 * LEVEL


def test_look_goes_from_the_visible_tone_to_contrast():
    ir, vis = scene()
    natural, half, strong = (run(ir, vis, with_look(lapped_params(), look)) for look in (0.0, 0.5, 1.0))
    assert abs(natural.mean() - vis.mean()) < abs(strong.mean() - vis.mean())
    assert contrast(natural) < contrast(half) < contrast(strong)


def test_a_warm_target_is_brighter_than_its_ring_on_a_busy_background():
    ir, vis = scene()
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    apart = np.hypot(rows - 45, cols - 60)
    target, ring = apart < 7, (apart > 13) & (apart < 20)
    for look in (0.0, 1.0):
        fused = run(ir, vis, with_look(lapped_params(), look))
        assert fused[target].mean() > fused[ring].mean() + 20 * LEVEL


# One test for each setting, so that one that is ignored is noticed


def _both(name, low, high, pair=None, **others):
    return (run_eagerly(*(pair or scene()), with_config(**{name: value}, **others)) for value in (low, high))


def test_base_gain():
    low, high = _both("base_gain", (1.0, 1.0), (1.0, 2.0))
    assert contrast(reference_spatial.blur(high, 8)) > 1.2 * contrast(reference_spatial.blur(low, 8))


def test_detail_gain():
    low, high = _both("detail_gain", (1.0, 1.0), (1.0, 2.0), bound=(0.0, 0.0))
    assert rms(fine(high)) > 1.5 * rms(fine(low))


def test_sharpness_chooses_the_image_with_more_detail():
    low, high = _both("sharpness", 0.0, 12.0, saliency=0.0)
    vis_detail = fine(scene()[1])
    shares = [np.vdot(fine(x), vis_detail) / np.vdot(vis_detail, vis_detail) for x in (low, high)]
    assert shares[1] > 1.2 * shares[0]


def test_class_score():
    low, high = _both("class_score", 0.0, 2.0)
    assert rms(high - low) > 0.3 * LEVEL


def test_saliency_brings_infrared_detail_to_the_target():
    ir, vis = scene()
    checks = np.where(np.indices(SIZE).sum(axis=0) % 6 < 3, 0.03, -0.03).astype(np.float32)
    target = ir > 0.85
    ir = 0.6 * np.where(target, ir + checks, ir)  # far from white, which would bend them
    low, high = _both("saliency", 0.0, 12.0, (ir, vis), sharpness=0.0)
    seen = [np.vdot(x[target] - x[target].mean(), checks[target]) for x in (low, high)]
    assert seen[1] > seen[0]


def test_warm_levels():
    ir, vis = scene()
    few, many = _both("warm_levels", 10.0, 60.0, (0.7 * ir, 0.2 * vis), warm_base=(1.0, 1.0))
    assert few.mean() > many.mean() + 0.2 * LEVEL


def test_warm_base_lifts_the_target():
    ir, vis = scene()
    low, high = _both("warm_base", (0.0, 0.0), (1.0, 1.0), (0.7 * ir, 0.2 * vis), bound=(0.0, 0.0))
    target = scene()[0] > 0.85
    assert high[target].mean() > low[target].mean() + 2 * LEVEL
    assert rms((high - low)[:10]) < LEVEL


def test_visible_tone():
    low, high = _both("visible_tone", (0.0, 0.0), (1.0, 1.0))
    vis_base = reference_spatial.blur(scene()[1], 16)
    apart = [rms(reference_spatial.blur(x, 16) - vis_base) for x in (low, high)]
    assert apart[1] < 0.6 * apart[0]


def test_bright_tone_keeps_a_cold_sky_light_and_nothing_else():
    down = (np.arange(SIZE[0])[:, None] / SIZE[0] + np.zeros(SIZE)).astype(np.float32)
    day, night, cold_above, warm_above = 0.9 - 0.8 * down, 0.4 - 0.3 * down, 0.1 + 0.6 * down, 0.7 - 0.6 * down

    def lift(vis, ir):
        low, high = _both("bright_tone", (0.0, 0.0), (0.0, 1.0), (ir, vis))
        return (high - low) / LEVEL

    sky = lift(day, cold_above)
    assert sky[:16].min() > 20
    assert np.abs(sky[-16:]).max() < 1
    assert np.abs(lift(day, warm_above)[:16]).max() < 1
    assert np.abs(lift(night, cold_above)).max() < 1


def test_visible_mean():
    low, high = _both("visible_mean", (0.0, 0.0), (1.0, 1.0))
    mean = scene()[1].mean()
    assert abs(high.mean() - mean) < 0.5 * abs(low.mean() - mean)


def test_base_bound_keeps_the_base_between_both():
    ir, vis = scene()
    pair = ir, np.clip(0.5 * ir + 0.1 + 0.1 * vis, 0, 1)
    low, high = _both("base_bound", 0.0, 1.0, pair, bound=(0.0, 0.0))
    bases = [reference_spatial.blur(x, 16) for x in pair]
    apart = [outside(reference_spatial.blur(x, 16), *bases) for x in (low, high)]
    assert apart[1] < apart[0]


def test_bound_keeps_pixels_between_both():
    low, high = _both("bound", (0.0, 0.0), (1.0, 1.0), detail_gain=(3.0, 3.0), knee=0.0)
    assert outside(high, *scene()) < 0.7 * outside(low, *scene())


def test_knee_leaves_room_at_the_ends():
    ir, vis = (np.clip(1.6 * image - 0.2, 0.02, 0.98) for image in scene())
    low, high = _both("knee", 0.0, 60.0, (ir, vis), bound=(0.0, 0.0), detail_gain=(4.0, 4.0))
    at_ends = [np.mean((x < 0.5 * LEVEL) | (x > 1 - 0.5 * LEVEL)) for x in (low, high)]
    assert at_ends[1] < at_ends[0]
    assert all(np.all((x >= 0) & (x <= 1)) for x in (low, high))


def test_base_sigma_and_activity_sigma_are_used():
    for name, values in (("base_sigma", (8.0, 24.0)), ("activity_sigma", (4.0, 16.0))):
        low, high = _both(name, *values)
        assert rms(high - low) > 0.2 * LEVEL


@pytest.mark.parametrize("levels", [10, 25])
@pytest.mark.parametrize("which", [0, 1])
def test_noise_of_one_source_is_not_handed_on(levels, which):
    rng = np.random.default_rng(0)
    clean = list(scene(texture=0.02))  # in strong texture noise is not seen, and is left
    noisy = list(clean)
    noisy[which] = np.clip(clean[which] + levels * LEVEL * rng.normal(size=SIZE), 0, 1).astype(np.float32)
    handed_on = rms(run(*noisy) - run(*clean)) / rms(noisy[which] - clean[which])
    assert handed_on <= 0.75  # changes of the choice count too; the goal of .6 is not reached on every scene
    without = [run_eagerly(*pair, with_config(denoise=0.0)) for pair in (noisy, clean)]
    assert handed_on < rms(without[0] - without[1]) / rms(noisy[which] - clean[which])


@pytest.mark.parametrize("which", [0, 1])
def test_noise_does_not_outvote_weak_detail(which):
    rng = np.random.default_rng(0)
    texture = 4 * LEVEL * np.sin(np.arange(SIZE[1]) / 2)[None] * np.sin(np.arange(SIZE[0]) / 2)[:, None]
    pair = [0.5 + texture, 0.5 + 25 * LEVEL * rng.normal(size=SIZE)]
    ir, vis = (np.clip(image, 0, 1).astype(np.float32) for image in (pair if which else pair[::-1]))
    shown = np.sum((run(ir, vis) - 0.5) * texture) / np.sum(texture**2)
    assert shown > 0.9  # an even share of both images shows .65 of it, at a gain of 1.3


def test_flat_parts_stay_flat_beside_noise():
    rng = np.random.default_rng(0)
    flat = np.full(SIZE, 0.5, np.float32)
    noisy = (0.5 + 10 * LEVEL * rng.normal(size=SIZE)).astype(np.float32)
    for pair in ((flat, noisy), (noisy, flat)):
        assert contrast(run(*pair)) < 0.6 * contrast(noisy)


# Pixels that show nothing


def _mask(margin=16):
    mask = np.zeros(SIZE, bool)
    mask[margin:-margin, margin:-margin] = True
    return mask


@pytest.mark.parametrize("name", ["ir_valid", "vis_valid"])
def test_what_is_under_a_mask_changes_nothing(name):
    pair, mask, which = scene(), _mask(), int(name == "vis_valid")
    results = []
    for value in (0.0, 1.0):
        changed = list(pair)
        changed[which] = np.where(mask, pair[which], value).astype(np.float32)
        results.append(run(*changed, **{name: mask}))
    np.testing.assert_allclose(*results, atol=1e-5)
    other = pair[1 - which]
    np.testing.assert_allclose(results[0][~mask], other[~mask], atol=LEVEL)


def test_a_white_frame_leaves_the_inside_as_it_is_without():
    """What is invalid is filled from inside, and the statistics are those of the inside."""
    ir, vis = scene()
    mask, inner = _mask(8), slice(8, -8)
    framed = np.where(mask, ir, 1.0).astype(np.float32)
    shown = run(framed, vis, ir_valid=mask)[inner, inner]
    cut = run(*(np.ascontiguousarray(image[inner, inner]) for image in (ir, vis)))
    center = slice(24, -24)
    assert rms((shown - cut)[center, center]) < LEVEL
    unmasked = run(framed, vis)[inner, inner]
    assert rms((unmasked - cut)[center, center]) > rms((shown - cut)[center, center])


# Forms of the same


@pytest.mark.parametrize("levels", [0, 10])
def test_an_image_in_a_larger_array_is_fused_as_on_its_own(levels):
    rng = np.random.default_rng(0)
    ir, vis = (np.clip(x + levels * LEVEL * rng.normal(size=SIZE), 0, 1).astype(np.float32) for x in scene())
    placed = fuse(lapped_params(), ir, vis, buckets=Buckets([Program(160, 160, False)]))
    np.testing.assert_allclose(placed, run(ir, vis), atol=2e-4)


def test_a_batch_is_each_of_its_images():
    both = [np.stack([x, x[::-1]]) for x in scene()]
    fused = np.asarray(fuse(lapped_params(), *(x[..., None] for x in both), buckets=EXACT))[..., 0]
    for i in range(2):
        np.testing.assert_allclose(fused[i], run(both[0][i], both[1][i]), atol=2e-4)


@pytest.mark.parametrize("kind", ["deep", "shallow"])
def test_tiles_draw_the_whole_image(kind):
    params = small_params(dataclasses.replace(NET, kind=kind), fusion=FusionConfig())
    ir, vis = scene((120, 1300))
    whole = np.asarray(fuse(params, ir, vis, max_memory=2**33))
    tiled = np.asarray(fuse(params, ir, vis, max_memory=memory_needed(params, 128 * 896)))
    np.testing.assert_allclose(tiled, whole, atol=0.25 * LEVEL)


def test_gradients_are_finite_with_flat_images_too():
    params = lapped_params()
    loss = jax.jit(jax.grad(lambda pair, params: jnp.sum(fuse(params, *pair) ** 2), argnums=(0, 1), allow_int=True))
    flat = np.full(SIZE, 0.4, np.float32)
    for pair in (scene(), (flat, flat), (np.zeros_like(flat), scene()[1])):
        found = loss(tuple(map(jnp.asarray, pair)), params)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))
    assert np.any(loss(tuple(map(jnp.asarray, scene())), params)[1].encoder["conv"]["kernel"])


def test_a_function_of_params_can_be_exported_and_read_back():
    params, image = lapped_params(), jax.ShapeDtypeStruct((1, *SIZE, 1), jnp.float32)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)), params)
    content = jax_export.export(jax.jit(fuse_unit))(shapes, image, image).serialize()
    ir, vis = (x[None, ..., None] for x in scene())
    again = jax_export.deserialize(content).call(jax.tree.map(jnp.asarray, params), ir, vis)
    np.testing.assert_allclose(again[0, ..., 0], run(*scene()), atol=1e-4)


def test_params_are_short_in_print():
    assert len(repr(lapped_params())) < 200
    assert "spatial" in repr(lapped_params())


def test_no_grid():
    """A grid would move with the image's origin: shifted runs, laid over each other, differ from each of them."""
    size, side, inner = (160, 184), 4, slice(56, -56)  # the borders, which move, reach 48 pixels far
    ir, vis = scene((size[0] + side, size[1] + side))
    params = lapped_params()
    whole = (x[None, ..., None] for x in (ir, vis))
    context = context_of(params, image_sums(params, *map(jnp.asarray, whole)))
    shifted = []
    for i in range(side):
        for j in range(side):
            part = (x[i : i + size[0], j : j + size[1]] for x in (ir, vis))
            fused = run(*map(np.ascontiguousarray, part), context=context)
            shifted.append(fused[side - i : size[0] - i, side - j : size[1] - j])
    shifted = np.stack(shifted)[:, inner, inner]
    assert rms(shifted[0] - shifted.mean(axis=0)) < 0.7 * LEVEL


@pytest.mark.parametrize(("levels", "shrinks"), [(1.2, False), (6.0, True)])
def test_noise_of_less_than_two_levels_is_not_shrunk(levels, shrinks):
    rng = np.random.default_rng(0)
    pair = [np.clip(x + rng.normal(0, levels * LEVEL, x.shape), 0, 1).astype(np.float32) for x in scene()]
    kept, shrunk = _both("denoise", 0.0, 1.0, pair, sharpness=0.0)  # without sharpness nothing else depends on noise
    assert np.any(kept != shrunk) == shrinks
