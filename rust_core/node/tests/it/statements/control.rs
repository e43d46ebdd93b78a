//! The control plane's part, as far as these tests need it: who campaigns when, where a query runs,
//! and the rows that make a table.

use minicbor::{Decoder, Encoder};
use phantom_base::GroupId;
use phantom_node::session::SessionEvent;
use phantom_sql::catalog::{Column, Table, TableState};
use phantom_types::TypeId;

const FORMAT: u32 = 1;
const NODES: u64 = 1;
const TABLES: u64 = 2;
const NAMES: u64 = 5;
const SCHEMA: u64 = 1 << 32 | 4;
const FIRST_OID: u32 = 16_384;

/// The groups for which an event says that an election is due.
pub fn election_due(event: &[u8]) -> Vec<GroupId> {
    let mut input = Decoder::new(event);
    input.array().unwrap();
    if input.str().unwrap() != "election_due" {
        return Vec::new();
    }
    let count = input.array().unwrap().unwrap();
    (0..count).map(|_| GroupId(input.u64().unwrap())).collect()
}

/// The answer to a session's event: the whole query to the one group of rows, or to the gateway.
pub fn decide(event: &SessionEvent) -> Vec<u8> {
    assert_eq!(event.kind, "plan", "nothing else is asked for here");
    let mut input = Decoder::new(&event.body);
    input.array().unwrap();
    assert_eq!(input.u32().unwrap(), FORMAT);
    input.skip().unwrap();
    let reads_tables = input.array().unwrap() != Some(0);
    let group = if reads_tables { GroupId::ROWS.0 } else { 0 };
    let mut plan = Vec::new();
    let mut out = Encoder::new(&mut plan);
    out.array(2).unwrap().u32(FORMAT).unwrap().array(1).unwrap();
    out.array(2).unwrap().u64(group).unwrap().u8(0).unwrap();
    let mut answer = Vec::new();
    Encoder::new(&mut answer).array(2).unwrap().u8(0).unwrap().bytes(&plan).unwrap();
    answer
}

/// The `n`th table of a database: its columns are name and type, the first is the primary key.
pub fn table(n: u32, name: &str, columns: &[(&str, TypeId, i32)]) -> Table {
    let column = |(i, (name, ty, typmod)): (usize, &(&str, TypeId, i32))| Column {
        name: (*name).to_owned(),
        ty: *ty,
        typmod: *typmod,
        not_null: i == 0,
        collation: phantom_sql::catalog::Collation::Default,
    };
    Table {
        oid: FIRST_OID + 2 * n,
        version: 1,
        storage_id: FIRST_OID + 2 * n + 1,
        colocation: 1,
        state: TableState::Public,
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: columns.iter().enumerate().map(column).collect(),
        primary_key: vec![1],
        primary_key_name: format!("{name}_pkey"),
    }
}

/// The writes that make a table, in the order in which CREATE TABLE makes them.
pub fn creation(table: &Table) -> [(GroupId, Vec<u8>); 2] {
    descriptor(table, Some(0))
}

/// The writes that put another descriptor in the place of a table's.
pub fn change(table: &Table) -> [(GroupId, Vec<u8>); 2] {
    descriptor(table, None)
}

fn descriptor(table: &Table, seen: Option<u8>) -> [(GroupId, Vec<u8>); 2] {
    let schema = [table.version.to_be_bytes(), table.oid.to_be_bytes()].concat();
    let number = u64::from(table.oid).to_be_bytes();
    let oid = |out: &mut Encoder<&mut Vec<u8>>| {
        out.array(1).unwrap().u32(table.oid).unwrap();
    };
    let name = |out: &mut Encoder<&mut Vec<u8>>| {
        out.array(2).unwrap().str(&table.schema).unwrap().str(&table.name).unwrap();
    };
    let descriptor = table.encode();
    let rows = writes(&[(SCHEMA, &oid, &schema)], seen);
    let system = writes(&[(NAMES, &name, &number), (TABLES, &oid, &descriptor)], seen);
    [(GroupId::ROWS, rows), (GroupId::SYSTEM, system)]
}

/// The write by which a node says where its doors are.
pub fn row_of_a_node(id: u32, row: &[u8]) -> Vec<u8> {
    let key = |out: &mut Encoder<&mut Vec<u8>>| {
        out.array(1).unwrap().u32(id).unwrap();
    };
    writes(&[(NODES, &key, row)], Some(0))
}

type Key<'a> = &'a dyn Fn(&mut Encoder<&mut Vec<u8>>);

/// Writes that want to find such a version, or whatever is there.
fn writes(puts: &[(u64, Key<'_>, &[u8])], seen: Option<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    out.array(puts.len() as u64).unwrap();
    for (relation, key, value) in puts {
        out.array(4).unwrap().u64(*relation).unwrap();
        key(&mut out);
        out.bytes(value).unwrap().encode(seen).unwrap();
    }
    bytes
}

/// A counter of a node.
pub fn counter(stats: &[u8], name: &str) -> u64 {
    let mut input = Decoder::new(stats);
    let count = input.map().unwrap().unwrap();
    let counters = (0..count).map(|_| (input.str().unwrap(), input.u64().unwrap()));
    counters.into_iter().find(|(of, _)| *of == name).expect("a counter").1
}

/// Whether rows were written, by the answer of the core.
pub fn is_ok(outcome: &[u8]) -> bool {
    let mut input = Decoder::new(outcome);
    input.array().unwrap();
    input.bool().unwrap()
}
