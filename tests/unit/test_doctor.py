"""What `camfuse doctor` says about a folder whose sides may be swapped."""

import pytest

from camfuse_jax.batch.inspect import Swap, swap_verdict

SURE, DOUBT = 40.0, -40.0  # what the classifiers say of a pair at most


@pytest.mark.parametrize(
    ("swaps", "verdict"),
    [
        ([Swap(0, SURE)] * 8, "unsure"),
        ([Swap(0, SURE)] * 50, "unsure"),
        ([Swap(0, DOUBT)] * 8, "as named"),
        ([Swap(-1, SURE)] * 8, "as named"),
        ([Swap(-1, SURE)] + [Swap(0, SURE)] * 7, "as named"),
        ([Swap(1, DOUBT)] * 8, "swapped"),
        ([Swap(1, DOUBT)] * 5 + [Swap(-1, DOUBT)] * 3, "swapped"),
        ([], "as named"),
    ],
)
def test_only_color_and_temperatures_accuse(swaps, verdict):
    assert swap_verdict(swaps) == verdict
