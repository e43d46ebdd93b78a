//! The rows that make a table, as the control plane writes them.

use minicbor::Encoder;
use phantom_base::GroupId;
use phantom_sql::catalog::{Column, Table, TableState};
use phantom_types::TypeId;

pub use crate::control::{counter, is_ok};

const NODES: u64 = 1;
const TABLES: u64 = 2;
const NAMES: u64 = 5;
const SCHEMA: u64 = 1 << 32 | 4;
const FIRST_OID: u32 = 16_384;

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
