//! `SimFs`: a disk in memory that can be crashed at any call, under a seed.
//!
//! - Every call passes one gate, which counts it, folds it into a running hash of the whole trace,
//!   and asks the fault script about it. Same seed and same calls: same hash.
//! - `crash_at_change(n)` stops the machine during the n-th call that changes the disk: that call and
//!   all later ones fail. `crash(seed, policy)` then is the disk that the next start finds.
//! - A failed sync makes the pending pages clean: they read as written until the crash and are gone
//!   after it, and the next sync says Ok (as Linux does; Rebello et al., "Can Applications Recover
//!   from fsync Failures?", 2020).

mod crash;
mod disk;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use phantom_base::{Random, SeededRandom, Set, mutant};

use crate::fault::{Call, SimErrno};
use crate::{
    Action, Advice, FaultScript, File, FileClass, Lock, Op, OpenMode, Space, Vfs, VfsFile,
};
pub use crash::Crash;
use disk::{Change, DirChange, DirNode, Disk, FileNode, Node, NodeId};

/// A simulated file system; clones are the same disk.
#[derive(Clone)]
pub struct SimFs(Arc<Mutex<State>>);

struct State {
    disk: Disk,
    budget: u64,
    random: SeededRandom,
    script: FaultScript,
    calls: u64,
    changes: u64,
    crash_at_change: Option<u64>,
    crashed: bool,
    /// The policy of the script's rule that stopped the machine.
    policy: Option<Crash>,
    hash: u64,
    locks: Set<PathBuf>,
}

/// What the gate says about a call that goes on.
enum Pass {
    Whole,
    Short(usize),
    /// The machine stops during the call: it happens, unsynced, and then answers nobody.
    Cut,
}

/// A disk with room for everything a test writes.
const BUDGET: u64 = 1 << 40;

impl SimFs {
    /// An empty disk of 1 TiB.
    pub fn new(seed: u64) -> Self {
        Self::with_disk(Disk::new(), seed, BUDGET)
    }

    fn with_disk(disk: Disk, seed: u64, budget: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            disk,
            budget,
            random: SeededRandom::new(seed),
            script: FaultScript::default(),
            calls: 0,
            changes: 0,
            crash_at_change: None,
            crashed: false,
            policy: None,
            hash: seed,
            locks: Set::new(),
        })))
    }

    /// Sets the size of the disk; what exceeds it is refused with ENOSPC.
    pub fn set_budget(&self, bytes: u64) {
        self.0.lock().budget = bytes;
    }

    /// Replaces the fault script, and its counts with it.
    pub fn set_faults(&self, script: FaultScript) {
        self.0.lock().script = script;
    }

    /// How often each rule of the script fired.
    pub fn faults_fired(&self) -> Vec<u64> {
        self.0.lock().script.fired()
    }

    /// How many I/O calls there were.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// How many of them change the disk or what of it is durable.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Stops the machine during the `n`-th change from the beginning of this disk, from 1.
    pub fn crash_at_change(&self, n: u64) {
        self.0.lock().crash_at_change = Some(n);
    }

    /// Stops the machine now.
    pub fn stop(&self) {
        self.0.lock().crashed = true;
    }

    /// Whether the machine stopped.
    pub fn is_crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// The policy of the script's rule that stopped the machine, if one did.
    pub fn crash_policy(&self) -> Option<Crash> {
        self.0.lock().policy
    }

    /// The disk that the next start finds. This one is left as it is.
    #[must_use]
    pub fn crash(&self, seed: u64, policy: Crash) -> Self {
        let state = self.0.lock();
        Self::with_disk(crash::image(&state.disk, seed, policy), seed, state.budget)
    }

    /// The disk as the next process finds it when this one was killed and the machine goes on: it
    /// reads what was written, and what no sync covered may still be lost. This one is left as it is.
    #[must_use]
    pub fn kill(&self, seed: u64) -> Self {
        let state = self.0.lock();
        Self::with_disk(state.disk.without_handles(), seed, state.budget)
    }

    /// A hash over all calls so far: their kind, path, place, bytes and outcome.
    pub fn trace_hash(&self) -> u64 {
        self.0.lock().hash
    }

    /// The content of a file, without a call; for tests.
    pub fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        let node = state.disk.find(path)?;
        Ok(state.disk.file(node)?.view.clone())
    }

    /// Damages a byte on the disk: flips the bits of `mask`.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let mut state = self.0.lock();
        let node = state.disk.find(path)?;
        let file = state.disk.file_mut(node)?;
        for content in [&mut file.view, &mut file.durable] {
            if let Some(byte) = content.get_mut(offset as usize) {
                *byte ^= mask;
            }
        }
        Ok(())
    }

    /// Passes the gate, then performs the call; both under one lock.
    fn call<T>(
        &self,
        op: Op,
        target: Target<'_>,
        perform: impl FnOnce(&mut State, Pass) -> io::Result<T>,
    ) -> io::Result<T> {
        let state = &mut *self.0.lock();
        let pass = state.gate(op, &target)?;
        let cut = matches!(pass, Pass::Cut);
        let result = perform(state, pass);
        state.fold(u64::from(result.is_ok()));
        if cut {
            return Err(stopped());
        }
        result
    }
}

/// What a call is about.
#[derive(Clone, Copy)]
struct Target<'a> {
    class: Option<FileClass>,
    path: &'a Path,
    offset: u64,
    len: u64,
    node: Option<NodeId>,
}

impl<'a> Target<'a> {
    fn path(path: &'a Path) -> Self {
        Self { class: None, path, offset: 0, len: 0, node: None }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

impl State {
    fn fold(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }

    fn fold_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.fold(u64::from(*byte));
        }
    }

    fn gate(&mut self, op: Op, target: &Target<'_>) -> io::Result<Pass> {
        if self.crashed {
            return Err(stopped());
        }
        self.calls += 1;
        self.changes += u64::from(op.is_change());
        self.fold(op as u64);
        self.fold_bytes(target.path.as_os_str().as_encoded_bytes());
        self.fold(target.offset);
        self.fold(target.len);
        let known = self.disk.find(target.path).and_then(|n| Ok(self.disk.file(n)?.class)).ok();
        let call = Call {
            op,
            class: target.class.or(known),
            path: &target.path.to_string_lossy(),
            offset: target.offset,
            number: self.calls,
        };
        let action = self.script.decide(&call, &mut self.random);
        if op.is_change() && self.crash_at_change == Some(self.changes) {
            self.crashed = true;
            return Ok(Pass::Cut);
        }
        match action {
            None => Ok(Pass::Whole),
            Some(Action::Short(n)) => Ok(Pass::Short(n)),
            Some(Action::Crash(policy)) => {
                (self.crashed, self.policy) = (true, Some(policy));
                Ok(Pass::Cut)
            }
            Some(Action::Error(errno)) => {
                self.lose_pages_of_a_failed_sync(op, target);
                Err(match errno {
                    SimErrno::Eio => rustix::io::Errno::IO.into(),
                    SimErrno::Enospc => rustix::io::Errno::NOSPC.into(),
                })
            }
        }
    }

    fn lose_pages_of_a_failed_sync(&mut self, op: Op, target: &Target<'_>) {
        match op {
            Op::Sync => {
                let node = target.node.expect("a sync names its file");
                if let Ok(file) = self.disk.file_mut(node) {
                    file.pending.clear();
                }
            }
            Op::SyncDir => {
                let node = self.disk.find(target.path).ok();
                if let Some(Node::Dir(dir)) = node.and_then(|n| self.disk.nodes.get_mut(&n)) {
                    dir.pending.clear();
                }
            }
            _ => {}
        }
    }

    fn room(&self) -> u64 {
        self.budget.saturating_sub(self.disk.used)
    }

    fn add_name(&mut self, path: &Path, node: NodeId) -> io::Result<()> {
        let (dir, name) = self.disk.parent(path)?;
        self.disk.change_dir(dir, DirChange::Link { name: name.to_owned(), node });
        Ok(())
    }

    fn refuse_taken(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.disk.parent(path)?;
        if self.disk.dir(dir)?.view.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    fn create(&mut self, path: &Path, class: FileClass) -> io::Result<NodeId> {
        self.refuse_taken(path)?;
        let node = self.disk.add(Node::File(FileNode {
            class,
            durable: Vec::new(),
            view: Vec::new(),
            pending: Vec::new(),
            links: 1,
            handles: 1,
        }));
        self.add_name(path, node)?;
        Ok(node)
    }
}

impl SimFs {
    fn handle(&self, node: NodeId, path: &Path, writes: bool) -> File {
        Box::new(SimFile { fs: self.clone(), node, path: path.to_owned(), writes })
    }
}

impl Vfs for SimFs {
    fn create(&self, path: &Path, class: FileClass) -> io::Result<File> {
        let target = Target { class: Some(class), ..Target::path(path) };
        let node = self.call(Op::Create, target, |state, _| state.create(path, class))?;
        Ok(self.handle(node, path, true))
    }

    fn open(&self, path: &Path, mode: OpenMode, class: FileClass) -> io::Result<File> {
        let target = Target { class: Some(class), ..Target::path(path) };
        let node = self.call(Op::Open, target, |state, _| {
            let node = state.disk.find(path)?;
            state.disk.file_mut(node)?.handles += 1;
            Ok(node)
        })?;
        Ok(self.handle(node, path, mode == OpenMode::Write))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Op::Rename, Target::path(from), |state, _| {
            let node = state.disk.find(from)?;
            let ((dir, from), (other, to)) = (state.disk.parent(from)?, state.disk.parent(to)?);
            if dir != other {
                return Err(io::ErrorKind::CrossesDevices.into());
            }
            let over = state.disk.dir(dir)?.view.get(to).copied();
            if over == Some(node) {
                return Ok(());
            }
            let change = DirChange::Rename { from: from.to_owned(), to: to.to_owned() };
            state.disk.change_dir(dir, change);
            if let Some(over) = over {
                state.disk.unlink(over);
            }
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Op::Link, Target::path(from), |state, _| {
            let node = state.disk.find(from)?;
            state.refuse_taken(to)?;
            state.disk.file_mut(node)?.links += 1;
            state.add_name(to, node)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Op::Remove, Target::path(path), |state, _| {
            let node = state.disk.find(path)?;
            state.disk.file(node)?;
            let (dir, name) = state.disk.parent(path)?;
            state.disk.change_dir(dir, DirChange::Unlink { name: name.to_owned() });
            state.disk.unlink(node);
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.call(Op::List, Target::path(dir), |state, _| {
            let node = state.disk.find(dir)?;
            let mut names: Vec<OsString> = state.disk.dir(node)?.view.keys().cloned().collect();
            for i in (1..names.len()).rev() {
                let j = state.random.below(i as u64 + 1) as usize;
                names.swap(i, j);
            }
            Ok(names)
        })
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Op::MakeDir, Target::path(path), |state, _| {
            state.refuse_taken(path)?;
            let node = state.disk.add(Node::Dir(DirNode::default()));
            state.add_name(path, node)
        })
    }

    fn keep_private(&self, _: &Path) -> io::Result<()> {
        Ok(()) // Nobody else is there.
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(Op::SyncDir, Target::path(dir), |state, pass| {
            let node = state.disk.find(dir)?;
            match pass {
                Pass::Cut => Ok(()),
                Pass::Whole | Pass::Short(_) => state.disk.sync_dir(node),
            }
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let target = Target { class: Some(FileClass::Lock), ..Target::path(path) };
        self.call(Op::Lock, target, |state, _| {
            if state.disk.find(path).is_err() {
                let node = state.create(path, FileClass::Lock)?;
                state.disk.close(node);
            }
            if !state.locks.insert(path.to_owned()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        })?;
        Ok(Box::new(SimLock { fs: self.clone(), path: path.to_owned() }))
    }

    fn space(&self) -> io::Result<Space> {
        self.call(Op::Space, Target::path(Path::new("")), |state, _| {
            Ok(Space { free: state.room(), total: state.budget })
        })
    }
}

struct SimLock {
    fs: SimFs,
    path: PathBuf,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.0.lock().locks.remove(&self.path);
    }
}

struct SimFile {
    fs: SimFs,
    node: NodeId,
    path: PathBuf,
    writes: bool,
}

impl SimFile {
    fn target(&self, offset: u64, len: u64) -> Target<'_> {
        Target { class: None, path: &self.path, offset, len, node: Some(self.node) }
    }

    fn check_writable(&self) -> io::Result<()> {
        // What Linux answers to a write through a descriptor opened for reading.
        if self.writes { Ok(()) } else { Err(rustix::io::Errno::BADF.into()) }
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.call(Op::Sync, self.target(0, 0), |state, pass| match pass {
            Pass::Cut => Ok(()),
            Pass::Whole | Pass::Short(_) => state.disk.sync_file(self.node),
        })
    }
}

impl VfsFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.fs.call(Op::Read, self.target(at, buffer.len() as u64), |state, pass| {
            let limit = if let Pass::Short(n) = pass { n } else { usize::MAX };
            let content = &state.disk.file(self.node)?.view;
            let rest = content.get(at as usize..).unwrap_or_default();
            let n = buffer.len().min(rest.len()).min(limit);
            buffer[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.check_writable()?;
        self.fs.call(Op::Write, self.target(at, bytes.len() as u64), |state, pass| {
            state.fold_bytes(bytes);
            let limit = if let Pass::Short(n) = pass { n } else { usize::MAX };
            let len = state.disk.file(self.node)?.view.len() as u64;
            let fits = (len + state.room()).saturating_sub(at) as usize;
            let n = bytes.len().min(limit).min(fits);
            if n == 0 && !bytes.is_empty() && limit > 0 {
                return Err(rustix::io::Errno::NOSPC.into());
            }
            let cut = matches!(pass, Pass::Cut);
            let bytes = bytes[..n].to_vec();
            state.disk.change_file(self.node, Change::Write { at, bytes, cut })?;
            Ok(n)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        if mutant!("sync_does_nothing") {
            return Ok(());
        }
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.fs.call(Op::SetLen, self.target(len, 0), |state, _| {
            if len.saturating_sub(state.disk.file(self.node)?.view.len() as u64) > state.room() {
                return Err(rustix::io::Errno::NOSPC.into());
            }
            state.disk.change_file(self.node, Change::SetLen(len))
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.fs.call(Op::Len, self.target(0, 0), |state, _| {
            Ok(state.disk.file(self.node)?.view.len() as u64)
        })
    }

    fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.fs.call(Op::Allocate, self.target(at, len), |state, _| {
            let end = at.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
            if end.saturating_sub(state.disk.file(self.node)?.view.len() as u64) > state.room() {
                return Err(rustix::io::Errno::NOSPC.into());
            }
            state.disk.change_file(self.node, Change::Allocate { end })
        })
    }

    fn advise(&self, _: Advice, at: u64, len: u64) {
        // A stopped machine takes no advice, and nobody asks for the outcome.
        let _ = self.fs.call(Op::Advise, self.target(at, len), |_, _| Ok(()));
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.fs.0.lock().disk.close(self.node);
    }
}

#[cfg(test)]
mod tests;
