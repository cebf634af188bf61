"""A street in two bands: registered infrared/visible pairs from a seed, for tests, demos and trial runs.

The two images share one geometry and differ as the bands do. Visible light shows texture, markings, lettering and what
lamps reach; people in dark clothes are hard to see at dusk. Thermal infrared shows warm people, engines, tyres and
exhausts, a cold sky and an almost even ground, a little blurred and with sensor noise. It is a drawing, not a
radiometric simulation: good for trying things out, not for judging them.
"""

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from camfuse_jax.errors import InputError
from demo_scene import street, things
from demo_scene.canvas import SKY_DEPTH, Canvas

MIN_SIDE = 16
_SUPERSAMPLING = 2


def draw_pair(
    seed: int, height: int = 480, width: int = 640
) -> tuple[UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]:
    """Draws one registered pair.

    Args:
        seed: Chooses the scene. The same seed gives the same bytes on the same machine, and the same scene at another
            size.
        height: Rows, at least `MIN_SIDE`.
        width: Columns, at least `MIN_SIDE`.

    Returns:
        `(ir, vis)`, both (height, width) uint8.

    Raises:
        InputError: A side is smaller than `MIN_SIDE`.
    """
    if min(height, width) < MIN_SIDE:
        raise InputError(f"A synthetic pair of {height} x {width} is too small.", f"Use at least {MIN_SIDE} a side.")
    rng = np.random.default_rng([seed, 2025])
    daylight = rng.choice([0.08, 0.12, 0.3, 0.75], p=[0.35, 0.3, 0.2, 0.15])
    canvas, lights = _draw(rng, height * _SUPERSAMPLING, width * _SUPERSAMPLING, daylight)
    infrared = _infrared(canvas, rng)
    visible = _visible(canvas, lights, rng, daylight)
    return infrared, visible


def _draw(rng: np.random.Generator, height: int, width: int, daylight: float):
    """Paint the scene from far to near; returns the canvas and the lights as (X, Y, Z, strength, reach)."""
    canvas = Canvas.blank(
        height,
        width,
        horizon=rng.uniform(0.40, 0.47),
        center=rng.uniform(-0.12, 0.12),
        focal=rng.uniform(1.0, 1.15),
        camera_height=rng.uniform(1.6, 2.0),
    )
    street.paint_sky(canvas, rng, daylight=daylight)
    street.paint_ground(canvas, rng)
    street.paint_houses(canvas, rng, left=rng.uniform(7.5, 9.5), right=rng.uniform(7.5, 9.5))
    lights = []
    for depth, kind, side in sorted(_cast(rng), reverse=True):
        match kind:
            case "person":
                things.paint_person(canvas, rng, side, depth)
            case "tree":
                things.paint_tree(canvas, rng, side, depth)
            case "sign":
                things.paint_road_sign(canvas, rng, side, depth)
            case "lamp":
                lights.append((*things.paint_lamp(canvas, side, depth), 0.85, 4.0))
            case "parked":
                things.paint_car(canvas, rng, side, depth, coming=side < 0, running=False)
            case "coming" | "going":
                coming = kind == "coming"
                things.paint_car(canvas, rng, side, depth, coming=coming, running=True)
                if coming:
                    foot = (0.3 - canvas.camera_height, depth - 2.2)  # where the beams meet the road, not the lamps
                    lights += [(side + way, *foot, 0.55, 1.1) for way in (-0.66, 0.66)]
    return canvas, lights


def _cast(rng: np.random.Generator) -> list[tuple[float, str, float]]:
    """Who and what is in the street: (Z, kind, X). Traffic keeps to the right."""
    cast = [(float(depth), "tree", side) for depth in (22, 33, 47) for side in (-6.2, 6.2) if rng.random() < 0.7]
    cast += [(float(depth), "lamp", -5.0) for depth in (19, 39, 62)] + [(28.0, "lamp", 5.0)]
    cast += [(rng.uniform(13, 26), "coming", -1.8), (rng.uniform(26, 45), "going", 1.8)]
    cast += [(rng.uniform(9.5, 13), "going", 1.75)] if rng.random() < 0.5 else []
    cast += [(rng.uniform(14, 40), "parked", rng.choice([-4.4, 4.4])) for _ in range(2)]
    cast += [(rng.uniform(12, 16), "sign", rng.choice([-5.6, 5.6]))]
    cast += [(rng.uniform(7.0, 14), "person", rng.choice([-1, 1]) * rng.uniform(4.2, 5.4)) for _ in range(3)]
    cast += [(rng.uniform(14, 34), "person", rng.choice([-1, 1]) * rng.uniform(4.2, 6.4)) for _ in range(3)]
    cast += [(17.5, "person", rng.uniform(-3.2, 3.2)), (rng.uniform(7.0, 9.5), "person", rng.uniform(-2.5, 2.5))]
    return cast


def _infrared(canvas: Canvas, rng: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
    """Thermal camera: haze, a soft lens, detector noise with a trace of column pattern."""
    heat = canvas.heat + (0.24 - canvas.heat) * _haze(canvas, 420.0)
    heat = _shrink(heat)
    size = heat.shape[0]
    heat = ndimage.gaussian_filter(heat, max(0.35, size / 600))
    heat = heat + rng.normal(0, 0.008, heat.shape) + rng.normal(0, 0.003, (1, heat.shape[1]))
    return _to_u8(0.03 + 0.94 * heat)


def _visible(canvas: Canvas, lights, rng: np.random.Generator, daylight: float) -> UInt8[np.ndarray, "h w"]:
    """Camera: surfaces under the sky's and the lamps' light, haze, glow about bright lamps, noise."""
    light = 0.05 + 1.1 * daylight
    dark = 1.0 - daylight
    side, up, solid = canvas.side(), canvas.up(), canvas.depth < SKY_DEPTH
    total = np.full_like(canvas.depth, light)
    for x, y, z, strength, reach in lights:
        apart = (side - x) ** 2 + (up - y) ** 2 + (canvas.depth - z) ** 2
        total += dark * strength / (1.0 + apart / reach**2)
    total += dark * _own_headlamps(canvas, side, up)
    seen = canvas.albedo * np.where(solid, total, 0.0)
    seen = seen + (0.14 + 0.5 * daylight - seen) * _haze(canvas, 260.0) + canvas.emission
    seen = _shrink(seen)
    excess = np.maximum(seen - 0.9, 0.0)
    for spread, share in ((0.006, 1.2), (0.02, 2.0), (0.07, 2.5)):
        seen = seen + dark * share * ndimage.gaussian_filter(excess, spread * seen.shape[0])
    seen = np.where(seen < 0.75, seen, 1.0 - 0.25 * np.exp(-(seen - 0.75) / 0.25))  # soft shoulder, no hard clipping
    noise = rng.normal(0, 1, seen.shape) * (0.008 + 0.02 * np.sqrt(np.maximum(seen, 0)) * dark * 0.6)
    return _to_u8(np.maximum(seen + noise, 0.0) ** 0.8)


def _own_headlamps(canvas: Canvas, side, up) -> Float[np.ndarray, "h w"]:
    """Dipped beam of the car that carries the camera: low, ahead, fading with distance."""
    beam = np.exp(-((side / (0.22 * canvas.depth + 1.2)) ** 2)) / (1.0 + (canvas.depth / 11.0) ** 2)
    return 1.1 * beam / (1.0 + np.exp(np.clip((up + 1.1) / 0.25, -30.0, 30.0)))


def _haze(canvas: Canvas, distance: float) -> Float[np.ndarray, "h w"]:
    return np.where(canvas.depth < SKY_DEPTH, 1.0 - np.exp(-canvas.depth / distance), 0.0)


def _shrink(layer: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "h w"]:
    height, width = (side // _SUPERSAMPLING for side in layer.shape)
    return layer.reshape(height, _SUPERSAMPLING, width, _SUPERSAMPLING).mean(axis=(1, 3)).astype(np.float64)


def _to_u8(unit: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return np.rint(255 * np.clip(unit, 0.0, 1.0)).astype(np.uint8)
