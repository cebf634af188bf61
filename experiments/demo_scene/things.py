"""What stands in the street of the drawn scene: people, cars, trees, lamps, and road signs with block letters."""

import numpy as np
from jaxtyping import Bool

from demo_scene.canvas import Canvas, noise_table, smoothstep, value_noise

WORDS = ("CAFE", "HOTEL", "BAR", "MARKET", "OPTIK", "BANK", "TEXTIL", "PHOTO", "EXIT", "CENTER")

# One letter is seven rows of five bits, the left-most column the highest bit.
_GLYPHS = {
    "A": (14, 17, 17, 31, 17, 17, 17),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "K": (17, 18, 20, 24, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "N": (17, 25, 21, 19, 17, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "X": (17, 17, 10, 4, 10, 17, 17),
}


def word_bitmap(word: str) -> Bool[np.ndarray, "7 w"]:
    """The word as a bitmap seven rows high, one blank column between letters and none at the ends.

    Args:
        word: Letters that occur in `WORDS`.
    """
    letters = []
    for letter in word:
        rows = np.array(_GLYPHS[letter])[:, None]
        letters += [(rows >> np.arange(4, -1, -1)) & 1, np.zeros((7, 1), int)]
    return np.concatenate(letters[:-1], axis=1).astype(bool)


def word_mask(word: str, across, down, *, scale: float = 1.0):
    """Where a word covers the unit box: 1 on strokes, 0 elsewhere, 0 outside the box.

    Args:
        word: The word.
        across: 0 at the word's left end, 1 at its right end.
        down: 0 at its top, 1 at its foot.
        scale: Contrast of the strokes, 0 to 1.
    """
    bitmap = word_bitmap(word)
    across, down = np.broadcast_arrays(across, down)
    inside = (across >= 0) & (across < 1) & (down >= 0) & (down < 1)
    row = np.clip((down * 7).astype(int), 0, 6)
    column = np.clip((across * bitmap.shape[1]).astype(int), 0, bitmap.shape[1] - 1)
    return scale * (inside & bitmap[row, column]).astype(np.float32)


def paint_shadow(canvas: Canvas, side: float, depth: float, *, reach: float, heat: float = 0.0) -> None:
    """A soft dark spot on the ground under a thing, warm in the infrared where `heat` is given."""
    rise = canvas.camera_height * canvas.focal / depth
    row, column = canvas.horizon + rise, canvas.center + side * canvas.focal / depth
    wide = reach * canvas.focal / depth
    flat = max(wide * 0.18, canvas.pixel)
    spot = np.exp(-(((canvas.columns - column) / wide) ** 2) - ((canvas.rows - row) / flat) ** 2)
    canvas.paint(spot * (canvas.rows > canvas.horizon), heat=canvas.heat + heat, albedo=0.35 * canvas.albedo)


def paint_person(canvas: Canvas, rng: np.random.Generator, side: float, depth: float) -> None:
    """A walking person in dark clothes: bare skin is hottest, clothes are warm.

    Args:
        canvas: Painted in place.
        rng: Height, pose and clothes.
        side: X, meters.
        depth: Z, meters.
    """
    tall, stride, swing = rng.uniform(0.94, 1.08), rng.uniform(0.05, 0.30), rng.uniform(0.05, 0.28)
    coat, trousers = rng.uniform(0.07, 0.26), rng.uniform(0.05, 0.16)
    facing, long_coat = rng.choice([-1.0, 1.0]), rng.random() < 0.4
    warm = rng.uniform(0.72, 0.82)
    paint_shadow(canvas, side, depth, reach=0.38, heat=0.01)
    board = canvas.board(side, depth, reach=0.7, top=2.05)
    if board is None:
        return
    board.across, board.above, board.pixel = board.across / tall, board.above / tall, board.pixel / tall
    folds = value_noise(noise_table(rng), board.above * 14, board.across * 20) - 0.5
    for way in (-facing, facing):  # far side first
        shade = 0.8 if way == -facing else 1.0
        knee, foot = (0.06 + way * stride * 0.45, 0.48), (0.02 + way * stride, 0.06)
        legs = np.maximum(board.limb((0.0, 0.90), knee, 0.105, 0.08), board.limb(knee, foot, 0.08, 0.055))
        shoe = board.limb(foot, (foot[0] + 0.12 * facing, 0.045), 0.055, 0.045)
        board.paint(legs, heat=(warm - 0.09) * (0.92 + 0.08 * shade) + 0.06 * folds, albedo=trousers * shade)
        board.paint(shoe, heat=0.52, albedo=0.05)
        elbow, hand = (-way * swing * 0.5 - 0.03 * facing, 1.10), (-way * swing, 0.86)
        arm = np.maximum(board.limb((0.0, 1.40), elbow, 0.075, 0.06), board.limb(elbow, hand, 0.06, 0.045))
        board.paint(arm, heat=warm - 0.03 + 0.08 * folds, albedo=coat * shade * 0.9)
        board.paint(board.disc(*hand, 0.055), heat=0.93, albedo=0.40)
        if way < 0 or facing < 0:
            _paint_torso(board, coat, warm, folds, long_coat)
    board.paint(board.limb((0.0, 1.45), (0.02 * facing, 1.58), 0.06, 0.06), heat=0.97, albedo=0.35)
    board.paint(board.disc(0.0, 1.665, 0.092, 0.112), heat=0.80, albedo=0.05)  # hair
    board.paint(board.disc(0.03 * facing, 1.64, 0.066, 0.088), heat=0.99, albedo=0.42)


def _paint_torso(board, coat, warm, folds, long_coat) -> None:
    hem = 0.62 if long_coat else 0.88
    torso = np.maximum(
        board.limb((0.0, 1.38), (0.0, 1.00), 0.17, 0.14), board.limb((0.0, 1.0), (0.0, hem), 0.145, 0.155)
    )
    board.paint(torso, heat=warm + 0.14 * folds, albedo=coat * (1.0 + 0.5 * folds))


def paint_car(canvas: Canvas, rng: np.random.Generator, side: float, depth: float, *, coming: bool, running: bool):
    """A car seen from the front (`coming`) or from behind; `running` makes engine, exhaust and tyres hot, lamps on.

    Args:
        canvas: Painted in place.
        rng: Paint and number plate.
        side: X of its middle, meters.
        depth: Z, meters.
        coming: Seen from the front.
        running: Driving, not parked.
    """
    tone = rng.choice([0.10, 0.22, 0.45, 0.72])
    paint_shadow(canvas, side, depth, reach=1.25, heat=0.10 if running else -0.04)
    board = canvas.board(side, depth, reach=1.15, top=1.7)
    if board is None:
        return
    body_heat = 0.40 if running else 0.31
    for way in (-1, 1):
        tyre = board.box(way * 0.68, 0.28, 0.13, 0.29, round_by=0.08)
        board.paint(tyre, heat=0.74 if running else 0.33, albedo=0.04)
    board.paint(board.box(0, 0.32, 0.80, 0.16, round_by=0.05), heat=0.58 if running else 0.28, albedo=0.03)
    cabin_half = 0.72 - 0.30 * smoothstep(0.85, 1.45, board.above)
    cabin = board.inside(np.maximum(np.abs(board.across) - cabin_half, np.abs(board.above - 1.12) - 0.34))
    board.paint(cabin, heat=body_heat - 0.04, albedo=tone * 0.9)
    glass = board.inside(np.maximum(np.abs(board.across) - cabin_half + 0.09, np.abs(board.above - 1.14) - 0.24))
    mirrored = 0.10 + 0.25 * smoothstep(0.95, 1.4, board.above)
    board.paint(glass, heat=0.24, albedo=mirrored)
    shade = 0.65 + 0.35 * smoothstep(0.3, 0.9, board.above)
    board.paint(board.box(0, 0.66, 0.87, 0.28, round_by=0.13), heat=body_heat, albedo=tone * shade)
    board.paint(board.box(0, 0.86, 0.80, 0.05, round_by=0.05), heat=body_heat - 0.05, albedo=min(1.0, tone * 1.35))
    if running:
        _paint_warm_parts(board, coming=coming)
    word = WORDS[rng.integers(len(WORDS))][:4]
    plate_at = ((board.across + 0.26) / 0.52, (0.56 - board.above) / 0.12)
    board.paint(board.box(0, 0.50, 0.28, 0.075), heat=body_heat - 0.02, albedo=0.85)
    board.paint(word_mask(word, *plate_at) * (board.pixel < 0.03), heat=body_heat - 0.02, albedo=0.05)
    _paint_lamps(board, coming=coming, running=running)


def _paint_warm_parts(board, *, coming: bool) -> None:
    if coming:
        bonnet = np.exp(-((board.across / 0.55) ** 2) - ((board.above - 0.80) / 0.16) ** 2)
        body = board.box(0, 0.66, 0.87, 0.28, round_by=0.13)
        board.paint(bonnet * body * 0.8, heat=0.82, albedo=board.canvas.albedo[board.window])
        grille = board.box(0, 0.64, 0.42, 0.085, round_by=0.03)
        bars = np.mod(board.above, 0.05) < 0.02
        board.paint(grille, heat=0.95, albedo=np.where(bars, 0.30, 0.03))
    else:
        plume = np.exp(-(((board.across + 0.5) / 0.20) ** 2) - ((board.above - 0.28) / 0.13) ** 2)
        board.paint(plume * 0.75, heat=0.92, albedo=board.canvas.albedo[board.window])
        board.paint(board.disc(-0.5, 0.30, 0.055), heat=1.0, albedo=0.02)


def _paint_lamps(board, *, coming: bool, running: bool) -> None:
    for way in (-1, 1):
        lamp = board.disc(way * 0.66, 0.72, 0.13, 0.085) if coming else board.box(way * 0.68, 0.80, 0.14, 0.05)
        level = (3.0 if coming else 0.62) if running else 0.0
        board.paint(lamp, heat=0.66 if running and coming else 0.40, albedo=0.6 if coming else 0.3, emission=level)


def paint_tree(canvas: Canvas, rng: np.random.Generator, side: float, depth: float) -> None:
    """A tree: leaves full of small light and dark in the visible, one even mild warmth in the infrared."""
    crown, top = rng.uniform(1.3, 1.9), rng.uniform(4.6, 6.0)
    table = noise_table(rng)
    lumps = rng.uniform(-1, 1, (16, 2)) * (crown, 1.25)
    sizes = rng.uniform(0.55, 1.0, 16)
    paint_shadow(canvas, side, depth, reach=1.3)
    board = canvas.board(side, depth, reach=crown + 1.4, top=top + 2.6)
    if board is None:
        return
    lean = rng.uniform(-0.25, 0.25)
    bark = 0.16 + 0.10 * value_noise(table, board.above * 3, board.across * 40)
    for end, thin in (((lean, top - 0.6), 0.09), ((lean - 0.8, top - 0.9), 0.05), ((lean + 0.8, top - 0.7), 0.05)):
        start = (0.0, 0.0) if thin > 0.08 else (lean * 0.6, top * 0.55)
        board.paint(board.limb(start, end, 0.17 if thin > 0.08 else 0.08, thin), heat=0.47, albedo=bark)
    fuzz = value_noise(table, board.above * 6, board.across * 6) + value_noise(
        table, board.above * 15, board.across * 15
    )
    leaf = value_noise(table, board.above * 11 + 50, board.across * 11) - 0.5
    for (dx, dy), size in sorted(zip(lumps, sizes, strict=True), key=lambda lump: lump[0][1]):
        gap = np.hypot(board.across - lean - dx, board.above - top - dy) - size + 0.42 * (fuzz - 1.0)
        light = 0.20 + 0.10 * smoothstep(-0.6, 0.9, (board.above - top - dy) / size)
        board.paint(board.inside(gap), heat=0.31 + 0.04 * leaf, albedo=np.clip(light + 0.30 * leaf, 0.03, 0.6))


def paint_lamp(canvas: Canvas, side: float, depth: float) -> tuple[float, float, float]:
    """A street lamp whose arm reaches over the road.

    Returns:
        Where its light comes from: (X, Y, Z), meters from the camera.
    """
    arm = -np.sign(side) * 1.3
    board = canvas.board(side, depth, reach=1.7, top=6.0)
    if board is not None:
        board.paint(board.limb((0, 0), (0, 5.5), 0.085, 0.05), heat=0.35, albedo=0.18)
        board.paint(board.limb((0, 5.45), (arm, 5.7), 0.045, 0.04), heat=0.34, albedo=0.18)
        board.paint(board.box(arm, 5.66, 0.34, 0.075, round_by=0.06), heat=0.60, albedo=0.3, emission=2.0)
    return side + arm, 5.6 - canvas.camera_height, depth


def paint_road_sign(canvas: Canvas, rng: np.random.Generator, side: float, depth: float) -> None:
    """A direction sign on two posts: letters that the infrared does not show."""
    board = canvas.board(side, depth, reach=1.3, top=3.4)
    if board is None:
        return
    for way in (-0.7, 0.7):
        board.paint(board.box(way, 1.1, 0.04, 1.1), heat=0.33, albedo=0.35)
    board.paint(board.box(0, 2.5, 1.15, 0.72, round_by=0.12), heat=0.30, albedo=0.85)
    board.paint(board.box(0, 2.5, 1.09, 0.66, round_by=0.08), heat=0.30, albedo=0.12)
    first, second = rng.choice(len(WORDS), 2, replace=False)
    for word, top in ((WORDS[first], 2.98), (WORDS[second], 2.38)):
        span = 0.24 * len(word)
        ink = word_mask(word, (board.across + span / 2) / span, (top - board.above) / 0.36)
        board.paint(ink, heat=0.30, albedo=0.92)
