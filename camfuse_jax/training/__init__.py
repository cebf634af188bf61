"""Training of both stages: optimiser, parallel step, checkpoints, progress and the loop."""

from camfuse_jax.training import saved_config
from camfuse_jax.training.checkpoint import StageCheckpoints
from camfuse_jax.training.loop import Task, fit
from camfuse_jax.training.parallel import TrainState
from camfuse_jax.training.progress import Progress
from camfuse_jax.training.shared_checkpoints import Checkpoints, open_checkpoints

__all__ = [
    "Checkpoints",
    "Progress",
    "StageCheckpoints",
    "Task",
    "TrainState",
    "fit",
    "open_checkpoints",
    "saved_config",
]
