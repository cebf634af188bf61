"""Every metric, declared once: key, name, function, formula, range, direction, source and what it rewards wrongly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from camfuse_jax.errors import UsageError
from camfuse_jax.metrics import gradients, information, picture, ssim
from camfuse_jax.metrics.picture import PictureMeasure

MetricFunction = Callable[[ArrayLike, ArrayLike, ArrayLike], float]
"""`metric(ir, vis, fused) -> float` on gray images (h, w) in [0, 255]."""


@dataclass(frozen=True)
class Metric:
    """One definition of one metric.

    Formulas call infrared A, visible B and fused F. `rewards` is what raises the metric without a better picture,
    `digits` the decimals of a printed table, `min_size` the shortest side in pixels it is defined for; direction `none`
    is a diagnostic that is never ranked. A picture measure also has `measure`, its function of the facts of a pair;
    `pooled` ones count each image by its warm targets, so that the mean is the share of all targets.
    """

    key: str
    name: str
    function: MetricFunction
    formula: str
    value_range: str
    direction: Literal["higher", "lower", "none"]
    source: str
    rewards: str
    digits: int = 4
    min_size: int = 1
    measure: PictureMeasure | None = None
    pooled: bool = False

    @property
    def family(self) -> str:
        """`score`, or `picture` for a picture measure; ranks and tests are within a family."""
        return "score" if self.measure is None else "picture"


def _picture(
    key: str, name: str, measure: PictureMeasure, formula: str, value_range: str, direction, rewards: str, **more
) -> Metric:
    """A picture measure; its source is this package, after what users complained of."""
    function = picture.of_images(measure)
    source = "own, see docs/metrics.md"
    return Metric(key, name, function, formula, value_range, direction, source, rewards, measure=measure, **more)


_NOISE_AND_CONTRAST = "Noise, over-sharpening and contrast stretching."
_COPYING = "Copying one source, or the maximum of both."
_AVERAGING = "The plain average of the sources, which wastes contrast."
_XYDEAS = "Xydeas and Petrovic 2000, in the form of analysis_Qabf.m"

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("EN", "entropy", information.entropy, "-sum p log2 p over the 256 levels of F", "0 to 8 bit", "higher",
            "Roberts et al. 2008", "Noise, and any stretch of the histogram: equalizing gives 8."),
        Metric("AG", "average gradient", gradients.average_gradient,
            "sum of sqrt((gx^2 + gy^2) / 2), central differences, over (h - 1)(w - 1)", "0 to about 180", "higher",
            "Cui et al. 2015, as AG_evaluation.m", _NOISE_AND_CONTRAST, min_size=2),
        Metric("SCD", "sum of the correlations of differences", information.sum_of_correlations_of_differences,
            "corr(F - B, A) + corr(F - A, B)", "-2 to 2", "higher", "Aslantas and Bendes 2015",
            "Adding the sources: A + B - mean, no learning, beats most networks."),
        Metric("SSIM", "structural similarity, mean", ssim.mean_ssim,
            "(SSIM(F, A) + SSIM(F, B)) / 2, Gaussian 11 x 11, sigma 1.5, L = 255, population covariance, "
            "replicated border", "-1 to 1", "higher", "Wang et al. 2004, as MATLAB ssim on uint8", _AVERAGING),
        Metric("VIF", "visual information fidelity, sum", information.summed_vif,
            "vifp(A, F) + vifp(B, F), 4 scales, noise variance 2", "0 upwards, 2 if A = B = F", "higher",
            "Sheikh and Bovik 2006, vifp_mscale", _COPYING + " One source alone gives above 1; raised contrast adds.",
            min_size=information.VIF_MIN_SIZE),
        Metric("SF", "spatial frequency", gradients.spatial_frequency,
            "sqrt(mean dx^2 + mean dy^2), each over its own differences", "0 to about 361", "higher",
            "Eskicioglu and Fisher 1995", _NOISE_AND_CONTRAST, digits=2, min_size=2),
        Metric("SD", "standard deviation", information.standard_deviation, "sqrt(mean (F - mean F)^2)", "0 to 127.5",
            "higher", "population form", "Contrast stretching; histogram equalization gives 73.9.", digits=2),
        Metric("MI", "mutual information", information.mutual_information,
            "I(F; A) + I(F; B) in bit, 256 x 256 joint histogram", "0 to 16 bit", "higher", "Qu et al. 2002", _COPYING,
            digits=2),
        Metric("Qabf", "edge transfer", gradients.edge_transfer,
            "kept Sobel strength and orientation of A and B in F, weighted by the sources' strength, zero padding",
            "0 to 0.99", "higher", _XYDEAS, _COPYING),
        Metric("MS-SSIM", "multi-scale structural similarity, mean", ssim.mean_ms_ssim,
            "(MS-SSIM(F, A) + MS-SSIM(F, B)) / 2, 5 scales, windows wholly inside, signed powers", "-1 to 1", "higher",
            "Wang, Simoncelli and Bovik 2003", _AVERAGING, min_size=ssim.MS_SSIM_MIN_SIZE),
        Metric("CC", "correlation coefficient, mean", information.correlation_coefficient,
            "(corr(F, A) + corr(F, B)) / 2", "-1 to 1", "higher", "Pearson", _AVERAGING),
        Metric("PSNR", "peak signal to noise ratio", information.peak_signal_to_noise,
            "10 log10(255^2 / ((mse(F, A) + mse(F, B)) / 2))", "0 dB upwards", "higher", "peak 255", _AVERAGING,
            digits=2),
        Metric("NOISE", "noise estimate", gradients.noise_level,
            "sqrt(pi / 2) / 6 mean |F * (1, -2, 1) x (1, -2, 1)|, in gray levels", "0 upwards", "none",
            "Immerkaer 1996", "Not a quality: texture and lines raise it, blur lowers it.", digits=2, min_size=3),
        Metric("SSIM2", "structural similarity, sum", ssim.summed_uniform_ssim,
            "SSIM(F, A) + SSIM(F, B), uniform 7 x 7, sample covariance, cropped border, L = 2 on levels 0..255",
            "-2 to 2", "higher", "CDDFuse's Evaluator.py under scikit-image before 0.20", _AVERAGING, min_size=7),
        Metric("AG_MEAN", "average gradient, mean", gradients.average_gradient_mean,
            "mean of sqrt((gx^2 + gy^2) / 2), central differences", "0 to about 180", "higher",
            "CDDFuse's Evaluator.py", _NOISE_AND_CONTRAST, min_size=2),
        Metric("AG_FORWARD", "average gradient, forward differences", gradients.average_gradient_forward,
            "mean of sqrt((dx^2 + dy^2) / 2), forward differences", "0 to 255", "higher", "several toolboxes",
            _NOISE_AND_CONTRAST, min_size=2),
        Metric("VIF_MEAN", "visual information fidelity, mean", information.mean_vif, "(vifp(A, F) + vifp(B, F)) / 2",
            "0 upwards, 1 if A = B = F", "higher", "Sheikh and Bovik 2006, vifp_mscale", _COPYING,
            min_size=information.VIF_MIN_SIZE),
        Metric("SF_UNIT", "spatial frequency on [0, 1]", gradients.spatial_frequency_unit, "SF / 255",
            "0 to about 1.41", "higher", "SF_evaluation.m on im2double images", _NOISE_AND_CONTRAST, min_size=2),
        Metric("MI_NATS", "mutual information in nats", information.mutual_information_nats, "(I(F; A) + I(F; B)) ln 2",
            "0 to 11.1 nat", "higher", "scikit-learn's mutual_info_score, as CDDFuse", _COPYING, digits=2),
        Metric("MI_TANG", "mutual information, merged top levels", information.mutual_information_tang,
            "as MI, but levels 254 and 255 share a joint bin", "0 to 16 bit", "higher", "Qu's Hab.m on uint8", _COPYING,
            digits=2),
        Metric("PSNR_PEAK", "peak signal to noise ratio, own peak", information.peak_signal_to_noise_own_peak,
            "10 log10(max(F)^2 / ((mse(F, A) + mse(F, B)) / 2))", "any dB", "higher", "CDDFuse's Evaluator.py",
            _AVERAGING, digits=2),
        Metric("PSNR_48", "peak signal to noise ratio, mixed range", information.peak_signal_to_noise_mixed_range,
            "PSNR + 20 log10(255): errors on [0, 1], peak 255", "48.13 dB upwards", "higher",
            "PSNR_evaluation.m as in Tang's published results", _AVERAGING, digits=2),
        _picture("TARGETS", "warm targets of an image", picture.target_count,
            "compact areas of A, 40 to 6000 pixels, 30 levels above the wide median and 25 above the ring around",
            "0 upwards", "none", "Not a quality: a property of the infrared image.", digits=1),
        _picture("KEPT", "warm targets kept, %", picture.targets_kept,
            "per cent of all images' targets with half of their contrast in A, of which 60 levels at most count",
            "0 to 100 %", "higher", "Copying the infrared image, and raising all contrast.", digits=1, pooled=True),
        _picture("INVERTED", "warm targets inverted, %", picture.targets_inverted,
            "per cent of all images' targets that are more than 5 levels darker than the ring around them",
            "0 to 100 %", "lower", "A picture without contrast, which inverts nothing.", digits=1, pooled=True),
        _picture("VEIL", "level of what is black in both sources", picture.veil,
            "mean of F where A and B, blurred by 2 pixels, are below 25; needs more than 500 such pixels", "0 to 255",
            "lower", "Crushing shadows to black.", digits=1),
        _picture("CLIP", "burnt-out and crushed pixels, %", picture.clip,
            "per cent of pixels with F >= 252 but A, B < 235, or F <= 3 but A, B > 20", "0 to 100 %", "lower",
            "A gray picture without highlights.", digits=2),
        _picture("BEYOND", "leaving the span of the sources, gray levels", picture.levels_beyond,
            "mean levels of F above the highest or below the lowest of A and B in the 15 x 15 pixels around",
            "0 to 255", "lower", "Averaging; and noise or edges in the sources, which widen their span.", digits=2),
        _picture("TONE", "difference in brightness to the visible image, gray levels", picture.tone,
            "mean |F - B|, both blurred by 16 pixels, in gray levels", "0 to 255", "lower",
            "Showing the visible image alone, even a badly exposed one.", digits=1),
        _picture("NOISE_GAIN", "noise over that of the noisier source", picture.noise_gain,
            "NOISE of F over the larger one of A and B, on the fifth of the image where both have the smallest slopes",
            "0 upwards, 1 keeps the noise", "lower", "Blur.", digits=2),
    )
}  # fmt: skip
"""All definitions by key: thirteen of protocol `paper`, the field's variants of them, the picture measures."""

PAPER_METRICS = ("EN", "AG", "SCD", "SSIM", "VIF")
"""The five of the paper's tables."""

BASIC_METRICS = (*PAPER_METRICS, "NOISE")
"""The five, and the noise estimate without which EN and AG cannot be read."""

ALL_METRICS = (*PAPER_METRICS, "SF", "SD", "MI", "Qabf", "MS-SSIM", "CC", "PSNR", "NOISE")
"""Every score that a protocol defines: the paper's five, seven more, and the noise estimate beside EN, AG and SF."""

PICTURE_METRICS = ("TARGETS", "KEPT", "INVERTED", "VEIL", "CLIP", "BEYOND", "TONE", "NOISE_GAIN")
"""What a person would complain of; the same under every protocol."""

METRIC_SETS = {"paper": (*BASIC_METRICS, *PICTURE_METRICS), "all": (*ALL_METRICS, *PICTURE_METRICS)}
"""What `--metrics` chooses from."""


def find_metric(key: str) -> Metric:
    """The metric of this key; UsageError that lists the known ones if there is none."""
    if key not in METRICS:
        raise UsageError(f"There is no metric {key!r}.", f"Known: {', '.join(METRICS)}.")
    return METRICS[key]


def check_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys as a tuple; UsageError if there is none, one is unknown, or one is there twice."""
    if not keys:
        raise UsageError("No metric was named.", f"Known: {', '.join(METRICS)}.")
    doubles = sorted({key for key in keys if list(keys).count(key) > 1})
    if doubles:
        raise UsageError(f"Metrics named twice: {', '.join(doubles)}.", "Name each once.")
    return tuple(find_metric(key).key for key in keys)
