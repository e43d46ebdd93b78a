"""What a core may say of its groups, for tests of who reads it."""

from phantomdb.core import GroupStatus, MemberStatus


def a_group(
    number: int,
    *,
    leader: int,
    term: int = 1,
    commit: int = 0,
    applied: int = 0,
    members: tuple[MemberStatus, ...] = (),
) -> GroupStatus:
    """Return the status of a group that this node follows, or leads if `members` are given."""
    return GroupStatus(
        number,
        leader,
        term,
        "leader" if members else "follower",
        commit,
        applied,
        hash=0,
        too_far_behind=False,
        members=members,
    )
