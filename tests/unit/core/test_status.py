"""What the core says of its groups is read as it is written."""

from dataclasses import asdict

import cbor2

from phantomdb.core.status import GroupStatus, MemberStatus, decode_status

MEMBER = {"node": 2, "matched": 9, "applied": 8, "too_far_behind": False}
GROUP = {
    "id": 1,
    "leader": 1,
    "term": 3,
    "role": "leader",
    "commit": 9,
    "applied": 9,
    "hash": 77,
    "too_far_behind": False,
    "members": [MEMBER],
}


def test_groups_and_their_members_are_read_and_shown_in_the_same_order() -> None:
    [group] = decode_status(cbor2.dumps([GROUP]))
    member = MemberStatus(2, 9, 8, too_far_behind=False)
    assert group == GroupStatus(
        1, 1, 3, "leader", 9, 9, hash=77, too_far_behind=False, members=(member,)
    )
    shown = asdict(group)
    assert list(shown) == list(GROUP)
    assert shown | {"members": list(shown["members"])} == GROUP
