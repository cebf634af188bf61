"""Wrong changes to the command line: options handed on, what is printed, exit codes."""

from mutation.trial import mutations_of

_HOME = "camfuse_jax/commands"
_CAMERA, _SHARED = "tests/faults/test_camera_files.py", "tests/faults/test_shared_folders.py"
_VIDEO, _LOOK = "tests/end_to_end/test_camfuse_video.py", "tests/end_to_end/test_look.py"
_SERVE = "tests/unit/serve/test_command.py"
_DOCTOR, _EVALUATE = "tests/unit/test_doctor.py", "tests/unit/metrics/test_evaluate.py"

MUTATIONS = [
    *mutations_of(
        "camfuse_jax/cli.py",
        (f"{_CAMERA}::test_files_that_are_no_images", f"{_SHARED}::test_a_wrong_command_and_the_value_of_an_option"),
        (
            "Limits(int(max_megapixels * 1e6), int(max_megabytes * 1e6))",
            "Limits(int(max_megabytes * 1e6), int(max_megapixels * 1e6))",
        ),
        ("Limits(int(max_megapixels * 1e6),", "Limits(int(max_megapixels * 1e9),"),
        ('near = "fuse " + " ".join(arguments) if is_image', 'near = "fuse" if is_image'),
    ),
    *mutations_of(
        "camfuse_jax/errors.py",
        (f"{_CAMERA}::test_files_that_are_no_images", f"{_CAMERA}::test_a_place_that_cannot_be_written_stops_with_5"),
        (
            'split file that cannot be used."""\n\n    exit_code = 3',
            'split file that cannot be used."""\n\n    exit_code = 1',
        ),
        ("exit_code = 4", "exit_code = 3"),
        ("exit_code = 5", "exit_code = 3"),
        ("exit_code = 2", "exit_code = 3"),
    ),
    *mutations_of(
        "camfuse_jax/system/program.py",
        ("tests/unit/system/test_signals.py",),
        (
            "return Outcome(stop.exit_code if isinstance(stop, Stop) else 130, False)",
            "return Outcome(130, False)",
        ),
        ("if isinstance(stop, Stop) else 130", "if isinstance(stop, program.Stop) else 1"),
    ),
    *mutations_of(
        "camfuse_jax/system/program.py",
        (
            f"{_SHARED}::test_output_that_nobody_reads_ends_the_command_as_shells_have_it",
            f"{_SHARED}::test_output_that_cannot_be_written_is_one_line",
        ),
        ("return Outcome(141, False)", "return Outcome(0, False)"),
        ("                sys.stdout.flush()  # a full", "                pass  # a full"),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (_SHARED,),
        ("(kinds.pop() if len(kinds) == 1 else InputError)", "SomeFailedError"),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        ("tests/end_to_end/test_camfuse_shards.py::test_parts_are_everything_and_share_nothing",),
        ("if shard is not None and shard.number > 1 and", "if shard is not None and shard.number >= 1 and"),
        (
            "fuse_files(FuseJob(pairing.pairs, self.out, self.settings, options, shard))",
            "fuse_files(FuseJob(pairing.pairs, self.out, self.settings, options))",
        ),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (f"{_VIDEO}::test_nothing_is_replaced_and_sources_least_of_all", f"{_VIDEO}::test_frames_are_matched_by_time"),
        (
            "self.out.suffix.lower() in _VIDEO_ENDINGS or any(map(is_moving, sources))",
            "self.out.suffix.lower() in _VIDEO_ENDINGS",
        ),
        (
            "VideoJob(self.ir, self.vis, out, self.settings, self.video)",
            "VideoJob(self.ir, self.vis, out, self.settings)",
        ),
        (
            "VideoJob(self.ir, self.vis, out, self.settings, self.video)",
            "VideoJob(self.vis, self.ir, out, self.settings, self.video)",
        ),
        ("- (result.first or 0) + 1 / (result.vis_rate or 25)", "- (result.first or 0)"),
        ("{1000 * result.tolerance:.1f} ms apart", "{result.tolerance:.1f} ms apart"),
        (
            '(result.alone, "no infrared frame near enough"), (result.dropped,',
            '(result.dropped, "no infrared frame near enough"), (result.alone,',
        ),
    ),
    *mutations_of(
        "camfuse_jax/pair/options.py",
        (
            f"{_LOOK}::test_the_command",
            "tests/unit/fusion/test_balance.py::test_settings_give_each_gain_and_the_rule_to_the_weights",
            f"{_CAMERA}::test_files_that_are_no_images",
            f"{_CAMERA}::test_what_the_visible_file_says_goes_with_the_result",
            f"{_CAMERA}::test_the_memory_that_is_asked_for_is_handed_on_in_bytes",
        ),
        ("int(self.max_memory * 2**30)", "int(self.max_memory * 2**20)"),
        ("with_rule(load_params(self.weights), self.rule)", "with_rule(load_params(self.weights), None)"),
        ("ir_gain=self.ir_gain, vis_gain=self.vis_gain)", "ir_gain=self.vis_gain, vis_gain=self.ir_gain)"),
        ('{"png": ".png", "tiff": ".tif", "jpeg": ".jpg"}', '{"png": ".png", "tiff": ".png", "jpeg": ".jpg"}'),
    ),
    *mutations_of(
        "camfuse_jax/pair/options.py",
        ("tests/unit/video/test_files.py",),
        ("not 0 < value < 1e6:", "not value < 1e6:"),
        ('".mp4", ".m4v", ".mov",', '".mp4",'),
        ('"rtsp://", "rtsps://",', ""),
        ("if not abs(self.offset) < 1e6:", "if not self.offset < 1e6:"),
    ),
    *mutations_of(
        f"{_HOME}/doctor.py",
        (f"{_DOCTOR}::test_what_is_chosen_is_looked_at",),
        ("limit=self.limit)", "limit=50)"),
        ("pattern=self.pattern)", "pattern=None)"),
        ("examine_machine(self.weights)", 'examine_machine("fast")'),
        ("return read_table(self.csv)", "return find_pairing(self.csv.parent)"),
        ('*report.get("images", {}).get("problems", [])]', "]"),
        ('lines += [f"note: {note}" for note in images["notes"]]', "pass"),
    ),
    *mutations_of(
        f"{_HOME}/evaluate.py",
        (f"{_EVALUATE}::test_what_is_chosen_is_handed_on",),
        ("pattern=self.pattern or None, **definitions", "**definitions"),
        ('"protocol": self.protocol}', '"protocol": "paper"}'),
        ('"metrics": self.metrics,', '"metrics": "paper",'),
        ('"weights": self.weights,', '"weights": None,'),
        ("results = (*self.results, *self.fused)", "results = self.results"),
        ('out=self.out or Path("eval")', 'out=Path("eval")'),
        ("others=self.fused, **definitions", "**definitions"),
        ('self.dataset or "tno", data=self.data, download', 'self.dataset or "tno", download'),
    ),
    *mutations_of(
        f"{_HOME}/export.py",
        ("tests/unit/export/test_export.py::test_what_is_written_is_checked_first",),
        ("to=self.to, out", 'to="onnx", out'),
        ("weights=self.weights, to", 'weights="fast", to'),
    ),
    *mutations_of(
        f"{_HOME}/serve.py",
        (_SERVE,),
        ("with_rule(load_params(self.weights), self.rule)", "load_params(self.weights)"),
        ("Bounds(limits, most, self.queue)", "Bounds(limits, most)"),
        ("Limits(int(self.max_megapixels * 1e6), most)", "Limits(25_000_000, most)"),
        ("most = int(self.max_megabytes * 1e6)", "most = int(self.max_megabytes * 2**10)"),
        ('FrameSettings(fit="vis")', "FrameSettings()"),
        ("weights=self.weights,\n                bounds", 'weights="fast",\n                bounds'),
        ("host=self.host,", 'host="localhost",'),
        ("raise StoppedError(stop.exit_code - 128,", "raise StoppedError(stop.exit_code,"),
        ('if exposed:\n            print("warning', 'if not exposed:\n            print("warning'),
        ("port: int = 8350", "port: int = 8000"),
        ('host: str = "127.0.0.1"', 'host: str = "0.0.0.0"'),
    ),
]
