"""Stage `bench`: how fast, against PyTorch, ONNX Runtime, OpenVINO and the machine's limit."""

import dataclasses
import itertools
import multiprocessing
import os
import pathlib
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from camfuse_jax.config import Config
from camfuse_jax.errors import CamfuseError, UsageError
from camfuse_jax.fusion.params import load_params
from torch_reference import table
from torch_reference.bench_worker import RUN, STOP, Case, serve
from torch_reference.peak import Peak, measure
from torch_reference.work import Work, fuse_work, training_work

_COPIES = 3  # of the largest layer that a program holds: padded input, output, and what it keeps for later


@dataclasses.dataclass(frozen=True)
class Timing:
    """One row.

    Attributes:
        work: `fuse`, `ae` or `cls`.
        images: What one call takes.
        backend: Which program.
        median_s: Wall time of a call.
        quartiles_s: The two quartiles.
        processor_s: Median processor time of a call over all threads.
        first_s: First call, with compilation.
        peak_bytes: Memory at the peak, without the loaded libraries.
        limit_share: Limit of the machine over the median time; 1 is the limit.
        times_ours: Median over that of camfuse_jax in the same rounds.
        flops: Floating-point operations of a call.
        moved: Bytes that a program moves which does layer after layer.
        gflops: Operations a second, in billions.
        device: Where.
        missing: Why there is no time.
    """

    work: str
    images: str
    backend: str
    median_s: float | None = None
    quartiles_s: tuple[float, float] | None = None
    processor_s: float | None = None
    first_s: float | None = None
    peak_bytes: int | None = None
    limit_share: float | None = None
    times_ours: float | None = None
    flops: float | None = None
    moved: float | None = None
    gflops: float | None = None
    device: str = ""
    missing: str = ""


def bench(config: Config, options: Any, *, weights: str, out: pathlib.Path) -> None:
    """Times every program on every case in turn, prints a table and writes `bench.md` and `bench.json`.

    Args:
        config: Batch size and crop of the training steps.
        options: `camfuse_jax.stages.Bench`.
        weights: As `load_params` takes them.
        out: Folder of the table.

    Raises:
        UsageError: If a size is not readable or fewer than one round is asked for.
        CamfuseError: If camfuse_jax itself could not be timed.
    """
    if options.rounds < 1 or options.threads < 0:
        raise UsageError("bench.rounds must be 1 or more and bench.threads 0 or more.")
    net = load_params(weights).net
    # Nobody takes a GPU's whole memory beforehand.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    cases = list(_cases(config, options, weights))
    peak = _peak(options.threads)
    rows: list[Timing] = []
    for case in cases:
        print(f"bench: {case.work}, {case.told}", file=sys.stderr, flush=True)
        work = (
            fuse_work(net, case.count, case.height, case.width)
            if case.work == "fuse"
            else training_work(case.work, net, case.count, case.height)
        )
        rows += _case(case, options, work, peak)
    stamp = _stamp(weights, options, peak)
    text = _markdown(rows, stamp)
    values = {"stamp": stamp, "peak": peak._asdict(), "rows": [dataclasses.asdict(row) for row in rows]}
    table.write(out, "bench", text, values)
    print(text, end="")
    failed = [f"{row.work}, {row.images}: {row.missing}" for row in rows if row.backend == "jax" and row.missing]
    if failed:
        raise CamfuseError(f"camfuse_jax could not be timed. {' '.join(failed)}")


def _cases(config: Config, options: Any, weights: str) -> Iterator[Case]:
    for work in options.work:
        if work == "fuse":
            for size, count in itertools.product(options.sizes, options.batches):
                found = re.fullmatch(r"(\d+)x(\d+)", size)
                if not found or count < 1 or "0" in found.groups():
                    raise UsageError(f"bench cannot fuse {count} of {size}.", "A size is WIDTHxHEIGHT, as 640x480.")
                yield Case(work, count, int(found[2]), int(found[1]), weights, config, options.threads)
        else:
            stage = getattr(config, work)
            yield Case(work, stage.batch_size, stage.crop, stage.crop, weights, config, options.threads)


def _case(case: Case, options: Any, work: Work, peak: Peak) -> Iterator[Timing]:
    backends = list(dict.fromkeys(options.backends))
    needed, there = _COPIES * work.largest * len(backends), _available()
    if case.work == "fuse" and needed > there:
        why = f"not run: about {needed / 2**30:.0f} GiB needed together, {there / 2**30:.0f} available"
        yield from (Timing(case.work, case.told, backend, missing=why) for backend in backends)
        return
    context = multiprocessing.get_context("spawn")
    running: dict[str, Any] = {}
    first, missing = {}, {}
    for backend in backends:
        pipe, other = context.Pipe()
        process = context.Process(target=serve, args=(other, backend, case), daemon=True)
        process.start()
        other.close()  # so that a process that dies is noticed here
        kind, told = _received(pipe, backend)
        if kind == "ready":
            running[backend], first[backend] = pipe, told
        else:
            missing[backend] = told
    calls: dict[str, list[tuple[float, float]]] = {backend: [] for backend in running}
    for _ in range(options.rounds):
        for backend, pipe in running.items():
            pipe.send(RUN)
            calls[backend].append(_received(pipe, backend))
    ended = {}
    for backend, pipe in running.items():
        pipe.send(STOP)
        ended[backend] = _received(pipe, backend)
    ours = float(np.median([wall for wall, _ in calls["jax"]])) if "jax" in calls else None
    for backend in backends:
        if backend in missing:
            yield Timing(case.work, case.told, backend, missing=missing[backend])
        else:
            seen = np.array(calls[backend])
            yield _row(case, backend, seen, work, peak, first=first[backend], ended=ended[backend], ours=ours)


def _row(
    case: Case, backend: str, seen: np.ndarray, work: Work, peak: Peak, *, first: float, ended: Any, ours: float | None
) -> Timing:
    low, median, high = (float(q) for q in np.quantile(seen[:, 0], (0.25, 0.5, 0.75)))
    limit = max(work.flops / peak.flops, work.moved / peak.moved)
    return Timing(
        case.work,
        case.told,
        backend,
        median_s=median,
        quartiles_s=(low, high),
        processor_s=float(np.median(seen[:, 1])),
        first_s=first,
        peak_bytes=ended[0],
        limit_share=limit / median,
        times_ours=median / ours if ours else None,
        flops=work.flops,
        moved=work.moved,
        gflops=work.flops / median / 1e9,
        device=ended[1],
    )


def _received(pipe: Any, who: str) -> Any:
    try:
        return pipe.recv()
    except EOFError as error:
        raise CamfuseError(
            f"bench: the process of {who} ended without an answer.", "Is there enough memory?"
        ) from error


def _peak(threads: int) -> Peak:
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=measure, args=(other, threads))
    process.start()
    other.close()
    found = _received(pipe, "the peak measurement")
    process.join()
    return found


def _available() -> int:
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _stamp(weights: str, options: Any, peak: Peak) -> dict[str, str]:
    names = ("jax", "jaxlib", "torch", "onnxruntime", "openvino")
    installed = {package.metadata["Name"].lower() for package in metadata.distributions()}
    versions = [f"{name} {metadata.version(name) if name in installed else 'absent'}" for name in names]
    cpus = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = cpus[0].split(":")[1].strip() if cpus else platform.machine()
    threads = options.threads or len(os.sched_getaffinity(0))
    return {
        "weights": weights,
        "versions": ", ".join(versions),
        "machine": f"{processor}, {threads} threads; load before and during: {os.getloadavg()[0]:.1f}",
        "limit": f"{peak.flops / 1e9:.0f} GFLOP/s (matrix product), {peak.moved / 1e9:.1f} GB/s (copy), {peak.device}",
        "how": f"float32, {options.rounds} rounds, one call of each program in turn, each in its own process",
    }


def _markdown(rows: Sequence[Timing], stamp: dict[str, str]) -> str:
    head = "| work | images | GFLOP, GB | program | median ms | quartiles | processor ms | times ours | GFLOP/s | "
    lines = ["  \n".join(f"{name}: {value}" for name, value in stamp.items()), ""]
    lines += [head + "of the limit | first call s | peak MiB |", "|---" * 12 + "|"]
    for row in rows:
        start = f"| {row.work} | {row.images} | "
        if row.missing:
            lines.append(start + f"| {row.backend} | {row.missing} |" + " |" * 7)
            continue
        low, high = row.quartiles_s
        cells = [
            f"{row.flops / 1e9:.1f}, {row.moved / 1e9:.2f}",
            row.backend,
            f"{row.median_s * 1e3:.0f}",
            f"{low * 1e3:.0f}-{high * 1e3:.0f}",
            f"{row.processor_s * 1e3:.0f}",
            "-" if row.times_ours is None else f"{row.times_ours:.2f}",
            f"{row.gflops:.0f}",
            f"{row.limit_share:.2f}",
            f"{row.first_s:.1f}",
            f"{row.peak_bytes / 2**20:.0f}",
        ]
        lines.append(start + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
