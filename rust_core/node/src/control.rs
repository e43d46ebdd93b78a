//! What the control plane asks and is told, as CBOR: settings, identity, status, counters, rows.

use minicbor::{Decoder, Encoder};
use phantom_base::{Error, NodeId, sqlstate};
use phantom_raft::{Event, Room};
use phantom_types::{Datum, codec};

use crate::leader::work::{RowPut, RowSpan};
use crate::replication::{ClockNews, DiskReport, Formation, FormedMember, Status};

pub(crate) const WRITES: &str = "a Vec takes every write";

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;
type Read<T> = Result<T, minicbor::decode::Error>;

/// What a node is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// All memory of the engine, in bytes.
    pub memory_bytes: usize,
    /// Processors that it may use.
    pub cores: usize,
    /// Sessions that it serves at once.
    pub sessions_max: usize,
    /// Memory of all that statements hold, in bytes.
    pub sql_memory_bytes: usize,
}

fn invalid(what: &str, error: &minicbor::decode::Error) -> Error {
    Error::new(sqlstate::INVALID_PARAMETER_VALUE, format!("{what}: {error}"))
}

/// Reads [memory bytes, cores, sessions, SQL memory bytes].
pub fn decode_settings(bytes: &[u8]) -> Result<NodeSettings, Error> {
    let mut input = Decoder::new(bytes);
    let mut read = || -> Read<NodeSettings> {
        input.array()?;
        let mut number = || input.u64().map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Ok(NodeSettings {
            memory_bytes: number()?,
            cores: number()?,
            sessions_max: number()?,
            sql_memory_bytes: number()?,
        })
    };
    read().map_err(|error| invalid("settings", &error))
}

/// Reads [cluster, node, [[node, name, address]..]].
pub fn decode_formation(bytes: &[u8]) -> Result<Formation, Error> {
    let mut input = Decoder::new(bytes);
    let mut read = || -> Read<Formation> {
        input.array()?;
        let (cluster, node) = (input.u64()?, NodeId(input.u32()?));
        let mut members = Vec::new();
        for _ in 0..input.array()?.unwrap_or(0) {
            input.array()?;
            members.push(FormedMember {
                node: NodeId(input.u32()?),
                name: input.str()?.to_owned(),
                address: input.str()?.to_owned(),
            });
        }
        Ok(Formation { cluster, node, members })
    };
    read().map_err(|error| invalid("formation", &error))
}

/// Writes [cluster, node, incarnation, [[node, name, address]..], charter].
pub fn encode_identity(formation: &Formation, incarnation: u32, charter: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.array(5)?.u64(formation.cluster)?.u32(formation.node.0)?.u32(incarnation)?;
        out.array(formation.members.len() as u64)?;
        for member in &formation.members {
            out.array(3)?.u32(member.node.0)?.str(&member.name)?.str(&member.address)?;
        }
        out.bytes(charter)?;
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// Writes an array of maps, one a group.
pub fn encode_status(groups: &[Status]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.array(groups.len() as u64)?;
        for status in groups {
            let group = &status.group;
            out.map(9)?;
            out.str("id")?.u64(group.gid.0)?;
            out.str("leader")?.u32(group.leader.0)?;
            out.str("term")?.u64(group.term.0)?;
            out.str("role")?.str(&format!("{:?}", group.role).to_lowercase())?;
            out.str("commit")?.u64(group.commit.0)?;
            out.str("applied")?.u64(group.applied.0)?;
            out.str("hash")?.u64(status.mark.hash)?;
            out.str("too_far_behind")?.bool(group.too_far_behind)?;
            out.str("members")?.array(group.members.len() as u64)?;
            for member in &group.members {
                out.map(4)?.str("node")?.u32(member.node.0)?;
                out.str("matched")?.u64(member.matched.0)?;
                out.str("applied")?.u64(member.applied.0)?;
                out.str("too_far_behind")?.bool(member.too_far_behind)?;
            }
        }
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// Writes a map of numbers.
pub fn encode_numbers(numbers: &[(&str, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.map(numbers.len() as u64)?;
        for (name, number) in numbers {
            out.str(name)?.u64(*number)?;
        }
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// Writes [kind, ..]: `became_leader`, group, term | `lost_leadership`, group, term, why |
/// `member_too_far_behind`, group, node, first. Elections that are due are told by themselves.
pub fn encode_event(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        match event {
            Event::ElectionDue(groups) => unreachable!("{groups:?} are told by themselves"),
            Event::BecameLeader { gid, term } => {
                out.array(3)?.str("became_leader")?.u64(gid.0)?.u64(term.0)?;
            }
            Event::LostLeadership { gid, term, why } => {
                out.array(4)?.str("lost_leadership")?.u64(gid.0)?.u64(term.0)?;
                out.str(&format!("{why:?}"))?;
            }
            Event::MemberTooFarBehind { gid, node, first } => {
                out.array(4)?
                    .str("member_too_far_behind")?
                    .u64(gid.0)?
                    .u32(node.0)?
                    .u64(first.0)?;
            }
        }
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// Writes [`disk_room`, `enough` | `short` | `none`, free, total, reserve], sizes in bytes.
pub fn encode_disk(disk: &DiskReport) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let room = match disk.room {
        Room::Enough => "enough",
        Room::Short => "short",
        Room::None => "none",
    };
    let mut write = || -> Written {
        out.array(5)?.str("disk_room")?.str(room)?;
        out.u64(disk.free)?.u64(disk.total)?.u64(disk.reserve)?;
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// What happened to the clock: ["clock", what, ms].
pub fn encode_clock(news: ClockNews) -> Vec<u8> {
    let (what, ns) = match news {
        ClockNews::Waits { wait_ns } => ("waits", wait_ns),
        ClockNews::Starts { wait_ns } => ("starts", wait_ns),
        ClockNews::Asks => ("asks", 0),
        ClockNews::Settled => ("settled", 0),
        ClockNews::Forward { by_ns } => ("forward", by_ns),
    };
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.array(3)?.str("clock")?.str(what)?.u64(ns / 1_000_000)?;
        Ok(())
    };
    write().expect(WRITES);
    bytes
}

/// Reads [[relation, [column..] | null]..].
pub fn decode_spans(bytes: &[u8]) -> Result<Vec<RowSpan>, Error> {
    let mut input = Decoder::new(bytes);
    let mut read = || -> Read<Vec<RowSpan>> {
        let mut spans = Vec::new();
        for _ in 0..input.array()?.unwrap_or(0) {
            input.array()?;
            let relation = input.u64()?;
            spans.push(RowSpan { relation, key: read_maybe_key(&mut input)? });
        }
        Ok(spans)
    };
    read().map_err(|error| invalid("spans", &error))
}

/// Reads [[relation, [column..], value | null, seen | null]..].
pub fn decode_puts(bytes: &[u8]) -> Result<Vec<RowPut>, Error> {
    let mut input = Decoder::new(bytes);
    let mut read = || -> Read<Vec<RowPut>> {
        let mut puts = Vec::new();
        for _ in 0..input.array()?.unwrap_or(0) {
            input.array()?;
            let relation = input.u64()?;
            let key = read_key(&mut input)?;
            let value = if is_null(&mut input)? { None } else { Some(input.bytes()?.to_vec()) };
            let seen = if is_null(&mut input)? { None } else { Some(input.u64()?) };
            puts.push(RowPut { relation, key, value, seen });
        }
        Ok(puts)
    };
    read().map_err(|error| invalid("writes", &error))
}

fn is_null(input: &mut Decoder<'_>) -> Read<bool> {
    if input.datatype()? == minicbor::data::Type::Null {
        input.null()?;
        return Ok(true);
    }
    Ok(false)
}

fn read_maybe_key(input: &mut Decoder<'_>) -> Read<Option<Vec<u8>>> {
    if is_null(input)? { Ok(None) } else { read_key(input).map(Some) }
}

/// Key columns: numbers and words.
fn read_key(input: &mut Decoder<'_>) -> Read<Vec<u8>> {
    let mut columns = Vec::new();
    for _ in 0..input.array()?.unwrap_or(0) {
        columns.push(match input.datatype()? {
            minicbor::data::Type::String => Datum::text(input.str()?),
            _ => Datum::Int8(input.i64()?),
        });
    }
    let mut key = Vec::new();
    for column in &columns {
        codec::key::encode_column(column, &mut key);
    }
    Ok(key)
}

/// Writes [true, value] for what went well.
pub fn encode_ok(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Written) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    out.array(2).and_then(|out| out.bool(true)).expect(WRITES);
    write(&mut out).expect(WRITES);
    bytes
}

/// Writes [true, it].
pub fn encode_told(it: bool) -> Vec<u8> {
    encode_ok(|out| out.bool(it).map(|_| ()))
}

/// Writes [2, [SQLSTATE, message, hint]]: the answer to a session's event that nobody carries out.
pub fn encode_unanswered(error: &Error) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.array(2)?.u8(2)?.array(3)?.str(error.sqlstate.as_str())?;
        out.str(&error.message)?.str("").map(|_| ())
    };
    write().expect(WRITES);
    bytes
}

/// Writes [false, [SQLSTATE, message]].
pub fn encode_failed(error: &Error) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes);
    let mut write = || -> Written {
        out.array(2)?.bool(false)?.array(2)?.str(error.sqlstate.as_str())?;
        out.str(&error.message).map(|_| ())
    };
    write().expect(WRITES);
    bytes
}
