//! What a disk holds after the power went: the images that a crash may leave behind.
//!
//! The unit is a 512-byte sector, assumed atomic; a larger one cannot tear inside a page. Content,
//! length and names survive independently of each other unless a sync bound them; a rename leaves
//! the old or the new name; a write that the crash cut keeps a random subset of its sectors.

use std::ffi::OsString;
use std::str::FromStr;

use phantom_base::{Map, Random, SeededRandom};

use super::disk::{Change, DirNode, Disk, FileNode, Node, NodeId, ROOT, overwrite};

const SECTOR: u64 = 512;

/// Which of the changes that no sync covered survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// None.
    LoseAll,
    /// All.
    KeepAll,
    /// The first few, in the order of the calls.
    PrefixOfOps,
    /// Each sector, length and name for itself, with a probability in percent.
    AnySubset(u8),
}

impl FromStr for Crash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "LoseAll" => Ok(Self::LoseAll),
            "KeepAll" => Ok(Self::KeepAll),
            "PrefixOfOps" => Ok(Self::PrefixOfOps),
            _ => {
                let percent = text.strip_prefix("AnySubset:").and_then(|p| p.parse().ok());
                percent.map(Self::AnySubset).ok_or_else(|| {
                    format!("`{text}` is not LoseAll, KeepAll, PrefixOfOps or AnySubset:PERCENT")
                })
            }
        }
    }
}

struct Survival {
    policy: Crash,
    /// `PrefixOfOps`: changes after this one are gone.
    last: u64,
    random: SeededRandom,
}

/// The disk after a crash.
pub(super) fn image(disk: &Disk, seed: u64, policy: Crash) -> Disk {
    let mut random = SeededRandom::new(seed);
    let last = random.below(disk.changes + 1);
    let mut survival = Survival { policy, last, random };
    let mut after = Disk::new();
    let mut copies = Map::new();
    survival.copy_dir(disk, ROOT, &mut after, ROOT, &mut copies);
    after
}

impl Survival {
    fn keeps(&mut self, order: u64) -> bool {
        match self.policy {
            Crash::LoseAll => false,
            Crash::KeepAll => true,
            Crash::PrefixOfOps => order <= self.last,
            Crash::AnySubset(percent) => self.random.below(100) < u64::from(percent),
        }
    }

    fn copy_dir(
        &mut self,
        disk: &Disk,
        from: NodeId,
        after: &mut Disk,
        to: NodeId,
        copies: &mut Map<NodeId, NodeId>,
    ) {
        let Some(Node::Dir(dir)) = disk.nodes.get(&from) else { return };
        let mut names = Map::new();
        for (name, node) in self.surviving_names(dir) {
            let copy = match disk.nodes.get(&node) {
                None => continue,
                Some(Node::Dir(_)) => {
                    let copy = after.add(Node::Dir(DirNode::default()));
                    self.copy_dir(disk, node, after, copy, copies);
                    copy
                }
                Some(Node::File(file)) => match copies.get(&node) {
                    Some(copy) => *copy,
                    None => self.copy_file(file, after),
                },
            };
            if let Ok(file) = after.file_mut(copy) {
                file.links += 1;
            }
            copies.insert(node, copy);
            names.insert(name, copy);
        }
        if let Some(Node::Dir(dir)) = after.nodes.get_mut(&to) {
            dir.durable.clone_from(&names);
            dir.view = names;
        }
    }

    fn surviving_names(&mut self, dir: &DirNode) -> Map<OsString, NodeId> {
        let mut names = dir.durable.clone();
        for (order, change) in &dir.pending {
            if self.keeps(*order) {
                change.apply(&mut names);
            }
        }
        names
    }

    fn copy_file(&mut self, file: &FileNode, after: &mut Disk) -> NodeId {
        let mut content = file.durable.clone();
        let mut len = content.len();
        for (order, change) in &file.pending {
            self.apply(*order, change, &mut content, &mut len);
        }
        content.resize(len, 0);
        after.used += len as u64;
        after.add(Node::File(FileNode {
            class: file.class,
            durable: content.clone(),
            view: content,
            pending: Vec::new(),
            links: 0,
            handles: 0,
        }))
    }

    fn apply(&mut self, order: u64, change: &Change, content: &mut Vec<u8>, len: &mut usize) {
        let torn = match change {
            Change::Write { cut, .. } => *cut || matches!(self.policy, Crash::AnySubset(_)),
            _ => false,
        };
        match change {
            Change::Write { at, bytes, cut } if torn => {
                if *cut && !matches!(self.policy, Crash::AnySubset(_)) && !self.keeps(order) {
                    return;
                }
                self.tear(*at, bytes, *cut, content, len);
            }
            change => {
                if self.keeps(order) {
                    content.resize(*len, 0);
                    change.apply(content);
                    *len = content.len();
                }
            }
        }
    }

    /// Keeps some sectors of a write; what it should have filled holds zeros or noise.
    fn tear(&mut self, at: u64, bytes: &[u8], cut: bool, content: &mut Vec<u8>, len: &mut usize) {
        let percent = match self.policy {
            Crash::AnySubset(percent) if !cut => u64::from(percent),
            _ => 50,
        };
        let end = at + bytes.len() as u64;
        let noise = self.random.one_in(3);
        if content.len() < end as usize {
            content.resize(end as usize, 0);
        }
        let mut start = at;
        while start < end {
            let stop = ((start / SECTOR + 1) * SECTOR).min(end);
            let piece = &bytes[(start - at) as usize..(stop - at) as usize];
            if self.random.below(100) < percent {
                overwrite(content, start, piece);
            } else if noise && start as usize >= *len {
                let garbage: Vec<u8> = piece.iter().map(|_| self.random.next_u64() as u8).collect();
                overwrite(content, start, &garbage);
            }
            start = stop;
        }
        if end as usize > *len && self.random.below(100) < percent {
            *len = end as usize;
        }
    }
}
