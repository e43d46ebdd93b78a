//! The state of a simulated disk: what programs see, what would survive a power cut, and the list
//! of changes between the two.
//!
//! A file has durable bytes and an ordered list of pending changes; a directory has durable names
//! and pending changes of names. `view` is durable plus pending. Nothing here counts calls, injects
//! faults or draws randomness.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use phantom_base::Map;

use crate::FileClass;

pub(super) type NodeId = u64;
pub(super) const ROOT: NodeId = 0;

/// A change of a file's content or length that no sync has covered.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// `cut`: the machine stopped during it.
    Write {
        at: u64,
        bytes: Vec<u8>,
        cut: bool,
    },
    SetLen(u64),
    Allocate {
        end: u64,
    },
}

/// A change of a directory's names that no sync has covered.
#[derive(Clone, Debug)]
pub(super) enum DirChange {
    Link {
        name: OsString,
        node: NodeId,
    },
    Unlink {
        name: OsString,
    },
    /// One step: either name, never none.
    Rename {
        from: OsString,
        to: OsString,
    },
}

#[derive(Clone, Debug)]
pub(super) struct FileNode {
    pub class: FileClass,
    pub durable: Vec<u8>,
    pub view: Vec<u8>,
    /// With the place of each in the order of all changes of the disk.
    pub pending: Vec<(u64, Change)>,
    pub links: usize,
    pub handles: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub durable: Map<OsString, NodeId>,
    pub view: Map<OsString, NodeId>,
    pub pending: Vec<(u64, DirChange)>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// All nodes, with the order of changes.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub nodes: Map<NodeId, Node>,
    pub next_node: NodeId,
    pub changes: u64,
    /// Bytes of all files that a name or a handle still reaches.
    pub used: u64,
}

impl Change {
    /// Carries the change out.
    pub fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes, .. } => overwrite(content, *at, bytes),
            Self::SetLen(len) => content.resize(*len as usize, 0),
            Self::Allocate { end } => content.resize(content.len().max(*end as usize), 0),
        }
    }
}

impl DirChange {
    /// Carries the change out.
    pub fn apply(&self, names: &mut Map<OsString, NodeId>) {
        match self {
            Self::Link { name, node } => {
                names.insert(name.clone(), *node);
            }
            Self::Unlink { name } => {
                names.remove(name);
            }
            Self::Rename { from, to } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

/// Writes `bytes` at `at`; a hole before them reads as zeros.
pub(super) fn overwrite(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let (start, end) = (at as usize, at as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

impl Disk {
    pub fn new() -> Self {
        let root = Node::Dir(DirNode::default());
        Self { nodes: Map::from([(ROOT, root)]), next_node: ROOT + 1, changes: 0, used: 0 }
    }

    /// The same disk after every open file was closed.
    pub fn without_handles(&self) -> Self {
        let mut disk = self.clone();
        let open = |node: &Node| matches!(node, Node::File(file) if file.handles > 0);
        let nodes: Vec<NodeId> =
            disk.nodes.iter().filter(|(_, node)| open(node)).map(|(id, _)| *id).collect();
        for node in nodes {
            if let Ok(file) = disk.file_mut(node) {
                file.handles = 1;
            }
            disk.close(node);
        }
        disk
    }

    /// The node of a path.
    pub fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for part in path.components() {
            match part {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => {
                    let next = self.dir(at)?.view.get(name);
                    at = *next.ok_or_else(|| not_found(path))?;
                }
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(at)
    }

    /// The directory of a path, and the path's last name.
    pub fn parent<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.dir(dir)?;
        Ok((dir, name))
    }

    pub fn dir(&self, node: NodeId) -> io::Result<&DirNode> {
        match self.nodes.get(&node) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub fn file(&self, node: NodeId) -> io::Result<&FileNode> {
        match self.nodes.get(&node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub fn file_mut(&mut self, node: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn dir_mut(&mut self, node: NodeId) -> &mut DirNode {
        match self.nodes.get_mut(&node) {
            Some(Node::Dir(dir)) => dir,
            _ => unreachable!("node {node} was found to be a directory"),
        }
    }

    /// Changes names: in the view at once, durably with the next sync of the directory.
    pub fn change_dir(&mut self, dir: NodeId, change: DirChange) {
        self.changes += 1;
        let order = self.changes;
        let dir = self.dir_mut(dir);
        change.apply(&mut dir.view);
        dir.pending.push((order, change));
    }

    /// Changes content: in the view at once, durably with the next sync of the file.
    pub fn change_file(&mut self, node: NodeId, change: Change) -> io::Result<()> {
        self.changes += 1;
        let order = self.changes;
        let file = self.file_mut(node)?;
        let before = file.view.len() as u64;
        change.apply(&mut file.view);
        let after = file.view.len() as u64;
        file.pending.push((order, change));
        self.used = self.used + after - before;
        Ok(())
    }

    /// Adds a node that no name reaches yet.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(id, node);
        id
    }

    /// Counts a file's name away; frees the room when nothing reaches it.
    pub fn unlink(&mut self, node: NodeId) {
        if let Ok(file) = self.file_mut(node) {
            file.links -= 1;
        }
        self.collect(node);
    }

    /// Counts a file's handle away.
    pub fn close(&mut self, node: NodeId) {
        if let Ok(file) = self.file_mut(node) {
            file.handles -= 1;
        }
        self.collect(node);
    }

    fn collect(&mut self, node: NodeId) {
        let Ok(file) = self.file_mut(node) else { return };
        if file.links > 0 || file.handles > 0 {
            return;
        }
        // A crash may bring the name back, so the durable bytes stay until no directory has it.
        let freed = file.view.len() as u64;
        file.view = Vec::new();
        self.used -= freed;
        self.forget_unreachable(node);
    }

    fn forget_unreachable(&mut self, node: NodeId) {
        let reachable = self.nodes.values().any(|other| match other {
            Node::Dir(dir) => dir.durable.values().any(|n| *n == node)
                || dir.pending.iter().any(
                    |(_, change)| matches!(change, DirChange::Link { node: n, .. } if *n == node),
                ),
            Node::File(_) => false,
        });
        if !reachable {
            self.nodes.remove(&node);
        }
    }

    /// Makes a directory's names durable.
    pub fn sync_dir(&mut self, node: NodeId) -> io::Result<()> {
        self.dir(node)?;
        let dir = self.dir_mut(node);
        let before = std::mem::take(&mut dir.durable);
        dir.durable.clone_from(&dir.view);
        dir.pending.clear();
        let gone: Vec<NodeId> = before.into_values().filter(|n| !self.is_live(*n)).collect();
        for node in gone {
            self.forget_unreachable(node);
        }
        Ok(())
    }

    fn is_live(&self, node: NodeId) -> bool {
        self.file(node).map_or(true, |file| file.links > 0 || file.handles > 0)
    }

    /// Makes a file's content and length durable.
    pub fn sync_file(&mut self, node: NodeId) -> io::Result<()> {
        let file = self.file_mut(node)?;
        let mut durable = std::mem::take(&mut file.durable);
        for (_, change) in file.pending.drain(..) {
            change.apply(&mut durable);
        }
        file.durable = durable;
        Ok(())
    }
}
