"""The only door to the Rust extension: events and verbs, completions by token, errors.

Batches cross it, rows do not: bytes, ints and lists of them. What the core answers with an error is
raised here as a `PhantomError`.
"""

from phantomdb.core.node import Node, claim
from phantomdb.core.reactor import FEATURES, NobodyAnswers, Reactor, Stream
from phantomdb.core.security import BadCertificates, Certified, Files, Security
from phantomdb.core.status import GroupStatus, MemberStatus

__all__ = [
    "FEATURES",
    "BadCertificates",
    "Certified",
    "Files",
    "GroupStatus",
    "MemberStatus",
    "NobodyAnswers",
    "Node",
    "Reactor",
    "Security",
    "Stream",
    "claim",
]
