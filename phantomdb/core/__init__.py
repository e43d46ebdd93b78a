"""The only door to the Rust extension: the pump, completions by token, errors.

Batches cross it, rows do not: bytes, ints and lists of them. What the core answers with an error is
raised here as a `PhantomError`.
"""

from phantomdb.core.node import Node, claim
from phantomdb.core.signal import Signal
from phantomdb.core.status import GroupStatus, MemberStatus

__all__ = ["GroupStatus", "MemberStatus", "Node", "Signal", "claim"]
