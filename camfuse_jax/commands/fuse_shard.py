"""The part of `camfuse fuse` that shares a folder among processes."""

from typing import TYPE_CHECKING

from camfuse_jax import joining
from camfuse_jax.errors import UsageError

if TYPE_CHECKING:
    from camfuse_jax.commands.fuse import Fuse
    from camfuse_jax.data.shards import Shard

_CLUSTER = ("coordinator", "processes", "process")


def chosen_shard(command: "Fuse") -> "Shard | None":
    """The part that this process takes, None for all; joins the cluster and leaves it where that says which.

    To share files only the number of this process among how many is needed, nothing of the others' work. So the
    cluster is left at once: a process that ends, well or badly, takes no other with it and waits for none.

    Raises:
        UsageError: Options exclude each other, or the place in a cluster is neither given nor found.
        ResourceError: Nobody listens at the coordinator's address.
    """
    from camfuse_jax.data.shards import Shard, parse_shard

    shared = command.distributed or any(getattr(command, name) is not None for name in _CLUSTER)
    if command.shard is not None:
        if shared:
            raise UsageError("--shard is given beside --distributed.", "Give one of them.")
        return parse_shard(command.shard)
    if not shared:
        return None
    cluster = joining.join_cluster(**{name: getattr(command, name) for name in _CLUSTER})
    joining.leave_cluster()
    return Shard(cluster.process + 1, cluster.processes)
