//! What gateways and leaders of different nodes say to each other about statements, as CBOR.
//!
//! ```text
//! to a leader   [1, flow, group, txn, catalog version, work]   run
//!               [2, flow, bytes]                               credit
//!               [3, flow]                                      cancel
//! work          [0, is point, hash, tree | null, [value | null..], eval]   a query
//!               [1, [[relation, key | null]..]]                            read system rows
//!               [2, [[relation, key, value | null, seen | null]..]]        write system rows
//! eval          [transaction time, statement time, date output, date order, time zone, digits]
//! to a gateway  [1, flow, rows, bytes]                     rows, each: length u32 | row
//!               [2, flow, count, commit timestamp]         finished
//!               [3, flow, error]                           failed
//!               [4, flow, leader]                          not the leader
//!               [5, flow]                                  the plan is not known: send it
//!               [6, flow, [[[value, version]..]..]]        system rows
//! error         [severity, sqlstate, message, detail, hint, position, schema, table, column, type, constraint,
//!                file, line, routine]          without the last three from the oldest peers
//! ```
//!
//! Values travel in PostgreSQL's binary format, rows in the row codec. Tags are never reused. Work is
//! that of a statement which is a transaction by itself; for others there are no bytes yet.

mod values;

use minicbor::decode::Error as Wrong;
use minicbor::{Decoder, Encoder};
use phantom_base::sync::Arc;
use phantom_base::{GroupId, NodeId, Timestamp};
use phantom_types::{Datum, format};

use crate::leader::work::{
    Call, FlowId, Fragment, Query, Reply, RowPut, RowSpan, Rows, ToLeader, Work,
};
use values::{Out, Read, Written, counted, expect_fields, list, maybe, read_error, read_eval};
use values::{write_error, write_eval, write_maybe};

const WRITES: &str = "a Vec takes every write";

/// The bytes of a message for a leader. The plan of a bound query goes along if `has_tree`.
pub fn encode_to_leader(message: &ToLeader, has_tree: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    match message {
        ToLeader::Run(fragment) => encode_run(fragment, fragment.flow, has_tree, &mut out),
        ToLeader::Credit(flow, credit) => {
            out.array(3).and_then(|out| out.u8(2)?.u64(*flow)?.u64(*credit)).map(|_| ())
        }
        ToLeader::Cancel(flow) => out.array(2).and_then(|out| out.u8(3)?.u64(*flow)).map(|_| ()),
    }
    .expect(WRITES);
    bytes
}

/// The bytes of work under a name.
pub fn encode_work(fragment: &Fragment, flow: FlowId, has_tree: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_run(fragment, flow, has_tree, &mut Encoder::new(&mut bytes)).expect(WRITES);
    bytes
}

fn encode_run(fragment: &Fragment, flow: FlowId, has_tree: bool, out: &mut Out<'_>) -> Written {
    assert!(fragment.is_autocommit(), "transactions of several statements have no form yet");
    out.array(6)?.u8(1)?.u64(flow)?.u64(fragment.group.0)?.bytes(&fragment.txn)?;
    out.u64(fragment.catalog_version)?;
    write_work(&fragment.work, has_tree, out)
}

/// Reads a message for a leader.
///
/// # Errors
/// For bytes that no peer of this version sends.
pub fn decode_to_leader(bytes: &[u8]) -> Read<ToLeader> {
    let mut input = Decoder::new(bytes);
    let fields = counted(&mut input)?;
    Ok(match (input.u8()?, fields) {
        (1, 6) => {
            let (flow, group) = (input.u64()?, GroupId(input.u64()?));
            let txn =
                input.bytes()?.try_into().map_err(|_| Wrong::message("a transaction's id"))?;
            let catalog_version = input.u64()?;
            let work = read_work(&mut input)?;
            let fragment = Fragment::autocommit(group, txn, catalog_version, work);
            ToLeader::Run(Fragment { flow, ..fragment })
        }
        (2, 3) => ToLeader::Credit(input.u64()?, input.u64()?),
        (3, 2) => ToLeader::Cancel(input.u64()?),
        (tag, _) => return Err(Wrong::message(format!("request {tag} of {fields} fields"))),
    })
}

/// The bytes of a leader's reply.
pub fn encode_reply(flow: FlowId, reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_reply(flow, reply, &mut Encoder::new(&mut bytes)).expect(WRITES);
    bytes
}

fn write_reply(flow: FlowId, reply: &Reply, out: &mut Out<'_>) -> Written {
    match reply {
        Reply::Rows(Rows::Local(_)) => unreachable!("rows for a peer are encoded by the leader"),
        Reply::Rows(Rows::Remote { count, bytes }) => {
            out.array(4)?.u8(1)?.u64(flow)?.u64(*count)?.bytes(bytes)?;
        }
        Reply::Finished { count, commit } => {
            out.array(4)?.u8(2)?.u64(flow)?.u64(*count)?.u64(commit.0)?;
        }
        Reply::Failed(error) => {
            out.array(3)?.u8(3)?.u64(flow)?;
            write_error(error, out)?;
        }
        Reply::NotLeader(leader) => {
            out.array(3)?.u8(4)?.u64(flow)?.u32(leader.0)?;
        }
        Reply::NeedPlan => {
            out.array(2)?.u8(5)?.u64(flow)?;
        }
        Reply::SystemRows(rows) => {
            out.array(3)?.u8(6)?.u64(flow)?.array(rows.len() as u64)?;
            for span in rows {
                out.array(span.len() as u64)?;
                for (value, version) in span {
                    out.array(2)?.bytes(value)?.u64(*version)?;
                }
            }
        }
    }
    Ok(())
}

/// Reads a leader's reply.
///
/// # Errors
/// For bytes that no peer of this version sends.
pub fn decode_reply(bytes: &[u8]) -> Read<(FlowId, Reply)> {
    let mut input = Decoder::new(bytes);
    let fields = counted(&mut input)?;
    let (tag, flow) = (input.u8()?, input.u64()?);
    let reply = match (tag, fields) {
        (1, 4) => {
            let count = input.u64()?;
            Reply::Rows(Rows::Remote { count, bytes: input.bytes()?.to_vec() })
        }
        (2, 4) => {
            let count = input.u64()?;
            Reply::Finished { count, commit: Timestamp(input.u64()?) }
        }
        (3, 3) => Reply::Failed(read_error(&mut input)?),
        (4, 3) => Reply::NotLeader(NodeId(input.u32()?)),
        (5, 2) => Reply::NeedPlan,
        (6, 3) => Reply::SystemRows(list(&mut input, |input| {
            list(input, |input| {
                expect_fields(input, 2)?;
                Ok((input.bytes()?.to_vec(), input.u64()?))
            })
        })?),
        (tag, _) => return Err(Wrong::message(format!("reply {tag} of {fields} fields"))),
    };
    Ok((flow, reply))
}

fn write_work(work: &Work, has_tree: bool, out: &mut Out<'_>) -> Written {
    match work {
        Work::Query(query) => {
            out.array(6)?.u8(0)?.bool(query.is_point)?;
            write_call(&query.call, has_tree, out)?;
            write_eval(&query.eval, out)
        }
        Work::ReadRows(spans) => {
            out.array(2)?.u8(1)?.array(spans.len() as u64)?;
            for span in spans {
                out.array(2)?.u64(span.relation)?;
                write_maybe(span.key.as_deref(), out)?;
            }
            Ok(())
        }
        Work::WriteRows(puts) => {
            out.array(2)?.u8(2)?.array(puts.len() as u64)?;
            for put in puts {
                out.array(4)?.u64(put.relation)?.bytes(&put.key)?;
                write_maybe(put.value.as_deref(), out)?;
                match put.seen {
                    Some(seen) => out.u64(seen)?,
                    None => out.null()?,
                };
            }
            Ok(())
        }
    }
}

fn write_call(call: &Call, has_tree: bool, out: &mut Out<'_>) -> Written {
    match call {
        Call::Local { planned, parameters } => {
            out.bytes(&planned.hash.to_be_bytes())?;
            write_maybe(has_tree.then_some(&*planned.encoded), out)?;
            out.array(parameters.len() as u64)?;
            for value in encode_values(parameters) {
                write_maybe(value.as_deref(), out)?;
            }
        }
        Call::Remote { hash, tree, parameters } => {
            out.bytes(&hash.to_be_bytes())?;
            write_maybe(tree.as_deref().filter(|_| has_tree), out)?;
            out.array(parameters.len() as u64)?;
            for value in parameters {
                write_maybe(value.as_deref(), out)?;
            }
        }
    }
    Ok(())
}

fn read_work(input: &mut Decoder<'_>) -> Read<Work> {
    let fields = counted(input)?;
    Ok(match (input.u8()?, fields) {
        (0, 6) => {
            let is_point = input.bool()?;
            let hash = input.bytes()?.try_into().map_err(|_| Wrong::message("a plan's hash"))?;
            let hash = u128::from_be_bytes(hash);
            let tree = maybe(input, |input| input.bytes().map(Arc::from))?;
            let value = |input: &mut Decoder<'_>| maybe(input, |input| Ok(input.bytes()?.to_vec()));
            let call = Call::Remote { hash, tree, parameters: list(input, value)? };
            Work::Query(Box::new(Query { is_point, call, eval: read_eval(input)? }))
        }
        (1, 2) => Work::ReadRows(list(input, |input| {
            expect_fields(input, 2)?;
            let relation = input.u64()?;
            Ok(RowSpan { relation, key: maybe(input, |input| Ok(input.bytes()?.to_vec()))? })
        })?),
        (2, 2) => Work::WriteRows(list(input, |input| {
            expect_fields(input, 4)?;
            Ok(RowPut {
                relation: input.u64()?,
                key: input.bytes()?.to_vec(),
                value: maybe(input, |input| Ok(input.bytes()?.to_vec()))?,
                seen: maybe(input, |input| {
                    let seen = input.u64()?;
                    Ok(seen)
                })?,
            })
        })?),
        (tag, _) => return Err(Wrong::message(format!("work {tag} of {fields} fields"))),
    })
}

/// Values in binary, as parameters travel.
pub fn encode_values(values: &[Datum]) -> Vec<Option<Vec<u8>>> {
    let encode = |value: &Datum| {
        (!value.is_null()).then(|| {
            let mut bytes = Vec::new();
            format::write_binary(value, &mut bytes);
            bytes
        })
    };
    values.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use phantom_base::{Error, Random, SeededRandom, sqlstate};
    use phantom_types::{EvalContext, SessionFormat};

    use super::*;

    fn run() -> ToLeader {
        let eval = EvalContext {
            transaction_time: 5,
            statement_time: 6,
            format: SessionFormat::default(),
            database: Arc::from("postgres"),
            server_version: Arc::from("x"),
            meter: phantom_types::Meter::default(),
        };
        let call = Call::Remote {
            hash: 1 << 100,
            tree: Some(Arc::from([1, 2, 3].as_slice())),
            parameters: encode_values(&[Datum::Int4(5), Datum::Null]),
        };
        let work = Work::Query(Box::new(Query { is_point: true, call, eval }));
        ToLeader::Run(Fragment { flow: 7, ..Fragment::autocommit(GroupId(2), [3; 16], 9, work) })
    }

    #[test]
    fn messages_come_back_as_they_were_sent() {
        let error = Error::new(sqlstate::UNIQUE_VIOLATION, "taken").with_table("s", "t");
        for message in [run(), ToLeader::Credit(1, 2), ToLeader::Cancel(3)] {
            let bytes = encode_to_leader(&message, true);
            assert_eq!(encode_to_leader(&decode_to_leader(&bytes).expect("valid"), true), bytes);
        }
        for reply in [
            Reply::Rows(Rows::Remote { count: 2, bytes: vec![1, 2] }),
            Reply::Finished { count: 2, commit: Timestamp(3) },
            Reply::Failed(error),
            Reply::NotLeader(NodeId(2)),
            Reply::NeedPlan,
            Reply::SystemRows(vec![vec![(vec![1], 2)], vec![]]),
        ] {
            let bytes = encode_reply(1, &reply);
            let (flow, read) = decode_reply(&bytes).expect("valid");
            assert_eq!(encode_reply(flow, &read), bytes);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let bytes = encode_to_leader(&run(), true);
        let mut random = SeededRandom::new(1);
        for _ in 0..20_000 {
            let mut damaged = bytes.clone();
            let at = random.below(damaged.len() as u64) as usize;
            damaged[at] = random.next_u64() as u8;
            damaged.truncate(random.below(damaged.len() as u64 + 1) as usize);
            let _ = decode_to_leader(&damaged);
            let _ = decode_reply(&damaged);
        }
    }
}
