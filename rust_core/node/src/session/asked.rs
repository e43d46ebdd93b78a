//! What sessions ask the control plane to decide, and its answers, as CBOR.

use minicbor::{Decoder, Encoder};
use phantom_base::{Error, Severity, SqlState, sqlstate};
use phantom_sql::bound::Command;
use phantom_sql::statement::{CreateTable, DropTable, Planned};

/// The format of what the planner gets and gives.
const PLAN_FORMAT: u32 = 1;

/// Something for the control plane to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// Its number; the answer names it.
    pub id: u64,
    /// `plan`, `create_table`, `drop_table` or `cancel`.
    pub kind: &'static str,
    /// What it is about, as CBOR.
    pub body: Vec<u8>,
}

/// What the control plane has decided.
pub enum Answer {
    /// A query goes to this group; 0 is this node.
    Plan(u64),
    /// It is done, with notices.
    Done(Vec<Error>),
    /// It cannot be done.
    Failed(Error),
}

/// Reads an answer.
///
/// # Errors
/// For bytes that are none.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, minicbor::decode::Error> {
    let mut input = Decoder::new(bytes);
    input.array()?;
    Ok(match input.u8()? {
        0 => Answer::Plan(decode_plan(input.bytes()?)?),
        1 => {
            let mut notices = Vec::new();
            for _ in 0..input.array()?.unwrap_or(0) {
                notices.push(decode_error(&mut input)?.with_severity(Severity::Notice));
            }
            Answer::Done(notices)
        }
        2 => Answer::Failed(decode_error(&mut input)?),
        other => {
            return Err(minicbor::decode::Error::message(format!("an answer of kind {other}")));
        }
    })
}

/// The group of a plan's one fragment; 0 is this node.
fn decode_plan(bytes: &[u8]) -> Result<u64, minicbor::decode::Error> {
    let mut input = Decoder::new(bytes);
    input.array()?;
    let format = input.u32()?;
    let fragments = input.array()?.unwrap_or(0);
    if format != PLAN_FORMAT || fragments != 1 {
        let message = format!("a plan of format {format} with {fragments} fragments");
        return Err(minicbor::decode::Error::message(message));
    }
    input.array()?;
    input.u64()
}

/// [SQLSTATE, message, hint]
fn decode_error(input: &mut Decoder<'_>) -> Result<Error, minicbor::decode::Error> {
    input.array()?;
    let code = SqlState::parse(input.str()?).unwrap_or(sqlstate::INTERNAL_ERROR);
    let message = input.str()?.to_owned();
    Ok(Error::new(code, message).with_hint(input.str()?))
}

const WRITES: &str = "a Vec takes every write";

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

/// [format, command, [[oid, version, colocation set, storage id]..]]
pub fn encode_query(planned: &Planned) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let command = match planned.query.command {
        Command::Select => 0,
        Command::Insert(_) => 1,
        Command::Update { .. } => 2,
        Command::Delete => 3,
    };
    let mut write = || -> Written {
        out.array(3)?.u32(PLAN_FORMAT)?.u8(command)?.array(planned.tables.len() as u64)?;
        for table in &planned.tables {
            out.array(4)?.u32(table.oid)?.u32(table.version)?;
            out.u32(table.colocation)?.u32(table.storage_id)?;
        }
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// [schema, name, [[name, type, typmod, not null]..], [attnum..], key name, if not exists]
pub fn encode_create(create: &CreateTable) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.array(6)?.str(&create.schema)?.str(&create.name)?;
        out.array(create.columns.len() as u64)?;
        for column in &create.columns {
            column.write(&mut out)?;
        }
        out.array(create.primary_key.len() as u64)?;
        for attnum in &create.primary_key {
            out.u16(*attnum)?;
        }
        out.str(&create.primary_key_name)?.bool(create.if_not_exists)?;
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// [[[schema, name]..], if exists]
pub fn encode_drop(drop: &DropTable) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.array(2)?.array(drop.tables.len() as u64)?;
        for (schema, name) in &drop.tables {
            out.array(2)?.str(schema)?.str(name)?;
        }
        out.bool(drop.if_exists)?;
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// [pid, secret]
pub fn encode_cancel(pid: u32, secret: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    out.array(2).and_then(|out| out.u32(pid)).and_then(|out| out.u32(secret)).expect(WRITES);
    bytes
}
