"""Wrong changes to videos: reading, matching, fusing and writing files and live sources."""

from mutation.trial import mutations_of

_HOME, _UNIT = "camfuse_jax/video", "tests/unit/video"
_FILES, _LIVE, _CALIBRATION = f"{_UNIT}/test_files.py", f"{_UNIT}/test_live.py", f"{_UNIT}/test_calibration.py"
_COMMAND = "tests/end_to_end/test_camfuse_video.py"
_TWO_VIDEOS = f"{_COMMAND}::test_two_videos_become_one_with_sound"
_REFUSED = f"{_COMMAND}::test_nothing_is_replaced_and_sources_least_of_all"
_MATCHED = f"{_COMMAND}::test_frames_are_matched_by_time"
_SOUND = f"{_COMMAND}::test_sound_stays_in_step_where_the_beginning_is_cut"
_RATES = f"{_COMMAND}::test_two_sequences_of_other_rates_with_constant_ranges"
_STATIC = f"{_COMMAND}::test_a_static_scene_does_not_flicker"
_SECONDS = f"{_COMMAND}::test_a_live_source_ends_after_some_seconds"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/frames.py",
        (f"{_UNIT}/test_matching.py", _FILES),
        ("np.swapaxes(samples, 0, 1), c, b", "np.swapaxes(samples, 0, 1), b, c"),
        ("across, down = a, d", "across, down = d, a"),
        ("abs(b) + abs(c) > abs(a) + abs(d)", "abs(b) + abs(c) < abs(a) + abs(d)"),
        ("-1 if down < 0 else 1, :: -1 if across < 0 else 1", "-1 if across < 0 else 1, :: -1 if down < 0 else 1"),
        ("components[0].bits > 8", "components[0].bits > 16"),
        ("max(min(ir_rate, vis_rate), 1e-3)", "max(max(ir_rate, vis_rate), 1e-3)"),
        ("frames: float = 0.5", "frames: float = 1.0"),
        ("wanted = frame.time - self._offset", "wanted = frame.time + self._offset"),
        ("yield near, frame", "yield after or near, frame"),
        ("self.alone += 1", "self.alone += 0"),
        (
            "elif after is None:\n                self.ir_ended = True",
            "elif after is None:\n                self.ir_ended = False",
        ),
        ('return f"file:{path}"', "return str(path)"),
    ),
    *mutations_of(
        f"{_HOME}/reader.py",
        (_FILES, _LIVE),
        ("else decoded.time - self.origin", "else decoded.time"),
        ("if last.time >= time - 1e-6:", "if last.time >= time - 1:"),
        ('if "matroska" in container.format.name else 0', 'if "mp4" in container.format.name else 0'),
        (
            "return sorted(float(stamp * stream.time_base) - self.origin for stamp in stamps)",
            "return sorted(float(stamp * stream.time_base) for stamp in stamps)",
        ),
        (
            "return sorted(float(stamp * stream.time_base) - self.origin for stamp in stamps)",
            "return [float(stamp * stream.time_base) - self.origin for stamp in stamps]",
        ),
        ("rate, audio = stream.average_rate or stream.guessed_rate or 25,", "rate, audio = 25,"),
        ("if width * height > max_pixels or not width * height:", "if not width * height:"),
        ("missing > 2.5 / self.facts.rate", "missing > 2.5 * self.facts.rate"),
        ("if decoded.is_corrupt or (decoded.height, decoded.width) != self._coded_size:", "if decoded.is_corrupt:"),
        (", key=_by_number)", ")"),
        ("self._count / rate, self._picture", "self._count * rate, self._picture"),
        ("picture.samples, picture.valid)", "picture.samples)"),
        ("if len(pages) > 1:", "if len(pages) > 2:"),
        ('{"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}', "{}"),
        ("self.origin = first.time", "self.origin = 0.0"),
        ("size=first.samples.shape[:2]", "size=self._coded_size"),
        ("paced=True, max_pixels=most", "paced=True, max_pixels=10**9"),
        ("limits = limits or Limits()\n    if is_stream(source):", "limits = Limits()\n    if is_stream(source):"),
    ),
    *mutations_of(
        f"{_HOME}/reader.py",
        (_SECONDS,),
        ("paced=True, max_pixels=most", "paced=False, max_pixels=most"),
    ),
    *mutations_of(
        f"{_HOME}/live.py",
        (_LIVE, _FILES),
        ("if frame.samples.shape[:2] != self.facts.size:", "if frame.samples.ndim < 2:"),
        (
            "if len(self._frames) > self.kept:\n                self._frames.popleft()",
            "if len(self._frames) > self.kept:\n                self._frames.pop()",
        ),
        ("self.dropped += 1", "self.dropped += 0"),
        ('float(getattr(self._source, "rate", 0) or 25)', "25.0"),
        ("else self._frames.popleft()", "else self._frames.pop()"),
        ("if frame.width * frame.height > self._max_pixels:", "if frame.width > self._max_pixels:"),
        ("self._frames.clear()", "pass"),
        ("if time.monotonic() > patience:", "if time.monotonic() > 100 * patience:"),
        ("if self._ended or self._closing or self.stop():", "if self._ended or self._closing:"),
        ("if self._closing:\n                    break", "if self._closing:\n                    continue"),
        ("Frame(self._clock(), samples)", "Frame(0.0, samples)"),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (_RATES,),
        ("rate=job.options.ir_fps or job.options.fps", "rate=job.options.fps"),
        (
            "open_reader(job.vis, rate=job.options.fps",
            "open_reader(job.vis, rate=job.options.ir_fps or job.options.fps",
        ),
        ("deep = self._job.out is not None and", "deep = self._job.out is None and"),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (_REFUSED,),
        ("until=_cut(begin, job.options.seconds)", "until=None"),
        ("begin + seconds - 1e-6", "begin + seconds"),
        ("vis.time >= until", "vis.time >= until + 1"),
        (
            "if job.out.resolve() in [path.resolve() for path in files]:",
            "if job.out in [path.resolve() for path in files]:",
        ),
        ("codec = vis.facts.audio if job.options.audio else None", "codec = vis.facts.audio"),
        ("if ir.facts.live != vis.facts.live:", "if ir.facts.live and not vis.facts.live:"),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (_MATCHED,),
        ("ir.facts.duration + job.options.offset", "ir.facts.duration - job.options.offset"),
        ("begin = max(0.0, job.options.offset)", "begin = max(0.0, -job.options.offset)"),
        ("frames=1.0 if live else 0.5)", "frames=1.0)"),
        (
            "colored = ready.vis_unit.ndim == 3 and not self._job.settings.frame.gray",
            "colored = ready.vis_unit.ndim == 3",
        ),
        ("offset=job.options.offset, frames=", "frames="),
        ("result.first = arrived if result.first is None else result.first", "result.first = arrived"),
        ("result.alone = matching.alone", "result.alone = 0"),
        ("if matching.ir_ended:", "if not matching.ir_ended:"),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (_TWO_VIDEOS,),
        ("writer = open_writer(job.out, rate=rate,", "writer = open_writer(job.out, rate=30.0,"),
        ("ready.vis_unit, luma) if colored else luma", "ready.vis_unit, luma) if not colored else luma"),
        ("audio = None if live else _sound(job, self._vis)", "audio = None"),
        ('"size": self.size and list(self.size)', '"size": None'),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (_STATIC, "tests/end_to_end/test_look.py"),
        ("steady_params(job.settings.params())", "job.settings.params()"),
        (
            "**ready.masks, buckets=_BUCKETS, context=context)",
            "**ready.masks, buckets=_BUCKETS)",
        ),
        ("with_usual_look(self._params, colored=colored)", "with_usual_look(self._params, colored=False)"),
    ),
    *mutations_of(
        f"{_HOME}/writer.py",
        (_FILES,),
        ('_QUALITY = {"crf": "18"', '_QUALITY = {"crf": "45"'),
        ("round((time - self._begin) * _CLOCK)", "round(time * _CLOCK)"),
        ('mode="edge")', 'mode="constant")'),
        ('dst_colorspace="itu601"', 'dst_colorspace="itu709"'),
        ("exclusive=not self._force)", "exclusive=False)"),
        ("if kind is None and self.partial.exists():", "if self.partial.exists():"),
        ("shutil.rmtree(self.partial, ignore_errors=True)", "pass"),
        ("self.partial.unlink(missing_ok=True)", "pass"),
        (
            'path.name.startswith("frame_") and path.suffix == ".png"',
            'path.name.startswith("frame_") or path.suffix == ".png"',
        ),
        ("rate = Fraction(self._rate).limit_denominator(1001)", "rate = Fraction(25)"),
        ('".mkv": "matroska"', '".mkv": "mp4"'),
    ),
    *mutations_of(
        f"{_HOME}/writer.py",
        (_SOUND,),
        ("self._shift = round(self._begin / stream.time_base)", "self._shift = 0"),
        ("self._begin = begin + self._origin", "self._begin = begin"),
        ("packet.pts -= self._shift", "packet.pts += self._shift"),
    ),
    *mutations_of(
        f"{_HOME}/writer.py",
        (_TWO_VIDEOS, "tests/faults/test_hostile_videos.py"),
        ("self._last, self._end = frame.pts, time + 1 / self._rate", "self._last, self._end = frame.pts, time - 1"),
        ('return codec in _FITS_MP4 or (out.suffix.lower() == ".mkv" and codec != UNKNOWN)', "return True"),
        ("return codec in _FITS_MP4 or (", "return ("),
    ),
    *mutations_of(
        f"{_HOME}/writer.py",
        (_MATCHED,),
        ("frame_{self._count:06}.png", "frame_{self._count - 1:06}.png"),
    ),
    *mutations_of(
        f"{_HOME}/calibration.py",
        (_CALIBRATION, "tests/end_to_end/test_look.py::test_a_video_has_one_look"),
        ("> len(guesses) / 2", ">= len(guesses) / 2"),
        ("valid |= mask", "valid &= mask"),
        ("np.asarray(found.homography) @ np.array(before)", "np.array(before) @ np.asarray(found.homography)"),
        ("colored = any(", "colored = all("),
        (
            "VideoCalibration(fixed, how, ir_depth, vis_depth, ir_valid, vis_valid, colored)",
            "VideoCalibration(fixed, how, ir_depth, vis_depth, vis_valid, ir_valid, colored)",
        ),
        ('RangePolicy("constant", low, high)', "policy"),
        ("ir_valid = self.ir_valid if ir.valid is None else ir.valid", "ir_valid = self.ir_valid"),
        ('"black" if settings.ir_polarity == "black" else "white"', '"white"'),
    ),
    *mutations_of(
        f"{_HOME}/calibration.py",
        (_CALIBRATION,),
        ("_SECONDS = 5.0", "_SECONDS = 0.5"),
        ("_CUT = 0.06", "_CUT = 0.6"),
        ("min(moved) > _CUT", "max(moved) > _CUT"),
        ("keep * old + (1 - keep) * new", "keep * new + (1 - keep) * old"),
        ("math.exp(-1 / (max(rate, 1e-3) * _SECONDS))", "math.exp(-1 / (25 * _SECONDS))"),
    ),
    *mutations_of(
        f"{_HOME}/fuse.py",
        (f"{_UNIT}/test_pipeline.py",),
        (
            "made = deque(pool.submit(next, items, _END) for _ in range(waiting))",
            "made = deque(pool.submit(next, items, _END) for _ in range(waiting + 1))",
        ),
        ("while self._calls and kind is None:", "while self._calls:"),
        ("while len(self._calls) >= self._waiting:", "while len(self._calls) > self._waiting + 1:"),
    ),
    *mutations_of(
        f"{_HOME}/live.py",
        (f"{_UNIT}/test_window.py",),
        ("size = rgb.shape[1::-1]", "size = rgb.shape[:2]"),
        ("delay = now - arrived", "delay = arrived - now"),
        ("{1000 * self.delay:.0f} ms", "{self.delay:.0f} ms"),
        ("ended = [pygame.K_q, pygame.K_ESCAPE]", "ended = [pygame.K_q]"),
    ),
    *mutations_of(
        f"{_HOME}/reader.py",
        (_FILES,),
        ("np.subtract(self._times, time)).argmin()", "np.subtract(self._times, time)).argmax()"),
        ("rank / self.facts.rate for rank in ranks", "rank * self.facts.rate for rank in ranks"),
    ),
]
