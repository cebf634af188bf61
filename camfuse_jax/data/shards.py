"""Which part of a list one of several processes takes."""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from camfuse_jax.errors import UsageError

_Item = TypeVar("_Item")


class Shard(NamedTuple):
    """One of several parts that share nothing and together are everything.

    Attributes:
        number: From 1.
        count: How many parts there are.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[_Item]) -> list[_Item]:
        """This part of a list that is the same, in the same order, for everybody.

        Every `count`-th item: neighbours, which are often alike in size, go to different parts, and the parts'
        lengths differ by one at most.
        """
        return list(items[self.number - 1 :: self.count])


def parse_shard(text: str) -> Shard:
    """Reads `I/N`, such as 1/4.

    Raises:
        UsageError: It is not that, or I is not from 1 to N.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    shard = Shard(*map(int, match.groups())) if match else Shard(0, 0)
    if not 1 <= shard.number <= shard.count:
        raise UsageError(f"--shard {text} is not a part.", "Write I/N with I from 1 to N, such as 1/4.")
    return shard
