//! One frame for every kind of section, with every message that travels in it.

use std::sync::Arc;

use phantom_base::{Error, ErrorFields, GroupId, LogIndex, NodeId, Place, ReplicaId, Term};
use phantom_base::{Timestamp, sqlstate};
use phantom_node::frame::{Decoder, FrameBuilder, Route, Section};
use phantom_node::gateway::wire;
use phantom_node::leader::work::{Call, FlowId, Fragment, Query, Reply, RowPut, RowSpan, Rows};
use phantom_node::leader::work::{ToLeader, Work};
use phantom_raft::{Body, Entry, Heartbeat, HeartbeatAnswer, Line, LineAnswer, Message, Parcel};
use phantom_raft::{Parting, Position, decode_parcel, encode_parcel};
use phantom_types::{DateOrder, DateOutput, Datum, EvalContext, SessionFormat};

const ROUTE: Route = Route { cluster: 0xC0FF_EE01, from: NodeId(2), to: NodeId(1), incarnation: 7 };
const STAMP: Timestamp = Timestamp(0x018B_CFE5_6800_0003);

fn group(body: Body) -> Parcel {
    let (from, to) = (ReplicaId(2), ReplicaId(1));
    Parcel::Group(Message { gid: GroupId(2), from, to, term: Term(5), body })
}

fn entry(index: u64, data: &[u8]) -> Entry {
    Entry { index: LogIndex(index), term: Term(4), data: Arc::from(data) }
}

fn parcels() -> Vec<Parcel> {
    let last = Position { term: Term(4), index: LogIndex(9) };
    let (gid, from, to) = (GroupId(1), ReplicaId(2), ReplicaId(1));
    let (term, commit, all_have) = (Term(5), LogIndex(8), LogIndex(7));
    let line = Line { gid, from, to, term, commit, all_have };
    let answer = LineAnswer { gid, from, to, term, applied: LogIndex(6), epoch: 0 };
    vec![
        group(Body::PreVote { last }),
        group(Body::PreVoteAnswer { granted: true, parting: Parting::default() }),
        group(Body::Vote { last, permit: Parting::default() }),
        group(Body::VoteAnswer { granted: false }),
        group(Body::Append {
            prev: last,
            commit: LogIndex(9),
            entries: vec![entry(10, b""), entry(11, b"eleven")],
        }),
        group(Body::Accepted { matched: LogIndex(11), epoch: 0 }),
        group(Body::Rejected { prev: LogIndex(9), hint: last }),
        group(Body::Commit { index: LogIndex(11) }),
        group(Body::Farewell { served: Timestamp::MIN }),
        group(Body::TooFarBehind { first: LogIndex(3) }),
        Parcel::Heartbeat(Heartbeat { incarnation: 7, lines: vec![line, line] }),
        Parcel::HeartbeatAnswer(HeartbeatAnswer { short_of_room: false, lines: vec![answer] }),
        Parcel::HeartbeatAnswer(HeartbeatAnswer { short_of_room: true, lines: vec![answer] }),
    ]
}

fn barriers() -> Vec<Parcel> {
    vec![
        group(Body::Round { context: 12 }),
        group(Body::RoundAnswer { context: 12 }),
        group(Body::Ask { request: 13 }),
        group(Body::Answer { request: 13, index: LogIndex(11), stamp: STAMP }),
    ]
}

fn run(work: Work) -> ToLeader {
    let fragment = Fragment::autocommit(GroupId(2), *b"transaction's id", 9, work);
    ToLeader::Run(Fragment { flow: 40, ..fragment })
}

fn query(is_point: bool, tree: Option<&[u8]>) -> ToLeader {
    let eval = EvalContext {
        transaction_time: 752_000_000_000_000,
        statement_time: 752_000_000_000_001,
        format: SessionFormat {
            date_output: DateOutput::German,
            date_order: DateOrder::Dmy,
            extra_float_digits: -3,
            ..SessionFormat::default()
        },
        database: Arc::from("postgres"),
        server_version: Arc::from(phantom_sql::settings::version_text()),
        meter: phantom_types::Meter::default(),
    };
    let parameters = wire::encode_values(&[Datum::Int4(5), Datum::Null, Datum::text("five")]);
    let call = Call::Remote { hash: 0xABCD << 64, tree: tree.map(Arc::from), parameters };
    run(Work::Query(Box::new(Query { is_point, call, eval })))
}

fn requests() -> Vec<ToLeader> {
    let span = |key: Option<&[u8]>| RowSpan { relation: 2, key: key.map(<[u8]>::to_vec) };
    let put = |value: Option<&[u8]>, seen| RowPut {
        relation: 1 << 32 | 4,
        key: b"key".to_vec(),
        value: value.map(<[u8]>::to_vec),
        seen,
    };
    vec![
        query(true, Some(b"a tree")),
        query(false, None),
        run(Work::ReadRows(vec![span(None), span(Some(b"key"))])),
        run(Work::WriteRows(vec![put(Some(b"value"), Some(0)), put(None, None)])),
        ToLeader::Credit(40, 1 << 20),
        ToLeader::Cancel(40),
    ]
}

fn replies() -> Vec<(FlowId, Reply)> {
    let error = Error::new(sqlstate::UNIQUE_VIOLATION, "taken")
        .with_detail("Key (k)=(1) already exists.")
        .with_hint("a hint")
        .with_table("public", "t");
    // Bytes of the first release do not say where an error was made.
    let fields = ErrorFields { place: Place::default(), ..error.fields().clone() };
    let error = Error::from_fields(fields);
    [
        Reply::Rows(Rows::Remote { count: 1, bytes: b"\x03\0\0\0row".to_vec() }),
        Reply::Finished { count: 1, commit: STAMP },
        Reply::Failed(error),
        Reply::NotLeader(NodeId(3)),
        Reply::NeedPlan,
        Reply::SystemRows(vec![vec![(b"value".to_vec(), 6)], vec![]]),
    ]
    .map(|reply| (40, reply))
    .to_vec()
}

/// A message of the control plane is Python's to read; a piece is the link's.
const CONTROL: &[u8] = b"\x83\x07\x18\x2a\x18\x63";
const PIECE: &[u8] = b"\x01\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0piece";

fn framed(section: Section, contents: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = FrameBuilder::new(&ROUTE, STAMP);
    for content in contents {
        frame.add(section, content);
    }
    frame.finish()
}

fn as_bytes(parcels: &[Parcel]) -> Vec<Vec<u8>> {
    let encode = |parcel| {
        let mut bytes = Vec::new();
        encode_parcel(parcel, &mut bytes);
        bytes
    };
    parcels.iter().map(encode).collect()
}

/// All frames, one behind the other, as a peer sends them.
pub fn encode() -> Vec<u8> {
    let requests: Vec<_> =
        requests().iter().map(|request| wire::encode_to_leader(request, true)).collect();
    let replies: Vec<_> =
        replies().iter().map(|(flow, reply)| wire::encode_reply(*flow, reply)).collect();
    [
        framed(Section::Raft, &as_bytes(&parcels())),
        framed(Section::Barriers, &as_bytes(&barriers())),
        framed(Section::Requests, &requests),
        framed(Section::Replies, &replies),
        framed(Section::Control, &[CONTROL.to_vec()]),
        framed(Section::Piece, &[PIECE.to_vec()]),
    ]
    .concat()
}

/// What the frames say, message by message.
pub fn meant() -> Vec<String> {
    let mut said = Vec::new();
    said.extend(parcels().iter().map(|parcel| format!("{STAMP:?} Raft {parcel:?}")));
    said.extend(barriers().iter().map(|parcel| format!("{STAMP:?} Barriers {parcel:?}")));
    said.extend(requests().iter().map(|request| format!("{STAMP:?} {request:?}")));
    said.extend(replies().iter().map(|reply| format!("{STAMP:?} {reply:?}")));
    said.push(format!("{STAMP:?} Control {CONTROL:?}"));
    said.push(format!("{STAMP:?} Piece {PIECE:?}"));
    said
}

/// What bytes of a peer say, read as a link reads them.
pub fn decode(bytes: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    let mut said = Vec::new();
    while let Some(frame) = decoder.next(&ROUTE).unwrap() {
        for (section, content) in frame.sections {
            match section {
                Section::Raft | Section::Support | Section::Barriers => {
                    let mut reader = phantom_base::bytes::Reader::new(&content);
                    while !reader.is_empty() {
                        let parcel = decode_parcel(&mut reader).unwrap();
                        said.push(format!("{:?} {section:?} {parcel:?}", frame.hlc));
                    }
                }
                Section::Requests => {
                    let request = wire::decode_to_leader(&content).unwrap();
                    said.push(format!("{:?} {request:?}", frame.hlc));
                }
                Section::Replies => {
                    let reply = wire::decode_reply(&content).unwrap();
                    said.push(format!("{:?} {reply:?}", frame.hlc));
                }
                Section::Control | Section::Piece | Section::Clock => {
                    said.push(format!("{:?} {section:?} {content:?}", frame.hlc));
                }
            }
        }
    }
    assert!(!decoder.is_within_frame(), "a frame is cut");
    said
}
