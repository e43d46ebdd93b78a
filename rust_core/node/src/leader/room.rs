//! What a write is told when disks are full.

use phantom_base::{Error, GroupId, sqlstate};

use super::{Context, GroupLeader, RequestId};

/// Why there is no room for an entry of a group.
#[derive(Clone, Debug)]
pub struct NoRoom {
    /// Whether another node is about to lead the group, or may be.
    pub is_leaving: bool,
    /// This node's own disk, if it is full.
    pub own: Option<FullDisk>,
    /// The names of members whose disks are full.
    pub full: Vec<String>,
}

/// A disk under its reserve; sizes in bytes.
#[derive(Clone, Debug)]
pub struct FullDisk {
    /// The node's name.
    pub name: String,
    /// What is free.
    pub free: u64,
    /// All there is.
    pub total: u64,
    /// What is kept for the node itself.
    pub reserve: u64,
}

impl GroupLeader {
    /// Ends a write for which there is no room; nothing was done. If another node is about to lead
    /// the group, the gateway waits for that one; else it is 53100.
    pub(super) fn no_room(&mut self, context: &mut Context<'_>, request: RequestId, room: &NoRoom) {
        if room.is_leaving {
            phantom_base::mark!("a_write_waits_for_a_leader_with_room");
            self.send_away(context, request);
        } else {
            let error = disk_full(self.group, &self.target(request), room);
            self.fail(context, request, error);
        }
    }
}

fn disk_full(group: GroupId, target: &str, room: &NoRoom) -> Error {
    let message = match &room.own {
        Some(FullDisk { name, free, total, reserve }) => {
            let (free, total, reserve) = (shown(*free), shown(*total), shown(*reserve));
            format!(
                "could not extend {target}: the disk of node {name} has {free} of {total} free, \
                 and {reserve} are kept in reserve"
            )
        }
        None => {
            format!("could not extend {target}: too few members of group {} have room", group.0)
        }
    };
    let names = room.full.join(", ");
    Error::new(sqlstate::DISK_FULL, message)
        .with_detail(format!("Full disks of group {}: {names}. Nothing was done.", group.0))
        .with_hint("Free space on them, or enlarge them: writes then go on by themselves.")
}

/// A size for people.
fn shown(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}
