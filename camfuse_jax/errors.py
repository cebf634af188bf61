"""Errors a user can cause. Each kind has an exit code, and says what is wrong, where, and what to do."""


class CamfuseError(Exception):
    """Base of all errors that the command line turns into one line and an exit code.

    Args:
        what: What is wrong and where, in one sentence.
        remedy: What to do about it, in one sentence; may be empty.
    """

    exit_code = 1
    everywhere = False
    """Whether every process of a cluster ends with it at the same time; else the others lose one."""

    def __init__(self, what: str, remedy: str = ""):
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}".strip()


class SomeFailedError(CamfuseError):
    """Some inputs of several could not be used; the rest is done."""

    exit_code = 1


class UsageError(CamfuseError):
    """A wrong option, name or combination of options."""

    exit_code = 2


class InputError(CamfuseError, ValueError):
    """An image, array, folder or split file that cannot be used."""

    exit_code = 3


class CheckpointError(CamfuseError):
    """Weights or a checkpoint that are absent, damaged or do not fit."""

    exit_code = 4


class ResourceError(CamfuseError):
    """The disk is full, a folder is not writable, or memory does not suffice."""

    exit_code = 5


class OutOfMemoryError(ResourceError):
    """Memory does not suffice for one image or step; others may fit."""


class NonFiniteLossError(CamfuseError):
    """Training met a loss that is not a number; names the step and the last good checkpoint."""

    exit_code = 1
    everywhere = True


class StoppedError(CamfuseError):
    """A signal ended the run in an orderly way.

    Args:
        signum: Number of the signal; the exit code is 128 more, as shells have it.
        what: What was kept.
        remedy: How to go on.
    """

    everywhere = True

    def __init__(self, signum: int, what: str, remedy: str = ""):
        super().__init__(what, remedy)
        self.exit_code = 128 + signum
