"""Wrong changes to the page of `camfuse serve`: what is let in, kept and computed, and what the browser does."""

from mutation.trial import mutations_of

_HOME, _UNIT = "camfuse_jax/serve", "tests/unit/serve"
_PAIRS, _REQUESTS, _LIVE = f"{_UNIT}/test_pairs.py", f"{_UNIT}/test_requests.py", f"{_UNIT}/test_live.py"
_CONNECTIONS = f"{_UNIT}/test_connections.py"
_BROWSER = "tests/browser/test_serve_page.py"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/request.py",
        (f"{_PAIRS}::test_preview_is_the_result_of_its_balance_and_even_is_the_default",),
        (
            'Balance(_number(fields, "ir_gain", MAX_GAIN), _number(fields, "vis_gain", MAX_GAIN), look)',
            'Balance(_number(fields, "vis_gain", MAX_GAIN), _number(fields, "ir_gain", MAX_GAIN), look)',
        ),
    ),
    *mutations_of(
        f"{_HOME}/request.py",
        (f"{_PAIRS}::test_color_is_natural_unless_a_look_is_asked_for",),
        ('_number(fields, "look", 1.0) if "look" in fields else None', '_number(fields, "look", 1.0)'),
    ),
    *mutations_of(
        f"{_HOME}/request.py",
        (f"{_PAIRS}::test_grayscale_is_asked_for",),
        ('_choice(fields, "gray", ("0", "1")) == "1"', '_choice(fields, "gray", ("0", "1")) == "0"'),
    ),
    *mutations_of(
        f"{_HOME}/request.py",
        (f"{_PAIRS}::test_both_sources_come_back_as_they_are_fused",),
        ('make_request(uploads["ir"], uploads["vis"], fields)', 'make_request(uploads["vis"], uploads["ir"], fields)'),
        ("FrameSettings(ir_range=ir_range, gray=gray, **chosen)", "FrameSettings(ir_range=ir_range, gray=gray)"),
    ),
    *mutations_of(
        f"{_HOME}/request.py",
        (_REQUESTS,),
        ('("error", "ir", "vis")', '("vis", "error", "ir")'),
        ('.replace("\\\\", "/").rpartition("/")[2])', ")"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_profile_and_metadata_of_the_visible_image_stay",),
        ("icc=self._ready.icc, metadata=self._ready.metadata)", "icc=self._ready.icc)"),
        ("_viewed(to_levels(fused, 8), self._ready.icc)", "_viewed(to_levels(fused, 8))"),
        ("_viewed(to_levels(ready.vis_unit, 8), ready.icc)", "_viewed(to_levels(ready.vis_unit, 8))"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_preview_is_the_result_of_its_balance_and_even_is_the_default",),
        ("if self._fused is None or self._fused[0] != balance:", "if self._fused is None:"),
        ("ir_gain=balance.ir_gain, vis_gain=balance.vis_gain)", "ir_gain=balance.ir_gain)"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_the_classifiers_word_counts_where_colors_say_nothing",),
        ('swap_verdict([swap_evidence(self._certain, self._ready)]) != "as named"', "self._certain > 0"),
        ("swap_evidence(self._certain, self._ready)", "swap_evidence(0, self._ready)"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_warm_things_of_the_infrared_image_are_outlined",),
        ("_outlined(warm_targets(self._ready.ir_unit))", "_outlined(warm_targets(self._ready.luma))"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_the_channels_are_those_of_the_balance",),
        ("weights[Modality.IR] - weights[Modality.VIS]", "weights[Modality.VIS] - weights[Modality.IR]"),
        ("_balanced(params, balance))\n        return json", "_balanced(params, Balance()))\n        return json"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_where_the_infrared_image_shows_nothing_the_visible_one_stays",),
        ("gray=self._gray, **ready.masks)", "gray=self._gray)"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_color_is_natural_unless_a_look_is_asked_for",),
        ("with_usual_look(params, colored=self._colored)", "params"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_the_origin_map_follows_the_balance",),
        ("(origin.share * origin.certainty).sum() / weight", "1 - (origin.share * origin.certainty).sum() / weight"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_each_map_is_of_the_image_and_class_that_it_is_named_for",),
        (
            "pairs = ((ir_unit, explained.ir_cam), (luma, explained.vis_cam))",
            "pairs = ((ir_unit, explained.vis_cam), (luma, explained.ir_cam))",
        ),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_a_shifted_pair_is_called_misaligned",),
        ('if "misregistered" not in note and', "if"),
    ),
    *mutations_of(
        f"{_HOME}/response.py",
        (f"{_PAIRS}::test_warm_targets_are_outlined_and_noise_is_not",),
        ("(_WARM, 2 * float(excess.std()))", "(0, 2 * float(excess.std()))"),
    ),
    *mutations_of(
        f"{_HOME}/desk.py",
        (f"{_PAIRS}::test_the_page_can_ask_again_only_while_the_pair_is_kept",),
        ("_GONE = 410", "_GONE = 404"),
        ("self._drop(next(iter(self._pairs)))", "self._drop(token)"),
        ("while len(self._pairs) > 1 and", "while len(self._pairs) > 2 and"),
    ),
    *mutations_of(
        f"{_HOME}/desk.py",
        (f"{_PAIRS}::test_what_was_asked_for_last_stays",),
        ("pair = self._drop(token)\n        self._put(token, pair)", "pair, _ = self._pairs[token]"),
    ),
    *mutations_of(
        f"{_HOME}/desk.py",
        (f"{_PAIRS}::test_a_pair_that_nobody_asks_for_is_forgotten",),
        ("call_later(self._bounds.kept_seconds,", "call_later(900,"),
    ),
    *mutations_of(
        f"{_HOME}/desk.py",
        (f"{_CONNECTIONS}::test_one_client_fills_half_of_the_queue_and_one_is_fused_at_a_time",),
        ("or self._waiting[client] >= max(1, queue // 2):", "or False:"),
        ("self._waiting[client] -= 1", "self._waiting[client] -= 0"),
        ('{"retry-after": "2"} if status == 503 else None', "None"),
    ),
    *mutations_of(
        f"{_HOME}/desk.py",
        (f"{_CONNECTIONS}::test_uploads_that_stop_make_room_for_one_that_goes_on",),
        ("key=lambda one: one.last)", "key=lambda one: -one.last)"),
    ),
    *mutations_of(
        f"{_HOME}/app.py",
        (_REQUESTS,),
        ("return self._remote or address.is_loopback", "return True"),
        ('origin != f"http://{hosts[0]}"', 'origin == "null"'),
        ('"x-frame-options": "DENY"', '"x-frame-options": "SAMEORIGIN"'),
        ('_DEMO / f"{kind}.png"', '_DEMO / "ir.png"'),
        ("base-uri 'none'; form-action 'none'; frame-ancestors 'none'", "base-uri 'none'"),
        ("return name in self._names", 'return name.split(".")[0] in self._names'),
    ),
    *mutations_of(
        f"{_HOME}/server.py",
        (f"{_CONNECTIONS}::test_one_client_takes_no_more_than_its_share_of_places",),
        ("most, most_per_client = 128, 32", "most, most_per_client = 128, 500"),
    ),
    *mutations_of(
        f"{_HOME}/server.py",
        (f"{_CONNECTIONS}::test_a_header_must_come_in_time",),
        ("now > self._since + self.header_seconds", "now > self._since + 100 * self.header_seconds"),
    ),
    *mutations_of(
        f"{_HOME}/server.py",
        ("tests/end_to_end/test_camfuse_serve.py::test_what_is_refused_before_anything_is_served",),
        ("and not remote:", "and remote:"),
    ),
    *mutations_of(
        f"{_HOME}/live.py",
        (_LIVE,),
        ("(levels.shape[1], levels.shape[0])", "(levels.shape[0], levels.shape[1])"),
        ("(now, now - vis.time)", "(now, vis.time - now)"),
        ("if self._viewers:\n", "if True:\n"),
        ("del self._viewers[news]", "pass"),
        ("self._ended = page_words(error)", 'self._ended = "The sources have ended."'),
        ("colored=calibration.colored)", "colored=False)"),
        ("ready.ir_unit, ready.vis_unit, **options)", "ready.ir_unit, ready.luma, **options)"),
        ('"dropped": self._vis.dropped', '"dropped": 0'),
        ("self._notes = tuple(page_words(note) for note in calibration.notes)", "self._notes = ()"),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_two_files_at_once_are_told_apart_by_name",),
        ('take("ir", turned ? second : first);', 'take("ir", turned ? first : second);'),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_balance_by_keyboard_fuses_the_kept_pair_again",),
        (
            "ir_gain: lean > 0 ? factor : 1, vis_gain: lean < 0 ? factor : 1",
            "ir_gain: lean < 0 ? factor : 1, vis_gain: lean > 0 ? factor : 1",
        ),
        ("100 * 2 ** Math.abs(lean)", "100 * (1 + Math.abs(lean))"),
        ('get("balance").value = 0;', 'get("balance").value = 3;'),
        ('"infrared \u00d7 " + ir_gain', '"visible \u00d7 " + ir_gain'),
        ('ask(url("preview"))', 'ask("/pairs/" + pair.token + "/preview")'),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_from_drop_to_download",),
        ("link.download = files.vis.name", "link.download = files.ir.name"),
        ('ask(url("result"))', 'ask(url("preview"))'),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_a_busy_program_is_asked_again",),
        ("if (reply.status === 503 && tries < 4)", "if (reply.status === 503 && tries < 0)"),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_maps_lie_over_the_image_that_they_are_named_for",),
        (
            'show("class-layer-" + kind, made.classes[i].layer)',
            'show("class-layer-" + kind, made.classes[1 - i].layer)',
        ),
        ("Math.round(100 * made.origin.infrared)", "Math.round(100 - 100 * made.origin.infrared)"),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_a_swapped_or_misaligned_pair_is_noticed",),
        ('get("swapped").hidden = !made.swapped', 'get("swapped").hidden = made.swapped'),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_the_demo_pair_is_one_of_each_kind",),
        ('ask("/demo/" + kind)', 'ask("/demo/ir")'),
    ),
    *mutations_of(
        f"{_HOME}/serve.js.j2",
        (f"{_BROWSER}::test_the_look_starts_as_the_command_has_it",),
        ("pair.natural ? 0 :", "!pair.natural ? 0 :"),
    ),
    *mutations_of(
        f"{_HOME}/live.js.j2",
        ("tests/browser/test_live_page.py",),
        ('Math.round(1000 * state.delay) + " ms"', 'Math.round(state.delay) + " ms"'),
        ('put("dropped", state.dropped', 'put("dropped", state.rate'),
    ),
]
