//! What a node's directory holds, as text: a line for each entry and slot of the log, for each
//! number of the manifest, and for each version in memtables and tables.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use phantom_log::{Log, Stream};
use phantom_lsm::{Direction, Engine, EngineOptions, Keyspace, Ops, Snapshot, Span};
use phantom_node::replication::entry::{Decoded, decode_entry};
use phantom_vfs::Vfs;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::NodeClock;

const PLAIN: [Keyspace; 3] = [Keyspace::INTENTS, Keyspace::TRANSACTIONS, Keyspace::APPLIED];
/// Bytes beyond this are told by their hash.
const SHOWN_BYTES: usize = 48;
const NODE_SLOTS: std::ops::RangeInclusive<u64> = 1..=3;

/// Everything in a directory. The open itself changes it: give it a copy.
pub fn of(fs: &Arc<dyn Vfs>, dir: &Path) -> String {
    let options = EngineOptions::new([0; 16], Arc::new(NodeClock::still()));
    let before = names(fs, &dir.join("tables"));
    let engine = Engine::open(Arc::clone(fs), dir, options).unwrap();
    let mut out = String::new();
    writeln!(out, "database {}", hex(&engine.database())).unwrap();
    // What no edit names was removed by the open: these are the tables of the manifest.
    let tables = names(fs, &dir.join("tables"));
    assert_eq!(tables, before, "the directory had a table that the manifest does not name");
    writeln!(out, "tables {}", tables.join(" ")).unwrap();
    for stream in engine.log().streams() {
        let (flushed, applied) = (engine.flushed_position(stream.0), engine.position(stream.0));
        writeln!(out, "position {}: flushed {flushed}, replayed {applied}", stream.0).unwrap();
    }
    write_log(engine.log(), &mut out);
    let at = engine.snapshot();
    for keyspace in PLAIN {
        let mut rows = engine.scan(&at, keyspace, Span::default(), Direction::Forward).unwrap();
        while let Some((key, value)) = rows.next().unwrap() {
            writeln!(out, "keyspace {}: {} = {}", keyspace.0, hex(key), hex(value)).unwrap();
        }
    }
    write_versions(&engine, &at, &mut out);
    out
}

fn names(fs: &Arc<dyn Vfs>, dir: &Path) -> Vec<String> {
    let names = fs.list(dir).unwrap();
    let mut names: Vec<_> = names.into_iter().map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn hex(bytes: &[u8]) -> String {
    if bytes.len() > SHOWN_BYTES {
        return format!("{} bytes {:016x}", bytes.len(), xxh3_64(bytes));
    }
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn write_log(log: &Log, out: &mut String) {
    for slot in NODE_SLOTS {
        if let Some(bytes) = log.node_state(slot) {
            writeln!(out, "node slot {slot} = {}", hex(&bytes)).unwrap();
        }
    }
    for stream in log.streams() {
        for slot in 0..2 {
            if let Some(bytes) = log.state(stream, slot) {
                writeln!(out, "stream {} slot {slot} = {}", stream.0, hex(&bytes)).unwrap();
            }
        }
        write_entries(log, stream, out);
    }
}

fn write_entries(log: &Log, stream: Stream, out: &mut String) {
    let bounds = log.bounds(stream);
    let entries = log.read(stream, bounds.first, usize::MAX).unwrap();
    for (index, (term, bytes)) in (bounds.first..).zip(&entries.list) {
        write!(out, "stream {} entry {index} of term {term}: ", stream.0).unwrap();
        match decode_entry(bytes).unwrap() {
            Decoded::Noop => writeln!(out, "nothing").unwrap(),
            Decoded::Batch(batch) => {
                writeln!(out, "txn {} on {:?}", hex(&batch.txn), batch.tables).unwrap();
                for op in Ops::new(batch.ops) {
                    let op = op.unwrap();
                    let (key, value) = (hex(op.key), hex(op.value));
                    writeln!(out, "  {:?} {}: {key} = {value}", op.kind, op.keyspace.0).unwrap();
                }
            }
        }
    }
}

/// All versions of all rows: of each key the newest, then the one below it, and so on.
fn write_versions(engine: &Engine, at: &Snapshot, out: &mut String) {
    let scan = |start: Option<&[u8]>, ts| {
        let span = Span { start, end: None };
        engine.scan_at(at, Keyspace::DATA, span, ts, Some(0), Direction::Forward).unwrap()
    };
    let (mut keys, mut rows) = (Vec::new(), scan(None, u64::MAX));
    while let Some(row) = rows.next().unwrap() {
        keys.push(row.key.to_vec());
    }
    for key in keys {
        let mut ts = u64::MAX;
        loop {
            let mut older = scan(Some(&key), ts);
            let Some(row) = older.next().unwrap().filter(|row| row.key == key) else { break };
            let value = row.value.map_or("gone".to_owned(), hex);
            writeln!(out, "row {} @ {:016x} = {value}", hex(&key), row.timestamp).unwrap();
            ts = row.timestamp - 1;
        }
    }
}
