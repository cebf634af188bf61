"""Wrong changes to `camfuse_jax/images`."""

from mutation.trial import mutations_of

_HOME, _UNIT = "camfuse_jax/images", "tests/unit/images"

_VALUES = f"{_UNIT}/test_exact_values.py"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/ranges.py", (f"{_UNIT}/test_ranges.py", f"{_UNIT}/test_thermal.py", _VALUES),
        ("_USUAL = (0.5, 99.5)", "_USUAL = (5.0, 95.0)"),
        ("_ZERO_CELSIUS = 273.15", "_ZERO_CELSIUS = 273.0"),
        ("(fahrenheit - 32) / 1.8", "(fahrenheit - 30) / 1.8"),
        ("_FILLED = 0.5", "_FILLED = 0.05"),
        ("if bits <= 8:", "if bits <= 7:"),
        ("samples = samples if valid is None else samples[valid]", "samples = samples"),
        ("np.percentile(samples, (low, high))", "np.percentile(samples, (0, high))"),
        ("if below + above >= 1:", "if below + above > 1:"),
        ("float(np.mean(samples < low)), float(np.mean(samples > high))", "float(np.mean(samples < low)), 0.0"),
        ("(band.astype(np.float64) - low) / (high - low), 0, 1)", "(band.astype(np.float64) - low) / high, 0, 1)"),
        ("    if not low < high:\n        return np.zeros", "    if not low <= high:\n        return np.zeros"),
        ("for white in (1.0, 255.0, 65535.0)", "for white in (255.0, 65535.0)"),
        ("result[start : start + step] = band", "result[:step] = band"),
        ("low < 0 or high > 100", "low < 0"),
    ),
    *mutations_of(
        f"{_HOME}/color.py", (f"{_UNIT}/test_color.py", f"{_UNIT}/test_color_maps.py", _VALUES),
        ("_WEIGHTS = np.array([0.299, 0.587, 0.114])", "_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])"),
        ("_BLOWN_POWER = 8", "_BLOWN_POWER = 0"),
        ("np.where(new < old, new / np.maximum(old, kind.type(1e-12)), room)", "room"),
        ("room = (1 - new)", "room = (2 - new)"),
        ("gray = new - scale * old", "gray = new - old"),
        ("_NEAR = (0.033, 0.075)", "_NEAR = (0.33, 0.75)"),
        ("_GRAY_MEAN, _GRAY_FAR = 1.5 / 255, 8 / 255", "_GRAY_MEAN, _GRAY_FAR = 0.0, 0.0"),
        ("index / (_LEVELS - 1)", "1 - index / (_LEVELS - 1)"),
        ('"luma", note, sure=False)', '"luma", note)'),
        ("best = min(CANDIDATES,", "best = max(CANDIDATES,"),
        ("if how not in CANDIDATES:", "if how in CANDIDATES:"),
    ),
    *mutations_of(
        f"{_HOME}/write.py", (f"{_UNIT}/test_write.py", _VALUES),
        ("_JPEG_QUALITY = 95", "_JPEG_QUALITY = 50"),
        ("astype(np.uint16) * np.uint16(257)", "astype(np.uint16) * np.uint16(256)"),
        ("np.rint(samples / 257.0)", "np.floor(samples / 257.0)"),
        ("icc_profile=icc, exif=metadata.exif, pnginfo=info", "exif=metadata.exif, pnginfo=info"),
        ("icc_profile=icc, exif=metadata.exif, pnginfo=info", "icc_profile=icc, pnginfo=info"),
        ("info.add_text(_KEYWORD, provenance)", "pass"),
        ("exclusive=exclusive)", "exclusive=False)"),
        ('".jpeg": "JPEG"', '".jpeg": "PNG"'),
        ("samples.dtype != np.uint8 or alpha is not None", "samples.dtype != np.uint8"),
    ),
]  # fmt: skip
