//! Parcels as bytes, little endian.
//!
//! ```text
//! parcel     kind u8, then for a group message: gid u64 | from u32 | to u32 | term u64 | fields
//! entries    count u32 of (term u64 | length u32 | data); indexes follow from the one before them
//! heartbeat  kind u8 | incarnation u32 | count u32 of (gid | from | to | term | commit | all_have)
//! answer     kind u8 | count u32 of (gid | from | to | term | applied [| epoch u64]); its kind
//!            tells whether the answerer is short of room, and whether there are epochs
//! support    kind u8 | epoch u64 | until u64
//! ```
//!
//! Messages that promise something have kinds of their own; without they are written as before
//! there were promises. Parcels stand one behind the other in a section of a frame. Wrong bytes are the peer's error,
//! never a panic; counts are believed only as far as bytes follow.

use std::sync::Arc;

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{GroupId, LogIndex, ReplicaId, Term, Timestamp};

use crate::{Body, Entry, Heartbeat, HeartbeatAnswer, Line, LineAnswer, Message, Parcel, Parting};
use crate::{Position, Promise};

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
const PROMISING_ANSWER: u8 = 35;
const PROMISING_ANSWER_SHORT: u8 = 36;
const SUPPORT_ASKED: u8 = 37;
const SUPPORT_GIVEN: u8 = 38;

const FAREWELL: u8 = 9;
const HANDOVER: u8 = 15;
const PARTING_PRE_VOTE_ANSWER: u8 = 16;
const PERMITTED_VOTE: u8 = 17;
const PROMISING_ACCEPTED: u8 = 18;
const PARTING_FAREWELL: u8 = 19;

/// No parting at all.
const NONE: Parting = Parting { term: Term(0), served: Timestamp::MIN };

/// Whether an encoded parcel is the word of a leader that goes, on which no promise rests.
pub fn is_parting(encoded: &[u8]) -> bool {
    encoded.first().is_some_and(|kind| [FAREWELL, HANDOVER, PARTING_FAREWELL].contains(kind))
}

fn kind_of(body: &Body) -> u8 {
    match body {
        Body::PreVote { .. } => 1,
        Body::PreVoteAnswer { parting: NONE, .. } => 2,
        Body::PreVoteAnswer { .. } => PARTING_PRE_VOTE_ANSWER,
        Body::Vote { permit: NONE, .. } => 3,
        Body::Vote { .. } => PERMITTED_VOTE,
        Body::VoteAnswer { .. } => 4,
        Body::Append { .. } => 5,
        Body::Accepted { epoch: 0, .. } => 6,
        Body::Accepted { .. } => PROMISING_ACCEPTED,
        Body::Rejected { .. } => 7,
        Body::Commit { .. } => 8,
        Body::Farewell { served: Timestamp::MIN } => FAREWELL,
        Body::Farewell { .. } => PARTING_FAREWELL,
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
        Parcel::HeartbeatAnswer(answer) => {
            1 + 4 + answer.lines.len() * if answer.promises() { 40 } else { 32 }
        }
        Parcel::SupportAsked(_) | Parcel::SupportGiven(_) => 1 + 16,
        Parcel::Group(message) => {
            GROUP
                + match &message.body {
                    Body::PreVote { .. }
                    | Body::Vote { permit: NONE, .. }
                    | Body::Accepted { epoch: 1.., .. } => 16,
                    Body::Vote { .. } => 32,
                    Body::PreVoteAnswer { parting: NONE, .. } | Body::VoteAnswer { .. } => 1,
                    Body::PreVoteAnswer { .. } => 17,
                    Body::Append { entries, .. } => {
                        28 + entries.iter().map(|e| 12 + e.data.len()).sum::<usize>()
                    }
                    Body::Rejected { .. } | Body::Answer { .. } => 24,
                    Body::Farewell { served: Timestamp::MIN } => 0,
                    Body::Handover { .. } => 12,
                    Body::Farewell { .. }
                    | Body::Accepted { .. }
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
            let promises = answer.promises();
            out.push(match (promises, answer.short_of_room) {
                (false, false) => HEARTBEAT_ANSWER,
                (false, true) => HEARTBEAT_ANSWER_SHORT,
                (true, false) => PROMISING_ANSWER,
                (true, true) => PROMISING_ANSWER_SHORT,
            });
            put_count(out, answer.lines.len());
            for line in &answer.lines {
                put_route(out, line.gid, line.from, line.to, line.term);
                put_u64(out, line.applied.0);
                if promises {
                    put_u64(out, line.epoch);
                }
            }
        }
        Parcel::SupportAsked(promise) => put_promise(out, SUPPORT_ASKED, *promise),
        Parcel::SupportGiven(promise) => put_promise(out, SUPPORT_GIVEN, *promise),
    }
    assert_eq!(out.len() - start, encoded_len(parcel), "{parcel:?}");
}

fn encode_message(message: &Message, out: &mut Vec<u8>) {
    out.push(kind_of(&message.body));
    put_route(out, message.gid, message.from, message.to, message.term);
    match &message.body {
        Body::PreVote { last } => put_position(out, *last),
        Body::Vote { last, permit } => {
            put_position(out, *last);
            put_parting(out, *permit);
        }
        Body::PreVoteAnswer { granted, parting } => {
            out.push(u8::from(*granted));
            put_parting(out, *parting);
        }
        Body::VoteAnswer { granted } => out.push(u8::from(*granted)),
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
        Body::Accepted { matched, epoch } => {
            put_u64(out, matched.0);
            if *epoch > 0 {
                put_u64(out, *epoch);
            }
        }
        Body::Commit { index } | Body::TooFarBehind { first: index } => put_u64(out, index.0),
        Body::Round { context: number }
        | Body::RoundAnswer { context: number }
        | Body::Ask { request: number } => put_u64(out, *number),
        Body::Answer { request, index, stamp } => {
            put_u64(out, *request);
            put_u64(out, index.0);
            put_u64(out, stamp.0);
        }
        Body::Handover { heir, served } => {
            out.extend_from_slice(&heir.0.to_le_bytes());
            put_u64(out, served.0);
        }
        Body::Farewell { served: Timestamp::MIN } => {}
        Body::Farewell { served } => put_u64(out, served.0),
    }
}

fn put_promise(out: &mut Vec<u8>, kind: u8, promise: Promise) {
    out.push(kind);
    put_u64(out, promise.epoch);
    put_u64(out, promise.until.0);
}

fn put_parting(out: &mut Vec<u8>, parting: Parting) {
    if parting != NONE {
        put_u64(out, parting.term.0);
        put_u64(out, parting.served.0);
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
        HEARTBEAT_ANSWER..=PROMISING_ANSWER_SHORT => decode_answer(kind, reader),
        SUPPORT_ASKED => Ok(Parcel::SupportAsked(promise(reader)?)),
        SUPPORT_GIVEN => Ok(Parcel::SupportGiven(promise(reader)?)),
        _ => {
            let (gid, from, to, term) = route(reader)?;
            let body = decode_body(kind, term, reader)?;
            Ok(Parcel::Group(Message { gid, from, to, term, body }))
        }
    }
}

fn decode_answer(kind: u8, reader: &mut Reader<'_>) -> Result<Parcel, MalformedParcel> {
    let short_of_room = [HEARTBEAT_ANSWER_SHORT, PROMISING_ANSWER_SHORT].contains(&kind);
    let lines = repeat(reader, |r| {
        let (gid, from, to, term) = route(r)?;
        let applied = index(r)?;
        let epoch = if kind >= PROMISING_ANSWER { r.u64()? } else { 0 };
        Ok(LineAnswer { gid, from, to, term, applied, epoch })
    })?;
    Ok(Parcel::HeartbeatAnswer(HeartbeatAnswer { short_of_room, lines }))
}

/// `sent_in` is the sender's term.
fn decode_body(kind: u8, sent_in: Term, r: &mut Reader<'_>) -> Result<Body, MalformedParcel> {
    Ok(match kind {
        1 => Body::PreVote { last: position(r)? },
        2 => Body::PreVoteAnswer { granted: flag(r)?, parting: NONE },
        PARTING_PRE_VOTE_ANSWER => Body::PreVoteAnswer { granted: flag(r)?, parting: parting(r)? },
        3 => Body::Vote { last: position(r)?, permit: NONE },
        PERMITTED_VOTE => Body::Vote { last: position(r)?, permit: parting(r)? },
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
        6 => Body::Accepted { matched: index(r)?, epoch: 0 },
        PROMISING_ACCEPTED => Body::Accepted { matched: index(r)?, epoch: r.u64()? },
        7 => Body::Rejected { prev: index(r)?, hint: position(r)? },
        8 => Body::Commit { index: index(r)? },
        FAREWELL => Body::Farewell { served: Timestamp::MIN },
        PARTING_FAREWELL => Body::Farewell { served: Timestamp(r.u64()?) },
        10 => Body::TooFarBehind { first: index(r)? },
        11 => Body::Round { context: r.u64()? },
        12 => Body::RoundAnswer { context: r.u64()? },
        13 => Body::Ask { request: r.u64()? },
        14 => Body::Answer { request: r.u64()?, index: index(r)?, stamp: Timestamp(r.u64()?) },
        HANDOVER => Body::Handover { heir: ReplicaId(r.u32()?), served: Timestamp(r.u64()?) },
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

fn promise(reader: &mut Reader<'_>) -> Result<Promise, MalformedParcel> {
    Ok(Promise { epoch: reader.u64()?, until: Timestamp(reader.u64()?) })
}

fn parting(reader: &mut Reader<'_>) -> Result<Parting, MalformedParcel> {
    Ok(Parting { term: term(reader)?, served: Timestamp(reader.u64()?) })
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
        let parting = Parting { term: Term(3), served: Timestamp(1 << 40) };
        let bodies = vec![
            Body::PreVote { last: at(7, 3) },
            Body::PreVoteAnswer { granted: true, parting: NONE },
            Body::PreVoteAnswer { granted: false, parting },
            Body::Vote { last: at(7, 3), permit: NONE },
            Body::Vote { last: at(7, 3), permit: parting },
            Body::VoteAnswer { granted: false },
            Body::Append { prev: at(7, 3), commit: LogIndex(6), entries },
            Body::Accepted { matched: LogIndex(9), epoch: 0 },
            Body::Accepted { matched: LogIndex(9), epoch: 1 << 32 },
            Body::Rejected { prev: LogIndex(9), hint: at(4, 2) },
            Body::Commit { index: LogIndex(9) },
            Body::Farewell { served: Timestamp::MIN },
            Body::Farewell { served: parting.served },
            Body::Handover { heir: ReplicaId(3), served: parting.served },
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
        for (short_of_room, epoch) in [(false, 0), (true, 0), (false, 7), (true, 7)] {
            let line = LineAnswer { gid, from, to, term, applied, epoch };
            let answer = HeartbeatAnswer { short_of_room, lines: vec![line] };
            parcels.push(Parcel::HeartbeatAnswer(answer));
        }
        let promise = Promise { epoch: 1 << 32, until: Timestamp(1 << 40) };
        parcels.extend([Parcel::SupportAsked(promise), Parcel::SupportGiven(promise)]);
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
        let (future, vote) = (entry(8, 5), Body::Vote { last: at(7, 3), permit: NONE });
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
