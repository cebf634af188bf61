"""PyAV, which brings FFmpeg with it: loaded only when a video is read or written."""

from typing import Any

from camfuse_jax.errors import UsageError


def load_av() -> Any:
    """The module `av`.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UsageError(
            "Video files and streams need PyAV, which is not installed.", "pip install 'camfuse-jax[video]'."
        ) from error
    return av
