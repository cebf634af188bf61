"""Each definition against a plain, differently written computation, and against cases with a known answer."""

import itertools
import math

import numpy as np
import pytest
from scipy.signal import convolve2d

from camfuse_jax.metrics import gradients, information, ssim
from camfuse_jax.metrics.registry import METRICS


@pytest.fixture(scope="module")
def scene():
    """A pair with shared structure, 46 x 53, and a fused image, uint8."""
    rng = np.random.default_rng(7)
    base = np.add.outer(np.linspace(0, 120, 46), np.linspace(0, 80, 53))
    base[10:25, 12:30] += 50
    ir, vis = base + rng.normal(0, 9, base.shape), 200 - base / 2 + rng.normal(0, 5, base.shape)
    return tuple(np.clip(np.rint(x), 0, 255).astype(np.uint8) for x in (ir, vis, 0.6 * ir + 0.3 * vis))


def gaussian_window(size, sigma):
    offset = np.arange(size) - (size - 1) / 2
    window = np.exp(-np.add.outer(offset**2, offset**2) / (2 * sigma**2))
    return window / window.sum()


def ssim_by_windows(a, b, window, *, level, unbias=1.0):
    size, terms = len(window), []
    for i, j in itertools.product(range(a.shape[0] - size + 1), range(a.shape[1] - size + 1)):
        x, y = a[i : i + size, j : j + size], b[i : i + size, j : j + size]
        mx, my = (window * x).sum(), (window * y).sum()
        vx, vy = unbias * (window * (x - mx) ** 2).sum(), unbias * (window * (y - my) ** 2).sum()
        cov = unbias * (window * (x - mx) * (y - my)).sum()
        c1, c2 = (0.01 * level) ** 2, (0.03 * level) ** 2
        terms.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(terms)


def test_ssim_is_the_mean_over_windows_of_the_replicated_image(scene):
    ir, _, fused = (image.astype(float) for image in scene)
    padded = [np.pad(image, 5, mode="edge") for image in (fused, ir)]
    expected = ssim_by_windows(*padded, gaussian_window(11, 1.5), level=255)
    assert ssim.structural_similarity(fused, ir) == pytest.approx(expected, abs=1e-12)
    cropped = ssim_by_windows(fused, ir, gaussian_window(11, 1.5), level=255)
    assert ssim.structural_similarity(fused, ir, border="crop") == pytest.approx(cropped, abs=1e-12)


def test_ssim2_is_a_sum_with_sample_covariance_and_a_range_of_two(scene):
    ir, vis, fused = (image.astype(float) for image in scene)
    window = np.full((7, 7), 1 / 49)
    expected = sum(ssim_by_windows(fused, source, window, level=2, unbias=49 / 48) for source in (ir, vis))
    assert ssim.summed_uniform_ssim(*scene) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_scikit_image(scene):
    measure = pytest.importorskip("skimage.metrics")
    ir, _, fused = scene
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert ssim.structural_similarity(ir, fused, border="crop") == pytest.approx(
        measure.structural_similarity(ir.astype(float), fused.astype(float), **settings), abs=1e-6
    )


def test_entropy_of_scikit_image(scene):
    measure = pytest.importorskip("skimage.measure")
    assert information.entropy(*scene) == pytest.approx(measure.shannon_entropy(scene[2], base=2), abs=1e-6)


def test_ssim_refuses_another_border(scene):
    with pytest.raises(ValueError, match="replicate"):
        ssim.structural_similarity(scene[0], scene[1], border="wrap")


def vif_by_convolution(reference, image):
    """`vifp_mscale` with two-dimensional convolutions, in the order of its published text."""
    kept = available = 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        window = gaussian_window(size, size / 5)

        def blur(x, window=window):
            return convolve2d(x, window, mode="valid")

        if scale > 1:
            reference, image = blur(reference)[::2, ::2], blur(image)[::2, ::2]
        var_r = np.maximum(blur(reference**2) - blur(reference) ** 2, 0)
        var_i = np.maximum(blur(image**2) - blur(image) ** 2, 0)
        cov = blur(reference * image) - blur(reference) * blur(image)
        gain = cov / (var_r + 1e-10)
        noise = var_i - gain * cov
        gain[var_r < 1e-10] = 0
        noise[var_r < 1e-10] = var_i[var_r < 1e-10]
        var_r[var_r < 1e-10] = 0
        gain[var_i < 1e-10] = 0
        noise[var_i < 1e-10] = 0
        noise[gain < 0] = var_i[gain < 0]
        gain[gain < 0] = 0
        noise[noise <= 1e-10] = 1e-10
        kept += np.log10(1 + gain**2 * var_r / (noise + 2)).sum()
        available += np.log10(1 + var_r / 2).sum()
    return kept / available


def test_vif_is_the_published_text(scene):
    ir, vis, fused = (image.astype(float) for image in scene)
    expected = vif_by_convolution(ir, fused), vif_by_convolution(vis, fused)
    assert information.vif(ir, fused) == pytest.approx(expected[0], abs=1e-9)
    assert information.summed_vif(*scene) == pytest.approx(sum(expected), abs=1e-9)
    assert information.mean_vif(*scene) == pytest.approx(sum(expected) / 2, abs=1e-9)


def test_vif_with_partly_flat_images():
    rng = np.random.default_rng(3)
    reference, image = np.full((2, 60, 60), 40.0)
    reference[:, 30:] = rng.uniform(0, 255, (60, 30))
    image[30:] = rng.uniform(0, 255, (30, 60))
    assert information.vif(reference, image) == pytest.approx(vif_by_convolution(reference, image), abs=1e-9)


def test_qabf_is_the_published_text(scene):
    ir, vis, fused = (image.astype(float) for image in scene)
    h1, h3 = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1.0]]), np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1.0]])

    def polar(image):
        x, y = convolve2d(image, h3, mode="same"), convolve2d(image, h1, mode="same")
        angle = [math.pi / 2 if u == 0 else math.atan(v / u) for u, v in zip(x.flat, y.flat, strict=True)]
        return np.hypot(x, y).ravel(), np.array(angle)

    kept = available = 0.0
    for source in (ir, vis):
        for g, a, gf, af in zip(*polar(source), *polar(fused), strict=True):
            ratio = gf if g == gf else min(g, gf) / max(g, gf)
            strength = 0.9994 / (1 + math.exp(-15 * (ratio - 0.5)))
            angle = 0.9879 / (1 + math.exp(-22 * (1 - abs(a - af) / (math.pi / 2) - 0.8)))
            kept, available = kept + strength * angle * g, available + g
    assert gradients.edge_transfer(*scene) == pytest.approx(kept / available, abs=1e-9)


def test_mutual_information_from_counted_pairs(scene):
    ir, vis, fused = scene

    def shared_bits(a, b, top=255):
        def bits(*columns):
            _, counts = np.unique(np.stack(columns), axis=1, return_counts=True)
            return -(counts / counts.sum() * np.log2(counts / counts.sum())).sum()

        a, b = a.ravel(), b.ravel()
        return bits(a) + bits(b) - bits(np.minimum(a, top), np.minimum(b, top))

    expected = shared_bits(fused, ir) + shared_bits(fused, vis)
    assert information.mutual_information(*scene) == pytest.approx(expected, abs=1e-12)
    assert information.mutual_information_nats(*scene) == pytest.approx(expected * math.log(2), abs=1e-12)
    bright = [np.where(image > 120, image % 2 + 254, image) for image in scene]
    merged = shared_bits(bright[2], bright[0], 254) + shared_bits(bright[2], bright[1], 254)
    assert information.mutual_information_tang(*bright) == pytest.approx(merged, abs=1e-12)
    assert information.mutual_information_tang(*bright) > information.mutual_information(*bright) + 0.01


def test_correlations_are_numpys(scene):
    ir, vis, fused = (image.astype(float) for image in scene)

    def corr(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert information.correlation_coefficient(*scene) == pytest.approx((corr(ir, fused) + corr(vis, fused)) / 2)
    scd = information.sum_of_correlations_of_differences(*scene)
    assert scd == pytest.approx(corr(fused - vis, ir) + corr(fused - ir, vis))


def test_ms_ssim_of_five_explicit_scales():
    a = 127 + 30 * np.add.outer(np.sin(np.arange(187) / 6), np.cos(np.arange(200) / 5)) + np.indices((187, 200))[0] % 3
    b = 255 - a  # Opposite contrast: the means are negative, so the sign rule decides.
    window, terms, x, y = gaussian_window(11, 1.5), [], a, b
    for scale in range(5):
        if scale:
            x, y = (z[: len(z) // 2 * 2, : z.shape[1] // 2 * 2] for z in (x, y))
            x, y = ((z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4 for z in (x, y))
        mx, my, xx, yy, xy = (convolve2d(z, window, mode="valid") for z in (x, y, x * x, y * y, x * y))
        contrast = (2 * (xy - mx * my) + 58.5225) / (xx - mx**2 + yy - my**2 + 58.5225)
        luminance = (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
        terms.append((contrast * luminance if scale == 4 else contrast).mean())
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    expected = math.prod(math.copysign(abs(t) ** w, t) for t, w in zip(terms, weights, strict=True))
    assert all(term < 0 for term in terms)
    assert ssim.ms_ssim(a, b) == pytest.approx(expected, abs=1e-10)


def test_known_answers():
    every_level = np.arange(256, dtype=np.uint8).reshape(16, 16)
    ramp = np.tile(np.arange(50.0) * 3, (20, 1))
    board = np.indices((8, 8)).sum(axis=0) % 2 * 255
    assert information.entropy(every_level, every_level, every_level) == 8.0
    assert information.entropy(board, board, board) == 1.0
    assert information.standard_deviation(board, board, board) == 127.5
    assert gradients.average_gradient_mean(ramp, ramp, ramp) == pytest.approx(3 / math.sqrt(2))
    assert gradients.average_gradient_forward(ramp, ramp, ramp) == pytest.approx(3 / math.sqrt(2))
    assert gradients.average_gradient(ramp, ramp, ramp) == pytest.approx(3 / math.sqrt(2) * 20 * 50 / (19 * 49))
    assert gradients.spatial_frequency(ramp, ramp, ramp) == pytest.approx(3)
    assert gradients.spatial_frequency_unit(board, board, board) == pytest.approx(math.sqrt(2))
    assert gradients.noise_level(ramp, ramp, ramp) == pytest.approx(0, abs=1e-12)


def test_scd_of_the_exact_sum_is_two():
    rng = np.random.default_rng(0)
    ir, vis = rng.uniform(0, 127, (2, 30, 30))
    assert information.sum_of_correlations_of_differences(ir, vis, ir + vis) == pytest.approx(2)


def test_psnr_conventions_differ_as_documented():
    flat = np.full((9, 9), 100.0)
    fused = flat + 10
    assert information.peak_signal_to_noise(flat, flat, fused) == pytest.approx(10 * math.log10(255**2 / 100))
    assert information.peak_signal_to_noise_own_peak(flat, flat, fused) == pytest.approx(10 * math.log10(110**2 / 100))
    mixed = information.peak_signal_to_noise_mixed_range(flat, flat, fused)
    assert mixed - information.peak_signal_to_noise(flat, flat, fused) == pytest.approx(48.1308, abs=1e-4)


@pytest.mark.parametrize("sigma", [2.0, 10.0])
def test_noise_estimate_finds_the_noise(sigma):
    image = 128 + np.random.default_rng(5).normal(0, sigma, (300, 300))
    assert gradients.noise_level(image, image, image) == pytest.approx(sigma, rel=0.02)


def test_identical_images_have_full_similarity(scene):
    ir = scene[0]
    assert ssim.structural_similarity(ir, ir) == pytest.approx(1)
    assert information.vif(ir, ir) == pytest.approx(1, abs=1e-6)
    assert ssim.mean_ssim(ir, ir, ir) == pytest.approx(1)
    assert ssim.summed_uniform_ssim(ir, ir, ir) == pytest.approx(2)
    large = np.tile(ir, (5, 5))[:176, :176]
    assert ssim.ms_ssim(large, large) == pytest.approx(1)


def test_swapping_the_sources_changes_nothing(scene):
    ir, vis, fused = (np.tile(image, (4, 4)) for image in scene)
    for metric in (metric for metric in METRICS.values() if metric.family == "score"):
        assert metric.function(ir, vis, fused) == pytest.approx(metric.function(vis, ir, fused), rel=1e-12), metric.key


def test_every_key_has_a_definition_of_its_own():
    assert len({metric.function for metric in METRICS.values()}) == len(METRICS)


def test_joint_histogram_tells_neighboring_pairs_of_levels_apart():
    a, b = np.array([[0, 1], [0, 1]]), np.array([[255, 0], [255, 0]])  # 0, 255 and 1, 0 are neighbors in one index
    assert information.mutual_information(b, b, a) == pytest.approx(2)
