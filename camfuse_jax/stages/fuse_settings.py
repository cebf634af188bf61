"""What all fuse commands have in common, whether they fuse files or videos."""

import dataclasses

from camfuse_jax import fusion
from camfuse_jax.config import Rule
from camfuse_jax.frames import FrameSettings
from camfuse_jax.images import Limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class FuseSettings:
    """How to fuse.

    Attributes:
        weights: As for `load_params`.
        rule: Fusion rule instead of the one that the weights bring.
        frame: How each pair is treated.
        ir_gain: Balance, see `fusion.balanced`.
        vis_gain: Balance.
        force: Replace existing files.
        dry_run: Say what would be done and do nothing.
        limits: What is read at most.
    """

    weights: str = "tno"
    rule: Rule | None = None
    frame: FrameSettings = dataclasses.field(default_factory=FrameSettings)
    ir_gain: float = 1.0
    vis_gain: float = 1.0
    force: bool = False
    dry_run: bool = False
    limits: Limits = dataclasses.field(default_factory=Limits)

    def params(self) -> fusion.Params:
        """The weights with rule and balance.

        Raises:
            CheckpointError: They cannot be loaded.
            UsageError: A gain is wrong.
        """
        params = fusion.with_rule(fusion.load_params(self.weights), self.rule)
        return fusion.balanced(params, ir_gain=self.ir_gain, vis_gain=self.vis_gain)
