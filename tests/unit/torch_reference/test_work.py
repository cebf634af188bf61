"""Operations and bytes against counts by hand."""

import pytest
from torch_reference.work import fuse_work, training_work

from camfuse_jax.config import NetConfig

PLAIN = NetConfig(margin=0, init="he")


def test_fusing_a_pair_by_hand():
    """Multiply-adds per image of the 640x480 encoder and decoder, layer by layer."""
    full, half, quarter = 640 * 480, 320 * 240, 160 * 120
    encoder = 9 * (full * 16 + half * 16 * 32 + half * 32 * 64 + quarter * 64 * 128 + quarter * 128 * 128)
    decoder = 9 * (quarter * 128 * 128 + quarter * 128 * 64 + half * 64 * 32 + full * 32 * 16) + full * 16
    assert fuse_work(PLAIN, 1, 480, 640).flops == 2 * (2 * encoder + decoder)


def test_work_grows_with_the_batch_and_the_margin():
    one, four = fuse_work(PLAIN, 1, 48, 64), fuse_work(PLAIN, 4, 48, 64)
    assert four.flops == 4 * one.flops
    assert four.moved < 4 * one.moved  # weights are read once
    assert fuse_work(NetConfig(), 1, 48, 64).flops == fuse_work(PLAIN, 1, 56, 72).flops


def test_training_costs_three_times_what_is_trained():
    """Of the auto-encoder all but the first layer's input gradient; of the classifier stage not the frozen encoder."""
    cls = training_work("cls", PLAIN, 4, 64)
    head = 2 * 4 * 9 * 128 * 4 * (16 * 16 + 2 * 8 * 8 + 2 * 4 * 4 + 2 * 2)
    first = 2 * 4 * 9 * 128 * 4 * 16 * 16
    encoder = 2 * 4 * 9 * (64 * 64 * 16 + 32 * 32 * (16 * 32 + 32 * 64) + 16 * 16 * (64 * 128 + 128 * 128))
    assert cls.flops == pytest.approx(encoder + 3 * head - first)
    decoder = 2 * 4 * (9 * (16 * 16 * (128 * 128 + 128 * 64) + 32 * 32 * 64 * 32 + 64 * 64 * 32 * 16) + 64 * 64 * 16)
    image = 2 * 4 * 9 * 64 * 64 * 16
    assert training_work("ae", PLAIN, 4, 64).flops == pytest.approx(3 * (encoder + decoder) - image)
