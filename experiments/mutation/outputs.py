"""Wrong changes to what becomes of a folder: planning, provenance, locks, writing, weights, export."""

from mutation.trial import mutations_of

_BATCH, _SYSTEM = "camfuse_jax/batch", "camfuse_jax/system"
_SHARED, _CAMERA = "tests/faults/test_shared_folders.py", "tests/faults/test_camera_files.py"
_LOOK, _FILES = "tests/end_to_end/test_look.py", "tests/unit/system/test_files.py"
_EXPORT, _PARAMS, _BALANCE = (
    "tests/unit/export/test_export.py",
    "tests/unit/fusion/test_params.py",
    "tests/unit/fusion/test_balance.py",
)

MUTATIONS = [
    *mutations_of(
        f"{_BATCH}/plan.py",
        (
            f"{_SHARED}::test_results_of_other_settings_are_not_taken_for_these",
            f"{_SHARED}::test_results_of_another_version_are_made_anew_and_those_of_copied_weights_are_not",
        ),
        ("self.made_by.encode() + b''.join(digests)", "b''.join(digests)"),
        ('kept |= {} if settings.look is None else {"look": settings.look_number}', "pass"),
        ('kept |= {} if settings.rule is None else {"rule": settings.rule}', "pass"),
        ('"ir_gain": settings.ir_gain, "vis_gain": settings.vis_gain', '"ir_gain": settings.ir_gain'),
        ('"ir_gain": settings.ir_gain, "vis_gain": settings.vis_gain', '"vis_gain": settings.vis_gain'),
        (
            '{"weights": _weights_hash(settings.weights), "version": package_version()}',
            '{"version": package_version()}',
        ),
        (
            '{"weights": _weights_hash(settings.weights), "version": package_version()}',
            '{"weights": _weights_hash(settings.weights)}',
        ),
        ("hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else weights", "weights"),
        ("dataclasses.asdict(settings.frame) | ", ""),
    ),
    *mutations_of(
        f"{_BATCH}/plan.py",
        (f"{_SHARED}::test_what_is_asked_for_later_is_added",),
        (
            'return "skipped" if len(there) == len(result.outputs) else "planned"',
            'return "skipped" if there else "planned"',
        ),
    ),
    *mutations_of(
        f"{_BATCH}/run.py",
        (
            f"{_SHARED}::test_a_file_written_while_the_run_was_going_on_is_not_replaced",
            f"{_SHARED}::test_memory_and_vanished_files_are_errors_of_their_pair",
            f"{_CAMERA}::test_files_that_are_no_images",
        ),
        ("            path.unlink(missing_ok=True)\n        raise", "            pass\n        raise"),
        ("_OF_ONE_PAIR = (InputError, UsageError, OutOfMemoryError)", "_OF_ONE_PAIR = (InputError, UsageError)"),
        ("read_picture(path, job.settings.limits)\n    return", "read_picture(path)\n    return"),
    ),
    *mutations_of(
        f"{_BATCH}/run.py",
        (f"{_LOOK}::test_the_command",),
        (
            'prepare_pair(pictures["ir"], pictures["vis"], job.settings.frame)',
            'prepare_pair(pictures["vis"], pictures["ir"], job.settings.frame)',
        ),
        ("gray=job.settings.frame.gray,\n", "gray=False,\n"),
        ("colored=ready.colored and not job.settings.frame.gray)", "colored=ready.colored)"),
        ("if job.settings.look is None:\n", "if True:\n"),
    ),
    *mutations_of(
        f"{_BATCH}/run.py",
        (
            f"{_CAMERA}::test_what_the_visible_file_says_goes_with_the_result",
            f"{_CAMERA}::test_the_memory_that_is_asked_for_is_handed_on_in_bytes",
        ),
        ("alpha=alpha, icc=ready.icc, metadata=ready.metadata", "alpha=alpha, icc=ready.icc"),
        ("alpha=alpha, icc=ready.icc, metadata=ready.metadata", "alpha=alpha, metadata=ready.metadata"),
        ("alpha=alpha, icc=ready.icc, metadata=ready.metadata", "icc=ready.icc, metadata=ready.metadata"),
        ('!= "TIFF":\n        result.notes', '== "TIFF":\n        result.notes'),
        ("max_memory=job.options.memory,", "max_memory=None,"),
    ),
    *mutations_of(
        f"{_BATCH}/run.py",
        (
            f"{_SHARED}::test_each_piece_of_a_preview_is_what_its_label_says",
            f"{_SHARED}::test_what_is_asked_for_later_is_added",
        ),
        ("ir_gain=ir_gain, vis_gain=vis_gain))))", "ir_gain=vis_gain, vis_gain=ir_gain))))"),
        (
            '("ir", ready.ir_unit, explanation.ir_cam), ("vis", ready.luma, explanation.vis_cam)',
            '("ir", ready.ir_unit, explanation.vis_cam), ("vis", ready.luma, explanation.ir_cam)',
        ),
        (
            'tiles = [("ir", ready.ir_unit), ("vis", ready.vis_unit)]',
            'tiles = [("ir", ready.vis_unit), ("vis", ready.ir_unit)]',
        ),
    ),
    *mutations_of(
        f"{_SYSTEM}/files.py",
        (_FILES, f"{_SHARED}::test_the_next_run_removes_what_dead_ones_left", "tests/unit/system/test_checksum.py"),
        ("            os.fsync(file.fileno())\n        publish", "        publish"),
        ("partial.unlink(missing_ok=True)", "pass"),
        ("_OLD_SECONDS = 24 * 3600.0", "_OLD_SECONDS = 24 * 3.6e9"),
        ("_OLD_SECONDS = 24 * 3600.0", "_OLD_SECONDS = -1.0"),
        ("if machine == _machine() and", "if"),
        ("except ProcessLookupError:\n            return True", "except ProcessLookupError:\n            return False"),
        ("path.parent.mkdir(parents=True, exist_ok=True)", "path.parent.mkdir(exist_ok=True)"),
    ),
    *mutations_of(
        f"{_SYSTEM}/files.py",
        ("tests/unit/system/test_locks.py",),
        (" or facts.st_nlink > 1", ""),
        ('getattr(os, "O_NOFOLLOW", 0)', "0"),
        ("        if not shared:\n            # Only", "        if shared:\n            # Only"),
    ),
    *mutations_of(
        "camfuse_jax/fusion/params.py",
        (_BALANCE, _PARAMS),
        (
            "return ir_gain / (ir_gain + vis_gain), vis_gain / (ir_gain + vis_gain)",
            "return vis_gain / (ir_gain + vis_gain), ir_gain / (ir_gain + vis_gain)",
        ),
        ("if not known:", "if known:"),
        (
            "gains[jnp.asarray([Modality.IR, Modality.VIS]), None]",
            "gains[jnp.asarray([Modality.VIS, Modality.IR]), None]",
        ),
        ("if difference:\n", "if False:\n"),
    ),
    *mutations_of(
        "camfuse_jax/export/check.py",
        (f"{_EXPORT}::test_stablehlo_is_fuse",),
        ("return fuse_unit(params, ir, vis)", "return fuse_unit(params, vis, ir)"),
    ),
    *mutations_of(
        "camfuse_jax/export/check.py",
        (f"{_EXPORT}::test_stablehlo_is_for_every_kind_of_processor",),
        ('PLATFORMS = ("cpu", "cuda", "tpu")', 'PLATFORMS = ("cpu",)'),
    ),
    *mutations_of(
        "camfuse_jax/export/check.py",
        (f"{_EXPORT}::test_what_is_written_is_checked_first",),
        ("worst = check(to, content, params)", "worst = 0.0"),
        ("temporary.write_bytes(content)", "out.write_bytes(content)"),
        ("params = load_params(weights)\n", "params = load_params()\n"),
    ),
    *mutations_of(
        "camfuse_jax/export/onnx.py",
        (f"{_EXPORT}::test_every_rule_that_is_decoded_and_the_balance_are_those_of_fuse",),
        ("ir_weights, vis_weights = weights", "vis_weights, ir_weights = weights"),
        ("weights / weights.sum(axis=0) * params.fusion.gain", "weights / weights.sum(axis=0)"),
        ("1 + (margin if i == 1 else 0)", "1 + margin"),
    ),
    *mutations_of(
        "camfuse_jax/export/onnx_spatial.py",
        (f"{_EXPORT}::test_onnx_model_says_what_it_takes",),
        ("_IR_VERSION = 8", "_IR_VERSION = 10"),
    ),
    *mutations_of(
        "camfuse_jax/export/runtimes.py",
        ("tests/unit/export/test_backends.py",),
        ("fused = np.clip(np.rint(fused * top), 0, top)", "fused = np.clip(fused * top, 0, top)"),
        ("if refused:\n", "if False:\n"),
    ),
    *mutations_of(
        "camfuse_jax/fusion/params.py",
        ("tests/unit/fusion/test_shipped.py::test_fast_is_the_default",),
        (
            'load_params(name_or_path: str | pathlib.Path = "fast")',
            'load_params(name_or_path: str | pathlib.Path = "tno")',
        ),
    ),
]
