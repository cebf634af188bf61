"""The programs that are compared: each prepares one call on the same weights and images."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from camfuse_jax.errors import UsageError
from camfuse_jax.export.runtimes import import_openvino
from camfuse_jax.fusion.params import Params, load_params
from torch_reference.bench_worker import Case

_STEPS = 10_000  # of the schedule; more than are ever timed


@dataclasses.dataclass(frozen=True)
class Program:
    """A prepared call.

    Attributes:
        call: Does the work and waits for it.
        device: Where.
        device_memory: Bytes on a device of its own at the peak; 0 where the process's memory is what counts.
    """

    call: Callable[[], Any]
    device: str = "cpu"
    device_memory: Callable[[], int] = lambda: 0


def _images(case: Case) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ir, vis = rng.random((2, case.count, case.height, case.width, 1), np.float32)
    return ir, vis


def _label(case: Case) -> np.ndarray:
    return np.arange(case.count, dtype=np.int32) % 2


def _jax(case: Case) -> Program:
    import jax

    from camfuse_jax.fusion.fuse import fuse_arrays

    jax.config.update("jax_enable_compilation_cache", False)
    params = load_params(case.weights)
    device = jax.devices()[0]

    def peak() -> int:
        return 0 if device.platform == "cpu" else int((device.memory_stats() or {}).get("peak_bytes_in_use", 0))

    if case.work == "fuse":
        arguments = jax.device_put((params, *_images(case)))
        call = functools.partial(lambda *given: fuse_arrays(*given).block_until_ready(), *arguments)
    else:
        call = _jax_step(case, params)
    return Program(call, f"{device.platform} {device.device_kind}", peak)


def _jax_step(case: Case, params: Params) -> Callable[[], None]:
    """The package's own training step over all devices."""
    import jax
    import jax.numpy as jnp

    from camfuse_jax.training import autoencoder, classifier
    from camfuse_jax.training import step as parallel
    from camfuse_jax.training.step import make_optimizer

    config = dataclasses.replace(case.config, net=params.net)
    devices = jax.local_device_count()
    batch: dict[str, np.ndarray] = {"image": _images(case)[0] * 2 - 1}
    if case.work == "ae":
        tree, frozen = {"encoder": params.encoder, "decoder": params.decoder}, {}
        loss_fn, tx = autoencoder.make_autoencoder_loss(config), make_optimizer(config.ae, total_steps=_STEPS)
    else:
        tree, frozen = params.classifier, {"encoder": params.encoder}
        batch["label"] = _label(case)
        loss_fn = classifier.make_classifier_loss(config, steps_per_epoch=0)  # alpha acts from the first step
        tx = make_optimizer(config.cls, total_steps=_STEPS)
    step = parallel.make_step(loss_fn, tx, devices=devices)
    state = parallel.replicate(parallel.TrainState(jnp.int32(0), tree, tx.init(tree)), devices=devices)
    frozen, cut = parallel.replicate(frozen, devices=devices), parallel.shard(batch, devices=devices)

    def call() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(step(state, frozen, cut))

    return call


def _torch(case: Case, *, channels_last: bool = False, compiled: bool = False) -> Program:
    import torch

    from torch_reference import fusion, training
    from torch_reference.bridge import from_params, nchw

    if case.threads:
        torch.set_num_threads(case.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = from_params(load_params(case.weights)).to(device, memory_format=layout)
    compiler = torch.compile if compiled else (lambda f: f)
    if compiled and device == "cpu" and case.work != "fuse":
        import torch._inductor.config

        # Else PyTorch 2.13's compiled step of these networks fails on a CPU: a convolution's gradient has another
        # layout than the compiler took for granted.
        torch._inductor.config.layout_optimization = False
    ir, vis = (nchw(image).to(device, memory_format=layout) for image in _images(case))
    if case.work == "fuse":
        run = compiler(functools.partial(fusion.fuse, model))
        work = torch.no_grad()(lambda: run(ir, vis))
    elif case.work == "ae":
        trainer = training.autoencoder_trainer(model, case.config.ae, total_steps=_STEPS, compiled=compiler)
        work = functools.partial(trainer.step, ir * 2 - 1)
    else:
        trainer = training.classifier_trainer(
            model, case.config.cls, steps_per_epoch=0, total_steps=_STEPS, compiled=compiler
        )
        work = functools.partial(trainer.step, ir * 2 - 1, torch.tensor(_label(case)).long().to(device))

    def call() -> None:
        work()
        if device == "cuda":
            torch.cuda.synchronize()

    name = "cpu" if device == "cpu" else torch.cuda.get_device_name()
    return Program(call, name, torch.cuda.max_memory_allocated if device == "cuda" else lambda: 0)


def _onnxruntime(case: Case) -> Program:
    from camfuse_jax.export.check import onnx_session

    session = onnx_session(_onnx(case), threads=case.threads)
    ir, vis = (np.moveaxis(image, 3, 1).copy() for image in _images(case))
    return Program(lambda: session.run(None, {"ir": ir, "vis": vis}))


def _openvino(case: Case) -> Program:
    core = import_openvino().Core()
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if case.threads:
        settings["INFERENCE_NUM_THREADS"] = case.threads
    model = core.compile_model(core.read_model(_onnx(case), b""), "CPU", settings)
    images = [np.moveaxis(image, 3, 1).copy() for image in _images(case)]
    return Program(lambda: model(images))


def _onnx(case: Case) -> bytes:
    if case.work != "fuse":
        raise UsageError("An exported network does not train.")
    from camfuse_jax.export.onnx import to_onnx

    return to_onnx(load_params(case.weights))


PROGRAMS: dict[str, Callable[[Case], Program]] = {
    "jax": _jax,
    "torch": _torch,
    "torch-channels-last": functools.partial(_torch, channels_last=True),
    "torch-compile": functools.partial(_torch, compiled=True),
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
