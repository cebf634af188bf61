"""Wrong changes to `camfuse_jax/report`."""

# ruff: noqa: E501  (one entry, one line)

from mutation.trial import mutations_of

_HOME, _UNIT = "camfuse_jax/report", "tests/unit/report"

MUTATIONS = [
    *mutations_of(
        f"{_HOME}/page.py", (f"{_UNIT}/test_page.py",),
        ("np.argsort(weights[Modality.VIS] - weights[Modality.IR]", "np.argsort(weights[Modality.IR] - weights[Modality.VIS]"),
        ("preference = by_preference(weights), weights[Modality.IR] - weights[Modality.VIS]", "preference = by_preference(weights), weights[Modality.VIS] - weights[Modality.IR]"),
        ('(("infrared", view.ir, view.ir_cam), ("visible", view.vis, view.vis_cam))', '(("infrared", view.ir, view.vis_cam), ("visible", view.vis, view.ir_cam))'),
        ('(("infrared", view.ir, view.ir_cam), ("visible", view.vis, view.vis_cam))', '(("infrared", view.vis, view.ir_cam), ("visible", view.ir, view.vis_cam))'),
        ("pictures.share_uri(origin.share, origin.certainty)", "pictures.share_uri(1 - origin.share, origin.certainty)"),
        ("origin = provenance(view.ir, view.vis, view.fused)", "origin = provenance(view.vis, view.ir, view.fused)"),
        ("sum(found == fate for _, found in fates)", "len(fates)"),
        ("autoescape=True", "autoescape=False"),
        ("order = np.argsort(-parts.sum(axis=0)", "order = np.argsort(parts.sum(axis=0)"),
        ("int((preference > 0).sum())", "int((preference < 0).sum())"),
        (" Lens flares and curbs are typical of visible images and glow, too.", ""),
        ("NAMES.get(name, name)", "name"),
    ),
    *mutations_of(
        f"{_HOME}/page.html.j2", (f"{_UNIT}/test_page.py",),
        ("<h2 id=\"scores\">Scores of these pairs</h2>", "<h2 id=\"scores\">Protocol</h2>"),
        ("default-src 'none'; img-src data:", "default-src *; img-src data:"),
        ("; none where they are alike or evenly mixed. It does not say why, nor that the choice was right.", "."),
    ),
    *mutations_of(
        f"{_HOME}/page.py", (f"{_UNIT}/test_scores.py",),
        ("rank is not None and text in best", "rank == 1.0"),
        ("place = 1 + sum(value < means[index]", "place = 1 + sum(value > means[index]"),
        ("means.count(means[index]) > 1", "means.count(means[index]) > 2"),
        ('"higher": "↑", "lower": "↓"', '"higher": "↑", "lower": "↑"'),
        ("rows={image: table.rows[image]}", "rows=table.rows"),
        ("f\"{test.wins} of {test.images}\"", "f\"{test.losses} of {test.images}\""),
        ("mean_ranks if len(mean_ranks) == len(tables) else None", "mean_ranks"),
        ("ranks(tables) if len(tables) > 1 else {tables[0].method: {}}", "ranks(tables)"),
    ),
    *mutations_of(
        f"{_HOME}/pictures.py", (f"{_UNIT}/test_charts.py",),
        ("values[Modality.IR, channel]), float(values[Modality.VIS, channel])", "values[Modality.VIS, channel]), float(values[Modality.IR, channel])"),
        ("min(value / top, 1.0) * half", "value / top * half"),
        ("HEIGHT - _part(value, low, high) * HEIGHT", "_part(value, low, high) * HEIGHT"),
        ("np.argmin(values)]), int(part[np.argmax(values)])", "0]), int(part[-1])"),
        ("if high > low else 0.5", "if high > low else 0.0"),
        ("and math.isfinite(r[name])", ""),
        ('"images_per_second")', '"nothing")'),
        ("drawn, low, high, values[-1], first, last)", "drawn, low, high, values[0], first, last)"),
    ),
    *mutations_of(
        f"{_HOME}/build.py", (f"{_UNIT}/test_channels.py",),
        ("params.channel_weights * jnp.std", "jnp.std"),
        ("jnp.std(features, axis=(1, 2), where=mask)", "jnp.std(features, axis=(1, 2))"),
        ("jnp.std(features, axis=(1, 2), where=mask)", "jnp.sqrt(jnp.mean(features**2, axis=(1, 2), where=mask))"),
    ),
    *mutations_of(
        f"{_HOME}/pictures.py", (f"{_UNIT}/test_provenance.py",),
        ("raw = local((fused - vis) * difference)", "raw = local((fused - ir) * difference)"),
        ("np.where(differ, squared, 1.0), 0.5), 0.0, 1.0)", "np.where(differ, squared, 1.0), 0.5), 0.0, 2.0)"),
        ("share * _contrast(ir, local), (1 - share) * _contrast(vis, local)", "share, (1 - share)"),
        ("fused - share * ir - (1 - share) * vis", "fused - share * vis - (1 - share) * ir"),
        ("_FADES_BELOW = 4.0", "_FADES_BELOW = 0.4"),
        ("SIGMA = 3.0", "SIGMA = 12.0"),
        ("local(image**2) - local(image) ** 2", "local(image**2)"),
    ),
    *mutations_of(
        f"{_HOME}/pictures.py", (f"{_UNIT}/test_pictures.py", f"{_UNIT}/test_heatmaps.py", f"{_UNIT}/test_page.py"),
        ("strength * (0.25 + 0.75 * heat[..., None])", "strength * (0.75 - 0.5 * heat[..., None])"),
        ("np.abs(2 * share - 1) * certainty", "np.abs(2 * share - 1)"),
        ("np.abs(2 * share - 1) * certainty", "certainty"),
        ("(share > 0.5).astype(int)", "(share < 0.5).astype(int)"),
        ("_SMOOTH_SIDE = 320", "_SMOOTH_SIDE = 32"),
        ("0.25 + 0.75 * heat, side", "0.25 + 0 * heat, side"),
        ('"kept": "#4be08a"', '"kept": "#ff4d6d"'),
        ("for steps in (2, 4))", "for steps in (1, 4))"),
        ("np.rint((1 - share) * gray + share * color)", "np.rint(gray + share * color)"),
    ),
    *mutations_of(
        f"{_HOME}/build.py", ("tests/faults/test_report_faults.py", "tests/end_to_end/test_report_command.py"),
        ("taken = sorted(others.keys() & {OURS, *BASELINES})", "taken = sorted(others.keys() & {OURS})"),
        ("if limit < 0:", "if limit < -1:"),
        ("return min(limit or pairs, pairs)", "return pairs"),
        ('for line in lines if line.endswith("}")]', "for line in lines]"),
        ("    if ir.shape != vis.shape:\n        sizes", "    if False:\n        sizes"),
    ),
]  # fmt: skip
