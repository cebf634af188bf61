"""What the rule knows of whole images: noise where nothing is clipped, and how steeply the correlation gate opens."""

import numpy as np
import pytest

from camfuse_jax.fusion.statistics import correlation_gate, statistics, sums

LEVEL = 1 / 255


def _noisy(level, seed=0):
    rng = np.random.default_rng(seed)
    return np.float32(level + 6 * LEVEL * rng.normal(size=(1, 96, 128, 1)))


@pytest.mark.parametrize("clipped", [0.0, 1.0])
def test_noise_is_measured_where_nothing_is_clipped(clipped):
    image = _noisy(0.5)
    image[:, :60] = clipped  # more than the quantile of all cells
    noise = statistics(sums(image, _noisy(0.5, 1))).noise.ravel() / LEVEL
    np.testing.assert_allclose(noise, 6, rtol=0.15)


@pytest.mark.parametrize(("correlation", "gate"), [(1.0, 1.0), (0.5, 0.0625), (0.1, 1e-4), (0.0, 0.0), (-0.9, 0.0)])
def test_the_gate_is_the_fourth_power_of_the_correlation(correlation, gate):
    energy = np.full((1, 1, 1, 1), 0.04**2, np.float32)
    found = correlation_gate(correlation * np.sqrt(energy), energy)
    assert float(found.ravel()[0]) == pytest.approx(gate, abs=1e-6)


def test_what_is_flat_is_no_copy():
    flat = np.zeros((1, 1, 1, 1), np.float32)
    assert float(correlation_gate(flat, flat).ravel()[0]) == 0
