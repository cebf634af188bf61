"""Frames matched by time."""

import pytest

from camfuse_jax.video.frames import Frame, Matching


def _match(ir_times, vis_times, *, rates, **options):
    matching = Matching(*rates, **options)
    ir, vis = (iter([Frame(time, None) for time in times]) for times in (ir_times, vis_times))
    return matching, [(round(a.time, 3), round(b.time, 3)) for a, b in matching.pairs(ir, vis)]


def _regular(rate, count, begin=0.0):
    return [begin + index / rate for index in range(count)]


@pytest.mark.parametrize(("ir_rate", "vis_rate"), [(10, 30), (30, 10), (25, 25), (9, 29.97)])
def test_each_visible_frame_gets_the_nearest(ir_rate, vis_rate):
    ir, vis = _regular(ir_rate, 3 * ir_rate), _regular(vis_rate, int(2.8 * vis_rate))
    matching, found = _match(ir, vis, rates=(ir_rate, vis_rate))
    assert len(found) == len(vis)
    assert matching.alone == 0
    for (near, wanted), time in zip(found, vis, strict=True):
        assert wanted == round(time, 3)
        assert abs(near - time) <= min(abs(one - time) for one in ir) + 1e-3


def test_an_offset_moves_the_infrared_source():
    matching, found = _match(_regular(10, 10), _regular(10, 20), rates=(10, 10), offset=0.5)
    assert found == [(round(index / 10, 3), round(0.5 + index / 10, 3)) for index in range(10)]
    assert matching.alone == 5
    assert matching.ir_ended


def test_a_gap_leaves_out_frames_and_later_ones_still_match():
    ir = [time for time in _regular(10, 30) if not 0.95 < time < 1.95]
    matching, found = _match(ir, _regular(10, 30), rates=(10, 10))
    assert [near == wanted for near, wanted in found] == [True] * 20
    assert matching.alone == 10


def test_no_infrared_frame_at_all():
    matching, found = _match([], _regular(10, 3), rates=(10, 10))
    assert found == []
    assert matching.ir_ended


def test_only_a_few_frames_are_held():
    taken = []

    def counted(times, name):
        for time in times:
            taken.append(name)
            yield Frame(time, None)

    pairs = Matching(10, 10).pairs(counted(_regular(10, 100), "ir"), counted(_regular(10, 100), "vis"))
    next(pairs), next(pairs)
    assert len(taken) <= 5
