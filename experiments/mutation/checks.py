"""Wrong changes to what looks at pairs: preparation, alignment, calibration, doctor, scores of own results."""

from mutation.trial import mutations_of

_PAIR, _UNIT = "camfuse_jax/pair", "tests/unit/pair"
_FRAME, _ALIGN, _CALIBRATE = f"{_UNIT}/test_frame.py", f"{_UNIT}/test_align.py", f"{_UNIT}/test_calibrate.py"
_VALIDITY = f"{_UNIT}/test_validity.py"
_DOCTOR, _EVALUATE = "tests/unit/test_doctor.py", "tests/unit/metrics/test_evaluate.py"

MUTATIONS = [
    *mutations_of(
        f"{_PAIR}/prepare.py",
        (_FRAME, f"{_UNIT}/test_thresholds.py"),
        (
            'metadata = ir.metadata if settings.fit == "ir" and ir.size != vis.size else vis.metadata',
            "metadata = vis.metadata",
        ),
        (
            'metadata = ir.metadata if settings.fit == "ir" and ir.size != vis.size else vis.metadata',
            "metadata = ir.metadata",
        ),
        ("unit_samples(vis, settings.vis_range)", "unit_samples(vis, settings.ir_range)"),
        ("FLIP, WARN = -2.0, -1.0", "FLIP, WARN = -1.0, -1.0"),
        ("_ASPECT = 1.02", "_ASPECT = 2.02"),
        ("elif settings.check:", "elif True:"),
        (
            "aspect = (ir_size[1] / ir_size[0]) / (size[1] / size[0])",
            "aspect = (ir_size[1] / ir_size[0]) * (size[1] / size[0])",
        ),
        ('and settings.fit == "error" and settings.calibration is None:', 'and settings.fit == "error":'),
        ('if settings.fit == "vis":\n            pair.ir_unit', 'if settings.fit == "ir":\n            pair.ir_unit'),
        ('int(settings.bits) if settings.bits != "auto" else', ""),
        ('["ir: its alpha is left out"] if ir.alpha is not None else []', "[]"),
        ('(("ir", ir, settings.ir_range), ("vis", vis, settings.vis_range))', '(("ir", ir, settings.ir_range),)'),
    ),
    *mutations_of(
        f"{_PAIR}/prepare.py",
        (_VALIDITY,),
        (
            "PreparedPair(ir_unit, vis_unit, ir.valid, vis.valid,",
            "PreparedPair(ir_unit, vis_unit, vis.valid, ir.valid,",
        ),
    ),
    *mutations_of(
        f"{_PAIR}/options.py",
        (_FRAME,),
        ("check: bool = True", "check: bool = False"),
        ('if self.fit == "ir" and self.moves:', 'if self.fit == "vis" and self.moves:'),
        ('default_factory=lambda: RangePolicy("full")', "default_factory=RangePolicy"),
    ),
    *mutations_of(
        f"{_PAIR}/register.py",
        (_ALIGN, f"{_UNIT}/test_thresholds.py"),
        ("begin[:2, 2] = -shift.cols, -shift.rows", "begin[:2, 2] = shift.cols, shift.rows"),
        ("MIN_CONFIDENCE = 5.0", "MIN_CONFIDENCE = 0.0"),
        (
            "return Shift((row - half[0]) * scale, (col - half[1]) * scale",
            "return Shift((col - half[1]) * scale, (row - half[0]) * scale",
        ),
        ("_FARTHEST = 0.25", "_FARTHEST = 25.0"),
        (
            "other if one is None else one if other is None else one & other",
            "other if one is None else one if other is None else one | other",
        ),
        ("> 0.999\n\n\ndef warp_mask", "> 0.001\n\n\ndef warp_mask"),
        (
            '{"translation": [], "ecc": [cv2.MOTION_AFFINE]}',
            '{"translation": [cv2.MOTION_AFFINE], "ecc": [cv2.MOTION_AFFINE]}',
        ),
        ('{"translation": [], "ecc": [cv2.MOTION_AFFINE]}', '{"translation": [], "ecc": []}'),
        ("Alignment(best, left.score, farthest)", "Alignment(best, left.score, 0.0)"),
    ),
    *mutations_of(
        f"{_PAIR}/fuse.py",
        (_FRAME, _VALIDITY),
        ("ir_valid | vis_valid, ir_valid & ~vis_valid", "ir_valid | vis_valid, vis_valid & ~ir_valid"),
        ("(65535, np.uint16)", "(65280, np.uint16)"),
        (
            "np.rint(np.clip(band.astype(np.float64), 0, 1) * top)",
            "np.floor(np.clip(band.astype(np.float64), 0, 1) * top)",
        ),
        ("if only_ir is not None:  # its", "if False:  # its"),
    ),
    *mutations_of(
        f"{_PAIR}/fuse.py",
        ("tests/end_to_end/test_look.py::test_the_command",),
        ("with_look(params, 0.0) if colored", "with_look(params, 1.0) if colored"),
    ),
    *mutations_of(
        f"{_PAIR}/calibrate.py",
        (_CALIBRATE, _ALIGN),
        ("return matrix / matrix[2, 2] if matrix[2, 2] else matrix", "return matrix"),
        ("orders += [np.rot90(grid[:, ::-1], turn)", "orders = [np.rot90(grid[:, ::-1], turn)"),
        (
            'Board(kind or "chess", int(cols) if cols.isdecimal() else 0, int(rows) if rows.isdecimal() else 0)',
            'Board(kind or "chess", int(rows) if rows.isdecimal() else 0, int(cols) if cols.isdecimal() else 0)',
        ),
        ("np.sqrt(np.mean(self.errors[self.used] ** 2))", "np.mean(self.errors[self.used])"),
        (
            '"largest_used": round(float(self.errors[self.used].max()), 3)',
            '"largest_used": round(float(self.errors.max()), 3)',
        ),
        ('value.get("homography") if', 'value.get("matrix") if'),
        ("abs(np.linalg.det(matrix)) < 1e-12", "False"),
    ),
    *mutations_of(
        "camfuse_jax/commands/calibrate.py",
        (_CALIBRATE, "tests/end_to_end/test_camfuse_calibrate.py"),
        ("_POOR = 2.0", "_POOR = 200.0"),
        ('"infrared" if ir is None else "visible"', '"visible" if ir is None else "infrared"'),
        ("same_order(ir, vis, board), vis)", "ir, vis)"),
        ("same_order(ir, vis, board), vis)", "vis, same_order(ir, vis, board))"),
        ("{len(measured.errors)} points lie too far", "{left_out} points lie too far"),
        ("find_pairing(self.ir, self.vis, pattern=self.pattern)", "find_pairing(self.ir, self.vis)"),
        ("exclusive=not self.force)", "exclusive=self.force)"),
    ),
    *mutations_of(
        "camfuse_jax/pair/swapped.py",
        ("tests/unit/pair/test_swapped.py",),
        ("-_MOST_ODDS, _MOST_ODDS)", "-99, 99)"),
        (
            "_MOST_ODDS, _MOST_PAIRS, _SURE, _LIKELY = 3.0, 8, 6.0, 2.5",
            "_MOST_ODDS, _MOST_PAIRS, _SURE, _LIKELY = 3.0, 800, 6.0, 2.5",
        ),
        (
            "_MOST_ODDS, _MOST_PAIRS, _SURE, _LIKELY = 3.0, 8, 6.0, 2.5",
            "_MOST_ODDS, _MOST_PAIRS, _SURE, _LIKELY = 3.0, 8, 16.0, 2.5",
        ),
        (
            "_MOST_ODDS, _MOST_PAIRS, _SURE, _LIKELY = 3.0, 8, 6.0, 2.5",
            "_MOST_ODDS, _MOST_PAIRS, _SURE, _LIKELY = 3.0, 8, 6.0, 1.0",
        ),
        ("_many_colors(ir) - _many_colors(vis)", "_many_colors(vis) - _many_colors(ir)"),
        (
            "(vis.samples.dtype == np.float32) - (ir.samples.dtype == np.float32)",
            "(ir.samples.dtype == np.float32) - (vis.samples.dtype == np.float32)",
        ),
        ("Swap(0, float(vis - ir))", "Swap(0, float(ir - vis))"),
        ("fill_nearest(image, valid)", "image"),
        ("np.maximum(signed, 0.0)", "signed"),
        ("within > 0.3 * np.std(tint)", "within > 3 * np.std(tint)"),
        ("x[:third].mean() - x[-third:].mean()", "x[-third:].mean() - x[:third].mean()"),
        ("_moments(band) for band in bands", "_moments(band) for band in bands[::-1]"),
        ("if sum(certain) > 0 else", "if sum(certain) >= 0 else"),
    ),
    *mutations_of(
        "camfuse_jax/batch/inspect.py",
        (_DOCTOR,),
        ('wrong = "misregistered" in note or', "wrong ="),
        (
            "if guess_polarity(ready.ir_unit, ready.luma).strong:",
            "if not guess_polarity(ready.ir_unit, ready.luma).strong:",
        ),
        ("min(limit, len(whole))", "len(whole)"),
        ('[f"not paired: {problem}" for problem in pairing.problems]', "[]"),
        (
            "report.swaps.append(swap_evidence(certain_swap(ir, vis), ready))",
            "report.swaps.append(swap_evidence(certain_swap(vis, ir), ready))",
        ),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_patterns_name_pairs_and_results",),
        ("pair.vis.stem, pair.ir.stem)\n", "pair.vis.stem)\n"),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_ours_is_scored_where_weights_are_given_or_nothing_else_is",),
        (
            "np.asarray(fuse_arrays(params, ir, vis, buckets=buckets))",
            "np.asarray(fuse_arrays(params, vis, ir, buckets=buckets))",
        ),
        ("load_params(weights or NAMED[0])", "load_params(NAMED[0])"),
        ("if weights is not None or not folders:", "if weights is not None:"),
        ("first = next(iter(methods))", "first = list(methods)[-1]"),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_weights_that_are_given_come_before_those_of_the_workdir",),
        (
            "if weights is not None:\n        return weights",
            "if weights is not None and not workdir.trained.is_file():\n        return weights",
        ),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_networks_are_judged_by_what_they_give_back_and_by_the_class_they_name",),
        (
            "int(difference[Modality.IR] > difference[Modality.VIS])",
            "int(difference[Modality.IR] < difference[Modality.VIS])",
        ),
        ("(restored[0, ..., 0] + 1) * 127.5", "(restored[0, ..., 0] + 1) * 100"),
        ("{correct} of {2 * len(pairs)} test", "{correct} of {len(pairs)} test"),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_wrong_calls_say_what_to_do",),
        ("if name in folders:", "if name in ():"),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_a_folder_without_splits_is_scored_whole_and_the_message_names_the_split",),
        ("with_rule(load_params(chosen), rule, settings)", "with_rule(load_params(chosen), None, settings)"),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_a_protocol_that_is_asked_for_is_used",),
        ('protocol=definitions["protocol"])', 'protocol="paper")'),
    ),
    *mutations_of(
        "camfuse_jax/metrics/evaluate.py",
        (f"{_EVALUATE}::test_files_of_no_pair_are_left_out_by_name",),
        ("extra = sorted(extra)", "extra = sorted(extra)[1:]"),
    ),
    *mutations_of(
        f"{_PAIR}/prepare.py",
        (_FRAME,),
        (
            '_moved(shift.cols, "right", "left"), _moved(shift.rows, "down", "up")',
            '_moved(shift.rows, "right", "left"), _moved(shift.cols, "down", "up")',
        ),
        ("ahead if pixels >= 0 else back", "ahead if pixels < 0 else back"),
    ),
]
