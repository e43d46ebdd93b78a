//! Parcels as bytes, little endian.
//!
//! ```text
//! parcel     kind u8, then for a group message: gid u64 | from u32 | to u32 | term u64 | fields
//! entries    count u32 of (term u64 | length u32 | data); indexes follow from the one before them
//! heartbeat  kind u8 | incarnation u32 | count u32 of (gid | from | to | term | commit | all_have)
//! answer     kind u8 | count u32 of (gid | from | to | term | applied); its kind tells
//!            whether the answerer is short of room
//! ```
//!
//! Parcels stand one behind the other in a section of a frame. Wrong bytes are the peer's error,
//! never a panic; counts are believed only as far as bytes follow.

use std::sync::Arc;

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{GroupId, LogIndex, ReplicaId, Term, Timestamp};

use crate::{Body, Entry, Heartbeat, HeartbeatAnswer, Line, LineAnswer, Message, Parcel, Position};

/// Bytes of a peer that are no parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedParcel {
    /// They end too early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// No such kind.
    #[error("unknown kind of message: {0}")]
    UnknownKind(u8),
    /// A flag that is neither 0 nor 1.
    #[error("{0} is no yes or no")]
    BadFlag(u8),
    /// Entries whose terms fall, or rise above that of who sends them.
    #[error("entries out of order")]
    BadEntries,
    /// An index that no log reaches.
    #[error("index {0} is out of range")]
    BadIndex(u64),
    /// A term that no elections reach.
    #[error("term {0} is out of range")]
    BadTerm(u64),
}

const HEARTBEAT: u8 = 32;
const HEARTBEAT_ANSWER: u8 = 33;
const HEARTBEAT_ANSWER_SHORT: u8 = 34;

const FAREWELL: u8 = 9;
const HANDOVER: u8 = 15;

/// Whether an encoded parcel is the word of a leader that goes, on which no promise rests.
pub fn is_parting(encoded: &[u8]) -> bool {
    encoded.first().is_some_and(|kind| [FAREWELL, HANDOVER].contains(kind))
}

fn kind_of(body: &Body) -> u8 {
    match body {
        Body::PreVote { .. } => 1,
        Body::PreVoteAnswer { .. } => 2,
        Body::Vote { .. } => 3,
        Body::VoteAnswer { .. } => 4,
        Body::Append { .. } => 5,
        Body::Accepted { .. } => 6,
        Body::Rejected { .. } => 7,
        Body::Commit { .. } => 8,
        Body::Farewell => FAREWELL,
        Body::TooFarBehind { .. } => 10,
        Body::Round { .. } => 11,
        Body::RoundAnswer { .. } => 12,
        Body::Ask { .. } => 13,
        Body::Answer { .. } => 14,
        Body::Handover { .. } => HANDOVER,
    }
}

/// How many bytes `encode_parcel` will append.
pub fn encoded_len(parcel: &Parcel) -> usize {
    const GROUP: usize = 1 + 8 + 4 + 4 + 8;
    match parcel {
        Parcel::Heartbeat(beat) => 1 + 4 + 4 + beat.lines.len() * 40,
        Parcel::HeartbeatAnswer(answer) => 1 + 4 + answer.lines.len() * 32,
        Parcel::Group(message) => {
            GROUP
                + match &message.body {
                    Body::PreVote { .. } | Body::Vote { .. } => 16,
                    Body::PreVoteAnswer { .. } | Body::VoteAnswer { .. } => 1,
                    Body::Append { entries, .. } => {
                        28 + entries.iter().map(|e| 12 + e.data.len()).sum::<usize>()
                    }
                    Body::Rejected { .. } | Body::Answer { .. } => 24,
                    Body::Farewell => 0,
                    Body::Handover { .. } => 4,
                    Body::Accepted { .. }
                    | Body::Commit { .. }
                    | Body::TooFarBehind { .. }
                    | Body::Round { .. }
                    | Body::RoundAnswer { .. }
                    | Body::Ask { .. } => 8,
                }
        }
    }
}

/// Appends one parcel to `out`.
pub fn encode_parcel(parcel: &Parcel, out: &mut Vec<u8>) {
    let start = out.len();
    match parcel {
        Parcel::Group(message) => encode_message(message, out),
        Parcel::Heartbeat(beat) => {
            out.push(HEARTBEAT);
            out.extend_from_slice(&beat.incarnation.to_le_bytes());
            put_count(out, beat.lines.len());
            for line in &beat.lines {
                put_route(out, line.gid, line.from, line.to, line.term);
                put_u64(out, line.commit.0);
                put_u64(out, line.all_have.0);
            }
        }
        Parcel::HeartbeatAnswer(answer) => {
            let short = answer.short_of_room;
            out.push(if short { HEARTBEAT_ANSWER_SHORT } else { HEARTBEAT_ANSWER });
            put_count(out, answer.lines.len());
            for line in &answer.lines {
                put_route(out, line.gid, line.from, line.to, line.term);
                put_u64(out, line.applied.0);
            }
        }
    }
    assert_eq!(out.len() - start, encoded_len(parcel), "{parcel:?}");
}

fn encode_message(message: &Message, out: &mut Vec<u8>) {
    out.push(kind_of(&message.body));
    put_route(out, message.gid, message.from, message.to, message.term);
    match &message.body {
        Body::PreVote { last } | Body::Vote { last } => put_position(out, *last),
        Body::PreVoteAnswer { granted } | Body::VoteAnswer { granted } => {
            out.push(u8::from(*granted));
        }
        Body::Append { prev, commit, entries } => {
            put_position(out, *prev);
            put_u64(out, commit.0);
            put_count(out, entries.len());
            for entry in entries {
                put_u64(out, entry.term.0);
                put_count(out, entry.data.len());
                out.extend_from_slice(&entry.data);
            }
        }
        Body::Rejected { prev, hint } => {
            put_u64(out, prev.0);
            put_position(out, *hint);
        }
        Body::Accepted { matched: index }
        | Body::Commit { index }
        | Body::TooFarBehind { first: index } => put_u64(out, index.0),
        Body::Round { context: number }
        | Body::RoundAnswer { context: number }
        | Body::Ask { request: number } => put_u64(out, *number),
        Body::Answer { request, index, stamp } => {
            put_u64(out, *request);
            put_u64(out, index.0);
            put_u64(out, stamp.0);
        }
        Body::Handover { heir } => out.extend_from_slice(&heir.0.to_le_bytes()),
        Body::Farewell => {}
    }
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("messages are bounded far below 4 GiB");
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    put_u64(out, position.index.0);
    put_u64(out, position.term.0);
}

fn put_route(out: &mut Vec<u8>, gid: GroupId, from: ReplicaId, to: ReplicaId, term: Term) {
    put_u64(out, gid.0);
    out.extend_from_slice(&from.0.to_le_bytes());
    out.extend_from_slice(&to.0.to_le_bytes());
    put_u64(out, term.0);
}

/// Reads one parcel; the reader stands behind it then.
pub fn decode_parcel(reader: &mut Reader<'_>) -> Result<Parcel, MalformedParcel> {
    let kind = reader.u8()?;
    match kind {
        HEARTBEAT => {
            let incarnation = reader.u32()?;
            let lines = repeat(reader, |r| {
                let (gid, from, to, term) = route(r)?;
                let (commit, all_have) = (index(r)?, index(r)?);
                Ok(Line { gid, from, to, term, commit, all_have })
            })?;
            Ok(Parcel::Heartbeat(Heartbeat { incarnation, lines }))
        }
        HEARTBEAT_ANSWER | HEARTBEAT_ANSWER_SHORT => {
            let short_of_room = kind == HEARTBEAT_ANSWER_SHORT;
            let lines = repeat(reader, |r| {
                let (gid, from, to, term) = route(r)?;
                Ok(LineAnswer { gid, from, to, term, applied: index(r)? })
            })?;
            Ok(Parcel::HeartbeatAnswer(HeartbeatAnswer { short_of_room, lines }))
        }
        _ => {
            let (gid, from, to, term) = route(reader)?;
            let body = decode_body(kind, term, reader)?;
            Ok(Parcel::Group(Message { gid, from, to, term, body }))
        }
    }
}

/// `sent_in` is the sender's term.
fn decode_body(kind: u8, sent_in: Term, r: &mut Reader<'_>) -> Result<Body, MalformedParcel> {
    Ok(match kind {
        1 => Body::PreVote { last: position(r)? },
        2 => Body::PreVoteAnswer { granted: flag(r)? },
        3 => Body::Vote { last: position(r)? },
        4 => Body::VoteAnswer { granted: flag(r)? },
        5 => {
            let (prev, commit) = (position(r)?, index(r)?);
            let mut before = prev;
            let entries = repeat(r, |r| {
                let term = term(r)?;
                let length = r.u32()? as usize;
                let data = Arc::from(r.take(length)?);
                if term < before.term || term > sent_in {
                    return Err(MalformedParcel::BadEntries);
                }
                before = Position { index: before.index.next(), term };
                Ok(Entry { index: before.index, term, data })
            })?;
            Body::Append { prev, commit, entries }
        }
        6 => Body::Accepted { matched: index(r)? },
        7 => Body::Rejected { prev: index(r)?, hint: position(r)? },
        8 => Body::Commit { index: index(r)? },
        FAREWELL => Body::Farewell,
        10 => Body::TooFarBehind { first: index(r)? },
        11 => Body::Round { context: r.u64()? },
        12 => Body::RoundAnswer { context: r.u64()? },
        13 => Body::Ask { request: r.u64()? },
        14 => Body::Answer { request: r.u64()?, index: index(r)?, stamp: Timestamp(r.u64()?) },
        HANDOVER => Body::Handover { heir: ReplicaId(r.u32()?) },
        _ => return Err(MalformedParcel::UnknownKind(kind)),
    })
}

fn repeat<T>(
    reader: &mut Reader<'_>,
    mut one: impl FnMut(&mut Reader<'_>) -> Result<T, MalformedParcel>,
) -> Result<Vec<T>, MalformedParcel> {
    let count = reader.u32()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(one(reader)?);
    }
    Ok(all)
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, MalformedParcel> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(MalformedParcel::BadFlag(other)),
    }
}

fn index(reader: &mut Reader<'_>) -> Result<LogIndex, MalformedParcel> {
    // Far below 2^64, so that an index can be counted on without a thought of overflow.
    const INDEX_MAX: u64 = 1 << 62;
    let index = reader.u64()?;
    if index > INDEX_MAX { Err(MalformedParcel::BadIndex(index)) } else { Ok(LogIndex(index)) }
}

fn term(reader: &mut Reader<'_>) -> Result<Term, MalformedParcel> {
    // As an index: whoever takes a term from a peer may have to count on from it.
    const TERM_MAX: u64 = 1 << 62;
    let term = reader.u64()?;
    if term > TERM_MAX { Err(MalformedParcel::BadTerm(term)) } else { Ok(Term(term)) }
}

fn position(reader: &mut Reader<'_>) -> Result<Position, MalformedParcel> {
    let index = index(reader)?;
    Ok(Position { index, term: term(reader)? })
}

type Route = (GroupId, ReplicaId, ReplicaId, Term);

fn route(reader: &mut Reader<'_>) -> Result<Route, MalformedParcel> {
    let gid = GroupId(reader.u64()?);
    Ok((gid, ReplicaId(reader.u32()?), ReplicaId(reader.u32()?), term(reader)?))
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom};

    use super::*;

    fn every_kind() -> Vec<Parcel> {
        let at = |index, term| Position { index: LogIndex(index), term: Term(term) };
        let entry = |index, term, data: &[u8]| Entry {
            index: LogIndex(index),
            term: Term(term),
            data: Arc::from(data),
        };
        let entries = vec![entry(8, 3, b"one"), entry(9, 4, b"")];
        let bodies = vec![
            Body::PreVote { last: at(7, 3) },
            Body::PreVoteAnswer { granted: true },
            Body::Vote { last: at(7, 3) },
            Body::VoteAnswer { granted: false },
            Body::Append { prev: at(7, 3), commit: LogIndex(6), entries },
            Body::Accepted { matched: LogIndex(9) },
            Body::Rejected { prev: LogIndex(9), hint: at(4, 2) },
            Body::Commit { index: LogIndex(9) },
            Body::Farewell,
            Body::Handover { heir: ReplicaId(3) },
            Body::TooFarBehind { first: LogIndex(100) },
            Body::Round { context: 77 },
            Body::RoundAnswer { context: 77 },
            Body::Ask { request: 78 },
            Body::Answer { request: 78, index: LogIndex(9), stamp: Timestamp(1 << 40) },
        ];
        let mut parcels: Vec<Parcel> = bodies
            .into_iter()
            .map(|body| {
                let (from, to) = (ReplicaId(2), ReplicaId(3));
                Parcel::Group(Message { gid: GroupId(5), from, to, term: Term(4), body })
            })
            .collect();
        let (gid, from, to, term) = (GroupId(5), ReplicaId(2), ReplicaId(3), Term(4));
        let (commit, all_have, applied) = (LogIndex(9), LogIndex(8), LogIndex(7));
        let line = Line { gid, from, to, term, commit, all_have };
        parcels.push(Parcel::Heartbeat(Heartbeat { incarnation: 6, lines: vec![line, line] }));
        let line = LineAnswer { gid, from, to, term, applied };
        for short_of_room in [false, true] {
            let answer = HeartbeatAnswer { short_of_room, lines: vec![line] };
            parcels.push(Parcel::HeartbeatAnswer(answer));
        }
        parcels
    }

    #[test]
    fn every_parcel_survives_the_wire() {
        let parcels = every_kind();
        let mut bytes = Vec::new();
        for parcel in &parcels {
            encode_parcel(parcel, &mut bytes);
        }
        let mut reader = Reader::new(&bytes);
        for parcel in &parcels {
            assert_eq!(decode_parcel(&mut reader).as_ref(), Ok(parcel));
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn cut_bytes_are_refused() {
        for parcel in every_kind() {
            let mut bytes = Vec::new();
            encode_parcel(&parcel, &mut bytes);
            for length in 0..bytes.len() {
                assert!(decode_parcel(&mut Reader::new(&bytes[..length])).is_err(), "{parcel:?}");
            }
        }
    }

    #[test]
    fn a_term_that_leaves_no_room_or_entries_of_the_future_are_refused() {
        let at = |index, term| Position { index: LogIndex(index), term: Term(term) };
        let data: Arc<[u8]> = Arc::from(&b"x"[..]);
        let entry = |index, term| Entry { index: LogIndex(index), term: Term(term), data };
        let (future, vote) = (entry(8, 5), Body::Vote { last: at(7, 3) });
        let append = Body::Append { prev: at(7, 3), commit: LogIndex(6), entries: vec![future] };
        let refused = [
            (4, append, MalformedParcel::BadEntries),
            (u64::MAX, vote, MalformedParcel::BadTerm(u64::MAX)),
        ];
        for (term, body, why) in refused {
            let (gid, from, to) = (GroupId(5), ReplicaId(2), ReplicaId(3));
            let message = Message { gid, from, to, term: Term(term), body };
            let mut bytes = Vec::new();
            encode_parcel(&Parcel::Group(message), &mut bytes);
            assert_eq!(decode_parcel(&mut Reader::new(&bytes)), Err(why));
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        let mut random = SeededRandom::new(1);
        for parcel in every_kind() {
            let mut bytes = Vec::new();
            encode_parcel(&parcel, &mut bytes);
            for _ in 0..500 {
                let mut changed = bytes.clone();
                let at = random.below(changed.len() as u64) as usize;
                changed[at] = random.next_u64() as u8;
                let _ = decode_parcel(&mut Reader::new(&changed));
            }
        }
    }
}
