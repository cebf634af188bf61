"""The street of the synthetic scene: sky, skyline, ground with road markings, and two rows of houses."""

import numpy as np

from demo_scene.canvas import SKY_DEPTH, Canvas, fractal_noise, noise_table, smoothstep, value_noise
from demo_scene.things import WORDS, word_mask

ROAD_HALF_WIDTH = 3.6
STREET_END = 85.0
_STOREY = 3.1
_BAY = 3.0


def paint_sky(canvas: Canvas, rng: np.random.Generator, *, daylight: float) -> None:
    """A graded sky with clouds: light in the visible, cold in the infrared; and a far skyline.

    Args:
        canvas: Painted in place.
        rng: Source of the scene's choices.
        daylight: 0 at night, 1 by day.
    """
    table = noise_table(rng)
    shift = rng.random() * 200
    above = np.clip((canvas.horizon - canvas.rows) / canvas.horizon, 0.0, 1.0)
    # Clouds lie in a flat layer, so they get smaller and closer together towards the horizon.
    far = 0.35 / (above + 0.12)
    cloud = fractal_noise(table, far * 3.0 + shift, (canvas.columns - canvas.center) * far * 3.0 + shift, octaves=5)
    cloud = smoothstep(0.42, 0.72, cloud) * smoothstep(0.0, 0.2, above)
    glow = (1.0 - above) ** 2
    bright = (0.10 + 0.52 * daylight) + (0.16 + 0.22 * daylight) * glow
    bright = bright + cloud * (0.05 + 0.30 * daylight) * (1.0 - 0.5 * glow)
    heat = 0.045 + 0.10 * (1.0 - above) ** 3 + 0.05 * cloud
    canvas.paint(np.float32(1.0), heat=heat, albedo=0.0, emission=bright, depth=SKY_DEPTH)
    ridge = value_noise(table, np.float32(3.5), canvas.columns * 9 + shift) * 0.05
    ridge = ridge + value_noise(table, np.float32(90.5), canvas.columns * 60 + shift) * 0.015
    mask = np.clip((canvas.rows - (canvas.horizon - ridge - 0.012)) / canvas.pixel, 0.0, 1.0)
    canvas.paint(mask, heat=0.27, albedo=0.25, depth=300.0)


def paint_ground(canvas: Canvas, rng: np.random.Generator) -> None:
    """Road, kerbs, pavements: textured and marked in the visible, nearly smooth in the infrared.

    Args:
        canvas: Painted in place.
        rng: Source of the scene's choices.
    """
    coarse, fine = noise_table(rng), noise_table(rng)
    below = np.maximum(canvas.rows - canvas.horizon, 1e-4)
    depth = canvas.camera_height * canvas.focal / below
    side = (canvas.columns - canvas.center) * depth / canvas.focal
    near = smoothstep(30.0, 5.0, depth)
    grain = (fractal_noise(fine, depth * 20, side * 20, octaves=3, gain=0.85) - 0.5) * near
    patches = fractal_noise(coarse, depth * 0.35, side * 0.8) - 0.5
    wheel_track = np.exp(-(((np.abs(np.abs(side) - 1.8) - 0.75) / 0.28) ** 2))
    albedo = 0.30 + 0.16 * patches + 0.24 * grain - 0.035 * wheel_track
    heat = 0.43 + 0.05 * patches + 0.035 * wheel_track
    mask = np.clip((canvas.rows - canvas.horizon) / canvas.pixel, 0.0, 1.0)
    canvas.paint(mask, heat=heat, albedo=albedo, depth=np.minimum(depth, 400.0))
    _paint_markings(canvas, side, depth, 0.78 + 0.35 * (value_noise(fine, depth * 6, side * 6) - 0.7))
    _paint_pavement(canvas, side, depth, 0.46 + 0.12 * patches + 0.12 * grain)
    _paint_manhole(canvas, side - rng.uniform(-2, 2), depth - rng.uniform(5.5, 9.0))


def _paint_markings(canvas, side, depth, albedo) -> None:
    edge = depth / canvas.focal * canvas.pixel  # meters a pixel
    dash = smoothstep(2.9, 2.8, np.mod(depth, 6.0)) * _band(side, 0.0, 0.07, edge)
    line = _band(np.abs(side), ROAD_HALF_WIDTH - 0.35, 0.06, edge)
    zebra = _band(depth, 17.5, 1.5, 0.02) * _band(np.mod(side, 1.0), 0.5, 0.26, edge)
    zebra = zebra * (np.abs(side) < ROAD_HALF_WIDTH - 0.6)
    mask = np.maximum(np.maximum(dash, line), zebra) * smoothstep(70.0, 40.0, depth) * (canvas.rows > canvas.horizon)
    canvas.paint(mask, heat=canvas.heat - 0.012, albedo=albedo)


def _paint_pavement(canvas, side, depth, albedo) -> None:
    edge = depth / canvas.focal * canvas.pixel
    ground = canvas.rows > canvas.horizon
    kerb = _band(np.abs(side), ROAD_HALF_WIDTH + 0.1, 0.1, edge) * ground
    beyond = np.clip((np.abs(side) - ROAD_HALF_WIDTH - 0.2) / edge + 0.5, 0.0, 1.0) * ground
    joints = np.minimum(np.mod(side, 0.8), np.mod(depth, 0.8)) < 0.05
    slabs = albedo * (1.0 - 0.35 * joints * smoothstep(22.0, 8.0, depth))
    canvas.paint(beyond, heat=0.39, albedo=slabs)
    canvas.paint(kerb, heat=0.36, albedo=0.62)


def _paint_manhole(canvas, side, depth) -> None:
    round_ = np.hypot(side, depth)
    ring = (np.abs(round_ - 0.34) < 0.03) | ((np.mod(side, 0.12) < 0.05) & (round_ < 0.3))
    canvas.paint((round_ < 0.38).astype(np.float32), heat=0.56, albedo=np.where(ring, 0.34, 0.16))


def paint_houses(canvas: Canvas, rng: np.random.Generator, *, left: float, right: float) -> None:
    """A row of houses on either side of the street, seen along it.

    Args:
        canvas: Painted in place.
        rng: Source of the scene's choices.
        left: Distance of the left row from the street's middle, meters.
        right: The same on the right.
    """
    for sign, distance in ((-1.0, left), (1.0, right)):
        _paint_row(canvas, rng, sign, distance)


def _paint_row(canvas: Canvas, rng: np.random.Generator, sign: float, distance: float) -> None:
    beside = sign * (canvas.columns - canvas.center)
    depth = np.minimum(distance * canvas.focal / np.maximum(beside, 1e-4), 10 * STREET_END)
    up = (canvas.horizon - canvas.rows) * depth / canvas.focal + canvas.camera_height  # above ground
    house = np.floor(depth / 11.0).astype(int)
    count = int(STREET_END // 11.0) + 1
    index = np.clip(house, 0, count - 1)
    tops = rng.integers(2, 5, count) * _STOREY + rng.uniform(0.5, 1.4, count)
    tones, warmth = rng.uniform(0.24, 0.62, count), rng.uniform(0.24, 0.36, count)
    lit = rng.random((count, 16, 8))
    _paint_gables(canvas, beside * (beside > 0), distance, tops, tones, warmth)
    height = tops[index]
    edge = np.maximum(depth / canvas.focal * canvas.pixel, 1e-3)
    mask = np.clip((height - up) / edge, 0.0, 1.0) * (beside > 0) * (house < count) * (up > 0)
    along = np.mod(depth, 11.0)
    seen = {"up": up, "along": along, "depth": depth, "edge": edge, "height": height}
    albedo, heat = _facade(rng, seen, tones[index], warmth[index])
    canvas.paint(mask, heat=heat, albedo=albedo, depth=np.minimum(depth, STREET_END + 11.0))
    _paint_windows(canvas, mask, seen, lit, index)
    words = rng.choice(len(WORDS), count, replace=False)
    for number in range(1, 5):
        chosen = mask * (index == number)
        _paint_shop_sign(canvas, chosen, seen, WORDS[words[number]], sign, dark=tones[number] > 0.42)


def _paint_gables(canvas: Canvas, beside, distance: float, tops, tones, warmth) -> None:
    """End walls that look over a lower house in front, far to near; the facades come after and before them."""
    for number in range(len(tops) - 1, 0, -1):
        depth = 11.0 * number
        edge = depth / canvas.focal * canvas.pixel
        up = (canvas.horizon - canvas.rows) * depth / canvas.focal + canvas.camera_height
        behind = np.clip((beside * depth / canvas.focal - distance) / edge + 0.5, 0.0, 1.0)
        mask = np.clip((tops[number] - up) / edge, 0.0, 1.0) * behind * (up > 0)
        canvas.paint(mask, heat=warmth[number] - 0.03, albedo=0.8 * tones[number], depth=depth)


def _facade(rng, seen, tone, warmth):
    table = noise_table(rng)
    up, along, depth = seen["up"], seen["along"], seen["depth"]
    near = smoothstep(45.0, 12.0, depth)
    stains = fractal_noise(table, up * 0.5, depth * 0.5, octaves=5) - 0.5
    course = np.floor(up / 0.14)
    mortar = (np.mod(up, 0.14) < 0.03) | (np.mod(depth + 0.2 * np.mod(course, 2), 0.4) < 0.04)
    brick = value_noise(table, course, np.floor((depth + 0.2 * np.mod(course, 2)) / 0.4)) - 0.5
    albedo = tone * (1.0 + 0.45 * stains + near * (0.30 * brick - 0.22 * mortar))
    cornice = (seen["height"] - up < 0.35) | (np.abs(up - _STOREY) < 0.12)
    gap = np.minimum(along, 11.0 - along) < 0.1
    albedo = np.where(cornice, tone * 1.25, albedo) * np.where(gap, 0.5, 1.0)
    # Walls give off heat where the rooms behind are heated: a little more low down and under the eaves.
    heat = warmth + 0.07 * stains + 0.05 * np.exp(-np.clip(up, 0.0, 60.0) / 3.0) + 0.05 * cornice
    return np.clip(albedo, 0.03, 0.9), heat


def _paint_windows(canvas: Canvas, mask, seen, lit, index) -> None:
    up, along, height, edge = seen["up"], seen["along"], seen["height"], seen["edge"]
    storey = np.clip(np.floor(up / _STOREY).astype(int), 0, 7)
    bay = np.clip(np.floor((along - 1.0) / _BAY).astype(int), 0, 15)
    across = np.abs(np.mod(along - 1.0, _BAY) - _BAY / 2)
    above = np.abs(up - storey * _STOREY - 1.75)
    inside = (along > 1.0) & (along < 10.0) & (up < height - 0.7)
    ground_floor = storey == 0
    half_width, half_height = np.where(ground_floor, 1.1, 0.6), np.where(ground_floor, 0.95, 0.85)
    gap = np.maximum(across - half_width, above - half_height)
    frame = np.clip(0.5 - (gap - 0.12) / edge, 0.0, 1.0) * inside * mask
    pane = np.clip(0.5 - gap / edge, 0.0, 1.0) * inside * mask
    bars = (across < 0.05) | (np.abs(above - 0.1) < 0.04)
    on = lit[index, bay, storey] < np.where(ground_floor, 0.45, 0.28)
    level = 0.32 + 0.5 * lit[index, bay, storey] / 0.28
    curtain = 1.0 - 0.35 * smoothstep(0.2, 0.55, across) - 0.15 * smoothstep(0.0, 0.8, above)
    canvas.paint(frame, heat=canvas.heat + 0.05, albedo=0.72)
    canvas.paint(
        pane * np.where(bars, 0.35, 1.0),
        heat=np.where(on, 0.50, 0.22),  # heated room, or glass that mirrors the cold sky
        albedo=0.07,
        emission=np.where(on, np.minimum(level, 0.85) * curtain, 0.0),
    )


def _paint_shop_sign(canvas: Canvas, mask, seen, word: str, sign: float, *, dark: bool) -> None:
    """A name board above the ground floor: letters in the visible, one even plate in the infrared."""
    span = 0.9 * len(word)
    across = (seen["along"] - 5.5) / span + 0.5
    across = across if sign < 0 else 1.0 - across
    down = (_STOREY + 0.75 - seen["up"]) / 0.75
    plate = mask * (np.abs(across - 0.5) < 0.5 + 0.25 / span) * (np.abs(down - 0.5) < 0.68)
    paper, ink = (0.08, 0.9) if dark else (0.88, 0.06)
    canvas.paint(plate, heat=0.36, albedo=paper)
    canvas.paint(plate * word_mask(word, across, down), heat=0.36, albedo=ink, emission=0.30 * dark)


def _band(value, middle: float, half_width: float, edge):
    """1 within `half_width` of `middle`, with an edge one pixel soft; a line thinner than a pixel fades."""
    soft = np.clip((half_width - np.abs(value - middle)) / edge + 0.5, 0.0, 1.0)
    return soft * np.minimum(1.0, 2 * half_width / edge)
