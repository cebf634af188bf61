"""Strict settings for every test: two CPU devices, no silent broadcasting of ranks, real data only where it is."""

import os
import signal
import threading
from pathlib import Path

# Read by JAX when it makes its first array, so before any import that may do so.
_DEVICES = "--xla_force_host_platform_device_count"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}=2".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402  (after the environment it reads)
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Fast tests, and the programs they start, compile with few optimizations: most of their time is XLA's compiler's.

    What is published, slow and exact is tested as users compile it: slow tests, and runs that name another mark.
    """
    if config.option.markexpr == "not slow":
        os.environ["XLA_FLAGS"] += (
            " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
            " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        )


# A compilation inside an example takes longer than any sensible deadline; the same examples every time.
settings.register_profile("camfuse", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("camfuse")

# A shell that runs the tests in the background has them ignore Ctrl-C, and the programs they start would inherit that.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real photographs (`coco`, `roadscene`, `tno`); skips the test where there is none."""
    named = os.environ.get("CAMFUSE_DATA")
    root = Path(named) if named else REPO.parent / "shared" / "data"
    if not root.is_dir():
        why = "CAMFUSE_DATA names" if named else "CAMFUSE_DATA is not set, and nothing is at"
        pytest.skip(f"no real data: {why} {root}")
    return root
