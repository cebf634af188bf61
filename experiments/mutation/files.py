"""Wrong changes to the readers of formats: TIFF, PNG, radiometric data, tables of temperatures, metadata."""

from mutation.trial import mutations_of

_HOME, _UNIT = "camfuse_jax/images", "tests/unit/images"
_TIFF, _THERMAL, _METADATA = f"{_UNIT}/test_tiff.py", f"{_UNIT}/test_thermal.py", f"{_UNIT}/test_metadata.py"
_PICTURE, _GRAY, _FORMATS = f"{_UNIT}/test_picture.py", f"{_UNIT}/test_gray.py", f"{_UNIT}/test_formats.py"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/decode.py",
        (_TIFF, _PICTURE, _GRAY),
        (
            "np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)",
            "np.asarray(low).astype(np.uint16) << 8 | np.asarray(high)",
        ),
        ("int(kind) in (1, 2) for kind", "int(kind) in (0, 1, 2) for kind"),
        ("int(kind) in (1, 2) for kind", "int(kind) in (1,) for kind"),
        ("samples=2**bits - 1 - found.samples", "samples=2**bits - found.samples"),
        ("samples if signed else samples.view(np.uint32)", "samples"),
        ("samples.astype(np.int16) if bits == 16 else", "samples.astype(np.uint16) if bits == 16 else"),
        ("four[..., 0::2] << 8 | four[..., 1::2]", "four[..., 1::2] << 8 | four[..., 0::2]"),
        ("header[24] == 16 and header[25] in (2, 4, 6)", "header[24] == 16 and header[25] in (2, 6)"),
        ('image.convert("LA" if mode in ("1", "L") else "RGBA")', 'image.convert("RGB")'),
        (
            "args[0]), *args[1:])) for t in image.tile if (args := t.args)]",
            "args[0]), *args[1:])) for t in image.tile[:0] if (args := t.args)]",
        ),
    ),
    *mutations_of(
        f"{_HOME}/decode.py",
        (_METADATA,),
        ("KEPT_TAGS = (271, 272, 306, 315, 33432)", "KEPT_TAGS = (271, 272, 315, 33432)"),
        ("KEPT_TAGS = (271, 272, 306, 315, 33432)", "KEPT_TAGS = (271, 272, 306)"),
        ("33922, 34264, 34735", "33922, 34735"),
        ('if image.mode != "CMYK" else None', "if True else None"),
        ("icc=found.icc or icc", "icc=found.icc"),
        ("0 < len(content) < 65_000", "0 < len(content) < 100"),
        ("int(tag.dtype), tag.count, tag.value", "int(tag.dtype), 1, tag.value"),
    ),
    *mutations_of(
        f"{_HOME}/decode.py",
        (_THERMAL,),
        ("flyr.unpack(io.BytesIO(data)).celsius", "flyr.unpack(io.BytesIO(data)).kelvin"),
        (
            '"FLIR": ("flyr", "radiometric"), "DJI": ("dji_thermal_cli", "radiometric-dji")',
            '"FLIR": ("flyr", "radiometric-dji"), "DJI": ("dji_thermal_cli", "radiometric")',
        ),
    ),
    *mutations_of(
        f"{_HOME}/decode.py",
        (f"{_UNIT}/test_scene_mask.py",),
        ("_ICC, _NODATA = 34675, 42113", "_ICC, _NODATA = 34675, 42112"),
        ("extremes=(float(ends.min), float(ends.max)) if ends else ()", "extremes=()"),
    ),
    *mutations_of(
        f"{_HOME}/read.py",
        (_PICTURE, _GRAY, _METADATA, "tests/unit/data/test_layouts.py"),
        ("if orientation in (5, 6, 7, 8) else (rows, cols)", "if orientation in (6, 8) else (rows, cols)"),
        ("sorted(TABLE_SUFFIXES, reverse=True)", "sorted(TABLE_SUFFIXES)"),
    ),
    *mutations_of(
        f"{_HOME}/read.py",
        (_THERMAL, _FORMATS),
        ("if decode.is_readable(header.radiometric):\n        with", "if False:\n        with"),
        ("or decode.is_readable(header.radiometric):\n        return read_picture", ":\n        return read_picture"),
        ('("samples", "alpha") if key in arrays', '("samples",) if key in arrays'),
        ('("icc", "exif") if key in arrays', '("exif",) if key in arrays'),
        ("Limits(*caps)", "Limits()"),
        ("(*found.notes, _several(frames))) if frames > 1", "found.notes) if frames > 1"),
        ("notes = (decode.unread_note(header.radiometric),)", "notes = ()"),
        (
            'READABLE_SUFFIXES = frozenset(\n    {".png", ".jpg", ".jpeg"',
            'READABLE_SUFFIXES = frozenset(\n    {".png", ".jpg"',
        ),
    ),
    *mutations_of(
        f"{_HOME}/picture.py",
        (_PICTURE,),
        ("if orientation in (2, 3, 6, 7):", "if orientation in (2, 3, 7, 8):"),
        ("if 0 < highest < 2**bits:", "if 0 < highest <= 2**bits:"),
        ("return bits, 65536 - step,", "return bits, 65535,"),
        ("if highest and not np.any(samples % 257):", "if highest and not np.any(samples % 256):"),
    ),
    *mutations_of(
        f"{_HOME}/picture.py",
        (_GRAY,),
        ("0.299 * red + 0.587 * green + 0.114 * blue", "0.299 * blue + 0.587 * green + 0.114 * red"),
        ("else levels / 257)", "else levels / 256)"),
    ),
    *mutations_of(
        f"{_HOME}/bounds.py",
        (f"{_UNIT}/test_bounds.py", _FORMATS, _TIFF),
        ("if width * height > limits.max_pixels:", "if width > limits.max_pixels:"),
        ("if promised > most * held + 65536:", "if promised > 1000 * most * held + 65536:"),
    ),
    *mutations_of(
        f"{_HOME}/write.py",
        (_METADATA, _PICTURE),
        (
            '(b"iCCP", b"ICC profile\\0\\0" + zlib.compress(icc))] if icc else []',
            '(b"iCCP", b"ICC profile\\0\\0" + zlib.compress(icc))] if False else []',
        ),
        ("for code in (EXIF_POINTER, GPS_POINTER) if code in exif}", "for code in (GPS_POINTER,) if code in exif}"),
        (
            "(tag.code, tag.kind, tag.count, tag.value, True) for tag in metadata.geo]",
            "(tag.code, tag.kind, tag.count, tag.value, True) for tag in ()]",
        ),
        (
            'extrasamples=["unassalpha"] if channels in (2, 4) else None',
            'extrasamples=["unassalpha"] if channels == 4 else None',
        ),
        ("entries.sort(key=lambda entry:", "entries.sort(key=lambda entry: -"),
    ),
    *mutations_of(
        f"{_HOME}/tables.py",
        (_THERMAL,),
        ('mark for mark in ";\\t," if', 'mark for mark in ",;\\t" if'),
        ("table = table[:, :-1] if ends_empty else table", "pass"),
        ("lines[first : last + 1], numbers", "lines[first:], numbers"),
    ),
    *mutations_of(
        f"{_HOME}/directories.py",
        (_TIFF,),
        ('self.order, big = "<" if data[:2] == b"II" else ">"', 'self.order, big = "<"'),
    ),
    *mutations_of(
        f"{_HOME}/read.py",
        (_METADATA, _PICTURE),
        ("geo_tags(content) if header.tags else ()", "()"),
        ("(*decoded.notes, *unread, *notes, *more)", "(*decoded.notes, *unread, *notes)"),
    ),
    *mutations_of(
        f"{_HOME}/decode.py",
        (_THERMAL,),
        (
            "if found.alpha is not None:\n        found = found._replace(alpha=None, notes=(*found.notes",
            "if False:\n        found = found._replace(alpha=None, notes=(*found.notes",
        ),
    ),
]
