//! Background work: flushes and compactions as jobs that any thread may run, and the edits that end
//! them.
//!
//! A job writes files, syncs them and their directory (D3), then makes an edit durable (D4, and for a
//! flush D5 before it), then shows the result to readers, then removes what was replaced. A job that
//! fails before its edit removes what it wrote and changes nothing; one that fails in its edit ends
//! all writing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use phantom_base::Lsn;
use phantom_base::sync::Ordering;
use phantom_log::Level;

use super::{Inner, Tree};
use crate::compact::filter::Filter;
use crate::compact::pick::{Choice, Targets, pick};
use crate::compact::{Output, write_tables};
use crate::iter::{LevelCursor, Merge, Source};
use crate::manifest::{Edit, Manifest, Placed};
use crate::memtable::{MemCursor, Memtable};
use crate::table::{Access, Built, Table, TableCursor, path_of};
use crate::version::View;
use crate::{Direction, Error, Result};

/// A piece of work in the background: a flush or a compaction. Dropped without a run, it is offered
/// again.
pub struct Job {
    inner: Arc<Inner>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Flush(Arc<Memtable>),
    Compact(Choice),
}

impl Job {
    /// Does it. An error undoes it; the work is offered again by `next_job`, after what back-off the
    /// caller sees fit. Damaged inputs are never offered again.
    pub fn run(self) -> Result<()> {
        let result = match &self.kind {
            Kind::Flush(memtable) => self.inner.flush(memtable),
            Kind::Compact(choice) => self.inner.compact(choice),
        };
        if let (Err(Error::Corruption { file, .. }), Kind::Compact(choice)) = (&result, &self.kind)
        {
            let damaged = |t: &&Arc<Table>| path_of(&self.inner.tables_dir, t.file) == *file;
            let files = choice.inputs().filter(damaged).map(|t| t.file);
            self.inner.tree.lock().refused.extend(files);
        }
        result
    }

    /// Whether it is a flush: those go first.
    pub fn is_flush(&self) -> bool {
        matches!(self.kind, Kind::Flush(_))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut tree = self.inner.tree.lock();
        match &self.kind {
            Kind::Flush(_) => tree.flushing = false,
            Kind::Compact(choice) => {
                tree.busy.remove(&choice.keyspace);
            }
        }
        self.inner.progress.notify_all();
    }
}

/// What a finished job changes.
#[derive(Default)]
struct Change {
    edit: Edit,
    /// Keyspace's place, level, table.
    added: Vec<(usize, usize, Arc<Table>)>,
    removed: Vec<(usize, usize, Arc<Table>)>,
    flushed: Option<Arc<Memtable>>,
}

impl Inner {
    pub(super) fn next_job(this: &Arc<Self>) -> Option<Job> {
        let oldest = this.boundaries()[0];
        let mut tree = this.tree.lock();
        let kind = this.due(&tree, oldest)?;
        match &kind {
            Kind::Flush(_) => tree.flushing = true,
            Kind::Compact(choice) => {
                tree.busy.insert(choice.keyspace);
            }
        }
        drop(tree);
        Some(Job { inner: this.clone(), kind })
    }

    fn due(&self, tree: &Tree, oldest: u64) -> Option<Kind> {
        if tree.poisoned.is_some() {
            return None;
        }
        let view = self.view.load();
        if let (false, Some(memtable)) = (tree.flushing, view.frozen.last()) {
            return Some(Kind::Flush(memtable.clone()));
        }
        let targets =
            Targets { l0_tables: self.options.l0_compact, level_bytes: self.options.level_bytes };
        let gc = |keyspace| tree.gc.get(&keyspace).cloned().unwrap_or_default();
        pick(&view.levels, targets, &tree.busy, &tree.refused, oldest, gc).map(Kind::Compact)
    }

    pub(super) fn wait_for_job(&self, timeout: Duration) -> bool {
        let oldest = self.boundaries()[0];
        let mut tree = self.tree.lock();
        if self.due(&tree, oldest).is_none() {
            self.progress.wait_for(&mut tree, timeout);
        }
        self.due(&tree, oldest).is_some()
    }

    /// Flushes every frozen memtable here, or waits for whoever does.
    pub(super) fn flush_all(self: &Arc<Self>) -> Result<()> {
        loop {
            let memtable = {
                let mut tree = self.tree.lock();
                let Some(memtable) = self.view.load().frozen.last().cloned() else { return Ok(()) };
                if let Some(cause) = &tree.poisoned {
                    return Err(Error::Poisoned { cause: cause.clone() });
                }
                if tree.flushing {
                    self.progress.wait(&mut tree);
                    continue;
                }
                tree.flushing = true;
                memtable
            };
            Job { inner: self.clone(), kind: Kind::Flush(memtable) }.run()?;
        }
    }

    fn flush(&self, memtable: &Arc<Memtable>) -> Result<()> {
        let saved = memtable.saved.lock().clone();
        // D5: a crash must not leave tables ahead of their log.
        self.log.commit(saved.needs.max(saved.batches_end), Level::Durable)?;
        let mut made = Vec::new();
        let change = self.flush_tables(memtable, &mut made).inspect_err(|_| self.undo(&made))?;
        let mut change = Change { flushed: Some(memtable.clone()), ..change };
        change.edit.last_seq = Some(saved.last_seq);
        change.edit.flushed_lsn = (saved.batches_end > Lsn(0)).then_some(saved.batches_end);
        change.edit.positions = saved.positions.into_iter().collect();
        self.install(change)?;
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.reclaim()?;
        Ok(())
    }

    fn flush_tables(&self, memtable: &Arc<Memtable>, made: &mut Vec<u64>) -> Result<Change> {
        let mut change = Change::default();
        let boundaries = self.boundaries();
        for (keyspace, list) in memtable.lists.iter().enumerate() {
            if list.is_empty() {
                continue;
            }
            let cursor = MemCursor::new(memtable.clone(), keyspace);
            let sources = vec![Source::Mem(cursor)];
            // Older tables may hold what a delete hides, so nothing here is at the bottom.
            let built =
                self.write(keyspace, sources, boundaries.clone(), u64::MAX, |_| false, made)?;
            change.add(self, keyspace, 0, &built)?;
        }
        self.sync_tables(made)?;
        Ok(change)
    }

    fn compact(&self, choice: &Choice) -> Result<()> {
        let mut made = Vec::new();
        let mut change = Change::default();
        if choice.is_trivial() {
            change.added =
                choice.upper.iter().map(|t| (choice.keyspace, choice.to, t.clone())).collect();
            let keyspace = self.options.keyspaces[choice.keyspace].id.0;
            change.edit.added = choice
                .upper
                .iter()
                .map(|t| (Placed { keyspace, level: choice.to as u8, file: t.file }, t.size))
                .collect();
        } else {
            self.admit_compaction(choice.inputs().map(|table| table.size).sum())?;
            change = self.merge_tables(choice, &mut made).inspect_err(|_| self.undo(&made))?;
        }
        change.remove(self, choice);
        self.install(change)?;
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        if !choice.is_trivial() {
            for table in choice.inputs() {
                // What cannot be removed now is an orphan, and the next open removes it.
                let _ = self.fs.remove(&path_of(&self.tables_dir, table.file));
            }
        }
        Ok(())
    }

    fn merge_tables(&self, choice: &Choice, made: &mut Vec<u64>) -> Result<Change> {
        let Choice { keyspace, from, to, .. } = *choice;
        let mut sources = Vec::new();
        if from == 0 {
            for table in &choice.upper {
                let cursor = TableCursor::new(table.clone(), self.cache.clone(), Access::Pass);
                sources.push(Source::Table(cursor));
            }
        } else {
            sources.push(self.level_source(&choice.upper));
        }
        sources.push(self.level_source(&choice.lower));
        let view = self.view.load_full();
        let levels = &view.levels[keyspace];
        let is_bottom = |logical: &[u8]| !levels.is_below(to, logical);
        let boundaries = self.boundaries();
        let table_bytes = self.options.table_bytes;
        let built = self.write(keyspace, sources, boundaries, table_bytes, is_bottom, made)?;
        self.sync_tables(made)?;
        let mut change = Change::default();
        change.add(self, keyspace, to, &built)?;
        for (_, _, table) in &change.added {
            table.verify(&self.cache)?;
        }
        Ok(change)
    }

    fn level_source(&self, tables: &[Arc<Table>]) -> Source {
        Source::Level(LevelCursor::new(tables.into(), self.cache.clone(), Access::Pass))
    }

    fn write(
        &self,
        keyspace: usize,
        sources: Vec<Source>,
        boundaries: Vec<u64>,
        table_bytes: u64,
        is_bottom: impl Fn(&[u8]) -> bool,
        made: &mut Vec<u64>,
    ) -> Result<Vec<Built>> {
        let options = self.options.keyspaces[keyspace];
        let gc = self.tree.lock().gc.get(&keyspace).cloned().unwrap_or_default();
        let mut filter = Filter::new(boundaries, options.versioned, gc);
        let mut merge = Merge::new(sources, Direction::Forward);
        merge.seek(None)?;
        let output = Output {
            fs: &*self.fs,
            dir: &self.tables_dir,
            keyspace: options.id.0,
            versioned: options.versioned,
            block_bytes: self.options.block_bytes,
            table_bytes,
        };
        let number = || self.next_file.fetch_add(1, Ordering::Relaxed);
        write_tables(&mut merge, &mut filter, &output, is_bottom, number, made)
    }

    /// D3: the names of new tables are durable before an edit names them.
    fn sync_tables(&self, made: &[u64]) -> Result<()> {
        if made.is_empty() {
            return Ok(());
        }
        let synced = self.fs.sync_dir(&self.tables_dir);
        synced.map_err(|e| Error::io("sync the directory of tables", &e))
    }

    fn undo(&self, made: &[u64]) {
        for file in made {
            // What cannot be removed now is an orphan, and the next open removes it.
            let _ = self.fs.remove(&path_of(&self.tables_dir, *file));
        }
    }

    /// Makes the edit durable, then shows it to readers.
    fn install(&self, mut change: Change) -> Result<()> {
        let mut manifest = self.manifest.lock();
        self.refuse_if_poisoned()?;
        change.edit.next_file = Some(self.next_file.load(Ordering::Relaxed));
        let appended = manifest.append(&change.edit);
        appended.map_err(|e| self.poison("write the manifest", &e))?;

        let changing = self.view_change.lock();
        let mut tree = self.tree.lock();
        let applied = tree.state.apply(&change.edit);
        applied.expect("jobs of one keyspace run one at a time");
        let view = self.view.load_full();
        let new = Arc::new(change.view(&view));
        self.view.store(new.clone());
        let state = manifest.is_long().then(|| tree.state.clone());
        drop((tree, changing));
        self.size_cache(&new);
        for (_, _, table) in &change.added {
            self.counters.table_bytes_written.fetch_add(table.size, Ordering::Relaxed);
        }
        if let Some(state) = state {
            let rolled = self.roll(&mut manifest, &state);
            rolled.map_err(|e| self.poison("begin a new manifest", &e))?;
        }
        Ok(())
    }

    fn roll(&self, manifest: &mut Manifest, state: &crate::manifest::State) -> io::Result<()> {
        let old = self.dir.join(format!("manifest-{:010}", manifest.number));
        let number = manifest.number + 1;
        *manifest = Manifest::begin(&*self.fs, &self.dir, self.database, number, state)?;
        self.fs.remove(&old)
    }
}

impl Change {
    fn add(&mut self, inner: &Inner, keyspace: usize, level: usize, built: &[Built]) -> Result<()> {
        let id = inner.options.keyspaces[keyspace].id.0;
        for built in built {
            let table = Table::open(&*inner.fs, &inner.tables_dir, built.file, built.size)?;
            assert_eq!(table.properties, built.properties, "a table reads as it was written");
            let placed = Placed { keyspace: id, level: level as u8, file: built.file };
            self.edit.added.push((placed, built.size));
            self.added.push((keyspace, level, Arc::new(table)));
        }
        Ok(())
    }

    fn remove(&mut self, inner: &Inner, choice: &Choice) {
        let keyspace = inner.options.keyspaces[choice.keyspace].id.0;
        for (level, tables) in [(choice.from, &choice.upper), (choice.to, &choice.lower)] {
            for table in tables {
                let placed = Placed { keyspace, level: level as u8, file: table.file };
                self.edit.removed.push(placed);
                self.removed.push((choice.keyspace, level, table.clone()));
            }
        }
    }

    fn view(&self, old: &View) -> View {
        let levels = old.levels.iter().enumerate().map(|(keyspace, levels)| {
            let removed = self.removed.iter().filter(|(k, _, _)| *k == keyspace);
            let removed: Vec<_> = removed.map(|(_, level, table)| (*level, table.file)).collect();
            let added = self.added.iter().filter(|(k, _, _)| *k == keyspace);
            let added: Vec<_> = added.map(|(_, level, table)| (*level, table.clone())).collect();
            levels.changed(&removed, &added)
        });
        let is_flushed =
            |m: &&Arc<Memtable>| self.flushed.as_ref().is_some_and(|done| Arc::ptr_eq(done, m));
        View {
            active: old.active.clone(),
            frozen: old.frozen.iter().filter(|m| !is_flushed(m)).cloned().collect(),
            levels: Arc::new(levels.collect()),
        }
    }
}
