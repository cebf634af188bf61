"""Few programs for many sizes: which are chosen, and that an image in a larger array is fused as on its own."""

import dataclasses
import logging

import jax
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import NET, parts, small_params

from camfuse_jax import explain, fuse
from camfuse_jax.config import FusionConfig
from camfuse_jax.fusion.dispatch import MOST, Buckets, Exact, Program, plan_programs, program_for

ROOMY, EXACT = Buckets([Program(40, 40, False)]), Exact()
SIZES = [(1, 1), (1, 40), (2, 3), (5, 4), (8, 8), (13, 29), (16, 33), (31, 40), (39, 38), (40, 40), (40, 7)]


def _pair(size, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1, (2, 1 + size[0] // 8, 1 + size[1] // 8)).repeat(8, axis=1).repeat(8, axis=2)
    return (0.7 * low[:, : size[0], : size[1]] + 0.3 * rng.uniform(0, 1, (2, *size))).astype(np.float32)


def _params(rule, net=NET):
    return small_params(net, fusion=FusionConfig(rule=rule))


def _expected(params, ir, vis):
    """The reference, which knows of no larger arrays."""
    tree, rule = parts(params), params.fusion.rule
    images = [2 * np.float64(image)[None, ..., None] - 1 for image in (ir, vis)]
    features = [reference.encode(tree["encoder"], image, params.net.margin)[-1] for image in images]
    head = np.float64(tree["classifier"]["head"]["kernel"]).T
    weights = reference.channel_weights(head)
    if rule == "eq5-contribution":
        last = [reference.classify(tree["classifier"], maps, params.net.strides)[0] for maps in features]
        weights = reference.channel_weights(np.stack([head[c] * last[c].mean(axis=(0, 1, 2)) for c in (0, 1)]))
    fused = {
        "l1": lambda: reference.fuse_by_l1(*features),
        "max": lambda: np.maximum(*features),
        "eq5": lambda: reference.fuse_features(*features, weights),
        "eq5-contribution": lambda: reference.fuse_features(*features, weights),
    }[rule]()
    return (reference.decode(tree["decoder"], fused, ir.shape, params.net.margin)[0, ..., 0] + 1) / 2


@pytest.mark.parametrize("rule", ["l1", "eq5-contribution", "max"])
def test_an_image_in_a_larger_array_is_fused_as_on_its_own(rule):
    params = _params(rule)
    for size in SIZES:
        ir, vis = _pair(size)
        placed = np.asarray(fuse(params, ir, vis, buckets=ROOMY))
        assert placed.shape == size
        np.testing.assert_allclose(placed, _expected(params, ir, vis), atol=3e-5, rtol=0, err_msg=str(size))


@pytest.mark.parametrize("kind", ["deep", "shallow"])
@pytest.mark.parametrize("rule", ["spatial", "eq5"])
def test_it_is_the_same_program_but_for_the_last_bits(rule, kind):
    params = _params(rule, dataclasses.replace(NET, kind=kind))
    for size in SIZES[1::5]:
        ir, vis = _pair(size)
        placed, alone = (np.asarray(fuse(params, ir, vis, buckets=b)) for b in (ROOMY, EXACT))
        np.testing.assert_allclose(placed, alone, atol=2e-5, rtol=0, err_msg=str(size))


def test_what_was_fused_before_changes_no_bit():
    ir, vis = _pair((37, 39))
    first = np.asarray(fuse(_params("max"), ir, vis))
    fuse(_params("max"), *_pair((40, 40)))
    fuse(_params("max"), *_pair((39, 40)))
    np.testing.assert_array_equal(fuse(_params("max"), ir, vis), first)


@pytest.mark.parametrize("margin", [0, 8])
def test_other_margins(margin):
    params = _params("eq5", dataclasses.replace(NET, margin=margin, phase_bias=False))
    for size in SIZES[1::3]:
        ir, vis = _pair(size)
        found = fuse(params, ir, vis, buckets=ROOMY)
        np.testing.assert_allclose(found, _expected(params, ir, vis), atol=3e-5, rtol=0)


def test_maps_of_an_image_in_a_larger_array():
    for size in ((13, 29), (40, 7)):
        pair = _pair(size)
        alone = explain(_params("mean"), *pair, buckets=EXACT)
        placed = explain(_params("mean"), *pair, buckets=ROOMY)
        for one, other in zip(placed, alone, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=1e-5, rtol=0, err_msg=str(size))


@pytest.mark.parametrize(
    ("dtype", "shape"), [(np.uint8, (13, 29)), (np.uint16, (13, 29, 1)), (np.uint8, (1, 13, 29, 1))], ids=str
)
def test_shape_and_type_are_kept(dtype, shape):
    top = np.iinfo(dtype).max
    params = _params("mean")
    ir, vis = (np.rint(image * top).astype(dtype) for image in _pair((13, 29)))
    placed = fuse(params, ir.reshape(shape), vis.reshape(shape), buckets=ROOMY)
    assert (placed.shape, placed.dtype) == (shape, dtype)
    real = np.asarray(fuse(params, ir / np.float32(top), vis / np.float32(top), buckets=ROOMY))
    np.testing.assert_allclose(np.asarray(placed).reshape(13, 29), np.clip(real, 0, 1) * top, atol=0.5 + 1e-5 * top)


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=1, max_size=80))
def test_a_plan_has_few_programs_and_holds_every_size(sizes):
    buckets = plan_programs(sizes)
    assert len(buckets.programs) <= MOST
    for size in sizes:
        assert buckets.choose(*size) in buckets.programs
        assert buckets.choose(*size).holds(*size)


def test_one_size_gets_its_own_program_and_near_sizes_share_one():
    assert plan_programs([(270, 361)] * 5).programs == (Program(270, 361, True),)
    assert plan_programs([(270, 361)] * 5 + [(262, 350)]).programs == (Program(270, 361, False),)
    assert len(plan_programs([(100, 100), (2000, 2000), (100, 100)]).programs) == 2


def test_sizes_as_they_come_share_programs_that_hold_them():
    rng = np.random.default_rng(0)
    sizes = [tuple(map(int, size)) for size in rng.integers(200, 640, (200, 2)) | 1]
    programs = [Buckets().choose(*size) for size in sizes]
    assert len(set(programs)) <= 110
    assert all(program.holds(*size) for program, size in zip(programs, sizes, strict=True))
    assert all(p.rows * p.cols < 1.7 * rows * cols for p, (rows, cols) in zip(programs, sizes, strict=True))


@pytest.mark.parametrize("size", [(480, 640), (512, 640), (768, 1024), (1080, 1920), (240, 320)])
def test_sizes_of_cameras_are_not_padded(size):
    assert Buckets().choose(*size) == Program(*size, True)


def test_many_sizes_compile_once(caplog):
    """Counts what JAX says it compiles: one program, whatever the sizes, and nothing else."""
    params = _params("mean", dataclasses.replace(NET, decoder_widths=(5, 5, 3, 3)))
    buckets = Buckets([Program(40, 40, False)])
    fuse(params, *_pair((9, 9)), buckets=buckets).block_until_ready()  # what is compiled once per process
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for size in [(17, 20), (18, 21), (40, 39), (5, 8)]:
            fuse(params, *_pair(size), buckets=buckets)
    assert [record.getMessage() for record in caplog.records if "ompil" in record.getMessage()] == []


def test_a_plan_joins_what_is_far_apart_where_there_would_be_too_many():
    sizes = [(400 * (i + 1), 4000 - 300 * i) for i in range(MOST + 2)]
    assert len(plan_programs(sizes * 50).programs) == MOST
    assert len(plan_programs(sizes[:MOST] * 50).programs) == MOST  # none of these is worth joining


@pytest.mark.parametrize(("size", "exact"), [((96, 128), True), ((96, 129), False), ((97, 128), False)])
def test_only_sizes_that_cameras_have_get_a_program_of_their_own(size, exact):
    program = program_for(*size)
    assert program.exact == exact
    assert program.holds(*size)
