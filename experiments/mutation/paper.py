"""Wrong changes to the paper's tables, figures and ablation."""

# ruff: noqa: E501  (one entry, one line)

from mutation.trial import mutations_of

_HOME, _UNIT = "experiments/paper", "tests/unit/paper"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/published.py", (f"{_UNIT}/test_published.py",),
        ('"MDLatLRR": "6.5874 3.0169 1.4430 0.7750 0.3523"', '"MDLatLRR": "6.5874 3.0169 1.4430 0.7750 0.3533"'),
        ('"DenseFuse": "6.8876 3.5917', '"DenseFuse": "6.8876 3.5971'),
        ('"IRFS": "6.8793 5.9406', '"IRFS": "6.8793 5.9046'),
        ('"DATFuse": "6.7303 5.2834 1.5117 0.9141 0.6277"', '"DATFuse": "6.7303 5.2834 1.5117 0.9411 0.6277"'),
        ('"Wan et al. (the paper)": "7.3272', '"Wan et al. (the paper)": "7.3722'),
        ('"auto-encoder and l1-norm rule": "6.9602', '"auto-encoder and l1-norm rule": "6.9620'),
        ('KEYS = ("EN", "AG", "SCD", "SSIM", "VIF")', 'KEYS = ("EN", "AG", "SCD", "VIF", "SSIM")'),
        ('("AG", "SSIM", "VIF") if method == "MDLatLRR"', '("AG", "SSIM") if method == "MDLatLRR"'),
    ),
    *mutations_of(
        f"{_HOME}/ablation.py", (f"{_UNIT}/test_ablation.py",),
        ("np.random.default_rng(seed).permutation(class_weights.shape[1])", "np.arange(class_weights.shape[1])"),
        ("np.random.default_rng(seed).permutation(class_weights.shape[1])", "np.random.default_rng(0).permutation(class_weights.shape[1])"),
        ('nothing = {"sharpness": 0.0, "class_score": 0.0, **_NO_SALIENCY}', 'nothing = {"class_score": 0.0, **_NO_SALIENCY}'),
        ('nothing = {"sharpness": 0.0, "class_score": 0.0, **_NO_SALIENCY}', 'nothing = {"sharpness": 0.0, "class_score": 0.0}'),
        ('alone["class_score"] = _ALONE', "pass"),
        ("_choosing(ours, **off)", "_choosing(ours)"),
        ('_NO_SALIENCY = {"saliency": 0.0, "warm_base": (0.0, 0.0)}', '_NO_SALIENCY = {"saliency": 0.0}'),
        ('"control", (_with_weights(alone, own[::-1]),))', '"control", (_with_weights(alone, own),))'),
        ('yield Variant("weights of the two images swapped", "control", (_with_weights(ours, own[::-1]),))', 'yield Variant("weights of the two images swapped", "control", (ours,))'),
        ("(_with_weights(ours, 4 * own),)", "(_with_weights(ours, 2 * own),)"),
        ("own.mean(axis=0, keepdims=True)", "own[:1]"),
        ("np.sqrt(np.mean(own**2) / np.mean(np.asarray(class_weights) ** 2))", "1.0"),
        ('rule="unit_sum", gain=2.0)', 'rule="unit_sum", gain=1.0)'),
        ('(with_rule(ours, "l1"),)', "(ours,)"),
    ),
    *mutations_of(
        f"{_HOME}/ablation_heads.py", (f"{_UNIT}/test_ablate_stage.py",),
        ("dataclasses.replace(cls, distance_weight=0.0)", "cls"),
        ("dataclasses.replace(cls, distance_weight=3.0)", "dataclasses.replace(cls, distance_weight=0.3)"),
        ("learning_rate=1e-6,", "learning_rate=1e-3,"),
        ("branches=1)", "branches=net.branches)"),
        ('"code": code_digest(CODE),', '"code": "",'),
        ('"seed": config.seed,', '"seed": 0,'),
        ('"losses.py", "nets", "training")', '"losses.py", "training")'),
    ),
    *mutations_of(
        f"{_HOME}/ablation_scores.py", (f"{_UNIT}/test_ablate_stage.py",),
        ('"sources": self._sources,', '"sources": "",'),
        ("repr((params.net, params.fusion))", "repr(params.net)"),
        ('"code": code_digest(CODE),', '"code": "",'),
        ('intact = whole["sha256"] == digest(content)', "intact = True"),
        ('"metrics", "nets",', '"nets",'),
    ),
    *mutations_of(
        f"{_HOME}/ablation_table.py", (f"{_UNIT}/test_ablation.py",),
        ("ddof=1", "ddof=0"),
        ('return " better" if test.wins > test.losses else " worse"', 'return " better" if test.wins < test.losses else " worse"'),
        ("class_weights[Modality.IR] - params.class_weights[Modality.VIS]", "class_weights[Modality.IR]"),
        ("if t.p_holm < ALPHA}", "if t.p_holm < 2}"),
    ),
    *mutations_of(
        f"{_HOME}/tables.py", (f"{_UNIT}/test_tables.py",),
        ("counted = [key for key in keys if key not in EXTRA_KEYS[dataset]]", "counted = list(keys)"),
        ('KINDS: tuple[Kind, ...] = ("published", "measured", "ours", "baseline")', 'KINDS: tuple[Kind, ...] = ("published", "ours", "measured", "baseline")'),
        ("if ranked.get(key) == 1.0 else []", "if ranked.get(key) == 2.0 else []"),
        ('"better" if test.wins > test.losses else "worse"', '"worse" if test.wins > test.losses else "better"'),
        ('marks = {key: ("doubtful",) for key in table.doubtful.get(method, ())}', "marks = {}"),
    ),
    *mutations_of(
        f"{_HOME}/channel_maps.py", (f"{_UNIT}/test_channel_maps.py",),
        ("int(high.argmax()), int(small.argmin()), int(low.argmin())", "int(low.argmin()), int(small.argmin()), int(high.argmax())"),
        ("large[:, net.margin :", "large[:, 0 :"),
        ("passed_over = ~active", "passed_over = active"),
    ),
    *mutations_of(
        f"{_HOME}/zoom.py", (f"{_UNIT}/test_zoom.py",),
        ("_strength(_spots(ir, scale), size) - _strength(_spots(vis, scale), size)", "_strength(_spots(vis, scale), size) - _strength(_spots(ir, scale), size)"),
        ("box.x + box.width > width or", "box.x > width or"),
        ("image[self.y : self.y + self.height, self.x : self.x + self.width]", "image[self.x : self.x + self.width, self.y : self.y + self.height]"),
    ),
]  # fmt: skip
