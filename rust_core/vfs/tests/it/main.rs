//! SimFs equals the real file system on random histories.
use std::io;
use std::path::{Path, PathBuf};

use phantom_vfs::{File, FileClass, OpenMode, RealFs, SimFs, Vfs};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Open(u8, bool),
    Close(u8),
    Rename(u8, u8),
    Link(u8, u8),
    Remove(u8),
    MakeDir(u8),
    SyncDir,
    List,
    Write(u8, u16, u16, u8),
    Read(u8, u16, u16),
    SetLen(u8, u16),
    Allocate(u8, u16, u16),
    Sync(u8),
    Len(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..4u8;
    let place = || 0..3000u16;
    prop_oneof![
        name().prop_map(Step::Create),
        (name(), any::<bool>()).prop_map(|(n, w)| Step::Open(n, w)),
        name().prop_map(Step::Close),
        (name(), name()).prop_map(|(a, b)| Step::Rename(a, b)),
        (name(), name()).prop_map(|(a, b)| Step::Link(a, b)),
        name().prop_map(Step::Remove),
        (4..6u8).prop_map(Step::MakeDir),
        Just(Step::SyncDir),
        Just(Step::List),
        (name(), place(), place(), any::<u8>()).prop_map(|(n, a, l, b)| Step::Write(n, a, l, b)),
        (name(), place(), place()).prop_map(|(n, a, l)| Step::Read(n, a, l)),
        (name(), place()).prop_map(|(n, l)| Step::SetLen(n, l)),
        (name(), place(), 1..3000u16).prop_map(|(n, a, l)| Step::Allocate(n, a, l)),
        name().prop_map(Step::Sync),
        name().prop_map(Step::Len),
    ]
}

struct Runner<'a> {
    fs: &'a dyn Vfs,
    root: PathBuf,
    handles: [Option<File>; 4],
}

type Answer = Result<Vec<u8>, io::ErrorKind>;

impl Runner<'_> {
    fn path(&self, name: u8) -> PathBuf {
        self.root.join(format!("f{name}"))
    }

    fn with(
        &self,
        name: u8,
        run: impl FnOnce(&File) -> io::Result<Vec<u8>>,
    ) -> io::Result<Vec<u8>> {
        self.handles[usize::from(name)].as_ref().map_or(Ok(b"closed".to_vec()), run)
    }

    fn run(&mut self, step: &Step) -> Answer {
        let done = |()| Vec::new();
        let result = match *step {
            Step::Create(n) => self.fs.create(&self.path(n), FileClass::Temp).map(|f| {
                self.handles[usize::from(n)] = Some(f);
                Vec::new()
            }),
            Step::Open(n, writes) => {
                let mode = if writes { OpenMode::Write } else { OpenMode::Read };
                self.fs.open(&self.path(n), mode, FileClass::Temp).map(|f| {
                    self.handles[usize::from(n)] = Some(f);
                    Vec::new()
                })
            }
            Step::Close(n) => {
                self.handles[usize::from(n)] = None;
                Ok(Vec::new())
            }
            Step::Rename(a, b) => self.fs.rename(&self.path(a), &self.path(b)).map(done),
            Step::Link(a, b) => self.fs.link(&self.path(a), &self.path(b)).map(done),
            Step::Remove(n) => self.fs.remove(&self.path(n)).map(done),
            Step::MakeDir(n) => self.fs.make_dir(&self.path(n)).map(done),
            Step::SyncDir => self.fs.sync_dir(&self.root).map(done),
            Step::List => self.fs.list(&self.root).map(|mut names| {
                names.sort();
                names.iter().flat_map(|n| n.as_encoded_bytes().to_vec()).collect()
            }),
            Step::Write(n, at, len, byte) => self.with(n, |f| {
                f.write_at(&vec![byte; len.into()], at.into()).map(|n| n.to_le_bytes().to_vec())
            }),
            Step::Read(n, at, len) => self.with(n, |f| {
                let mut buffer = vec![0; len.into()];
                let n = f.read_at(&mut buffer, at.into())?;
                buffer.truncate(n);
                Ok(buffer)
            }),
            Step::SetLen(n, len) => {
                // Which error a handle for reading gets differs between Linux calls; not ours.
                self.with(n, |f| f.set_len(len.into()).or(Ok(())).map(done))
            }
            Step::Allocate(n, at, len) => {
                self.with(n, |f| f.allocate(at.into(), len.into()).or(Ok(())).map(done))
            }
            Step::Sync(n) => self.with(n, |f| f.sync_data().and_then(|()| f.sync_all()).map(done)),
            Step::Len(n) => self.with(n, |f| f.len().map(|n| n.to_le_bytes().to_vec())),
        };
        result.map_err(|error| error.kind())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn the_simulated_file_system_answers_as_the_real_one(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        static RUN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let run = RUN.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("phantom_vfs_{}_{run}", std::process::id()));
        std::fs::create_dir(&root).unwrap();
        let (real, sim) = (RealFs::new(&root), SimFs::new(1));
        let mut beside = Runner { fs: &real, root: root.clone(), handles: Default::default() };
        let mut tested = Runner { fs: &sim, root: PathBuf::from("/"), handles: Default::default() };
        for step in &steps {
            prop_assert_eq!(beside.run(step), tested.run(step), "{:?}", step);
        }
        drop(beside);
        std::fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn a_real_lock_keeps_a_second_holder_out_until_it_drops() {
    let path = std::env::temp_dir().join(format!("phantom_vfs_lock_{}", std::process::id()));
    let fs = RealFs::new(std::env::temp_dir());
    let lock = fs.lock(&path).unwrap();
    assert_eq!(fs.lock(&path).err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
    drop(lock);
    assert!(fs.lock(&path).is_ok());
    assert!(fs.space().unwrap().free > 0);
    fs.remove(Path::new(&path)).unwrap();
}
