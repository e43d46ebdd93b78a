//! What gateways and leaders say to each other about statements, as CBOR.
//!
//! ```text
//! to a leader   [1, dispatch, group, txn, catalog version, work]   run
//!               [2, dispatch, bytes]                           credit
//!               [3, dispatch]                                  cancel
//! work          [0, is point, hash, tree | null, [value | null..], eval]   a query
//!               [1, [[relation, key | null]..]]                            read system rows
//!               [2, [[relation, key, value | null, seen | null]..]]        write system rows
//! eval          [transaction time, statement time, date output, date order, time zone, digits]
//! to a gateway  [1, dispatch, rows, bytes]                     rows, each: length u32 | row
//!               [2, dispatch, count, commit timestamp]         finished
//!               [3, dispatch, error]                           failed
//!               [4, dispatch, leader]                          not the leader
//!               [5, dispatch]                                  the plan is not known: send it
//!               [6, dispatch, [[[value, version]..]..]]        system rows
//! error         [severity, sqlstate, message, detail, hint, position, schema, table, column, type, constraint,
//!                file, line, routine]          without the last three from the oldest peers
//! ```
//!
//! Values travel in PostgreSQL's binary format, rows in the row codec. Tags are never reused.

use minicbor::data::Type;
use minicbor::decode::Error as Wrong;
use minicbor::{Decoder, Encoder};
use phantom_base::sync::Arc;
use phantom_base::{Error, ErrorFields, GroupId, NodeId, Place, Severity, SqlState, Timestamp};
use phantom_types::{DateOrder, DateOutput, Datum, EvalContext, SessionFormat, TimeZone, format};

use crate::replication::entry::TxnId;

/// A gateway's name for work that it has sent to a leader. What is sent again has another one.
pub type DispatchId = u64;

/// Work for the leader of a group.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name at the gateway.
    pub dispatch: DispatchId,
    /// The group.
    pub group: GroupId,
    /// The transaction that the statement is.
    pub txn: TxnId,
    /// The applied catalog that it was bound to.
    pub catalog_version: u64,
    /// What to do.
    pub work: Work,
}

/// What to do at a group.
#[derive(Clone, Debug)]
pub enum Work {
    /// A query, as a point plan or as a fragment.
    Query(Box<QueryWork>),
    /// Reads of system rows.
    ReadRows(Vec<RowSpan>),
    /// Writes of system rows, all in one entry.
    WriteRows(Vec<RowPut>),
}

impl Work {
    /// Bytes that it keeps for as long as it lasts. What the node does on its own account is small,
    /// and goes on whatever statements hold.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Query(query) => {
                let tree = query.tree.as_ref().map_or(0, |tree| tree.len());
                let value = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
                tree + query.parameters.iter().map(value).sum::<usize>()
            }
            Self::ReadRows(_) | Self::WriteRows(_) => 0,
        }
    }
}

/// A query with its values.
#[derive(Clone, Debug)]
pub struct QueryWork {
    /// Whether to run its point plan.
    pub is_point: bool,
    /// The hash of its CBOR form.
    pub hash: u128,
    /// That form, unless the leader has it.
    pub tree: Option<Arc<[u8]>>,
    /// Values of its parameters, in binary.
    pub parameters: Vec<Option<Vec<u8>>>,
    /// What its expressions may know.
    pub eval: EvalContext,
}

/// Rows of a system relation: one, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSpan {
    /// Colocation set and number.
    pub relation: u64,
    /// Encoded key columns of one row.
    pub key: Option<Vec<u8>>,
}

/// A system row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPut {
    /// Colocation set and number.
    pub relation: u64,
    /// Encoded key columns.
    pub key: Vec<u8>,
    /// The new row; `None` removes it.
    pub value: Option<Vec<u8>>,
    /// The version that must be there, 0 for none; `None` asks for nothing.
    pub seen: Option<u64>,
}

/// From a gateway to a leader.
#[derive(Clone, Debug)]
pub enum ToLeader {
    /// Work.
    Run(Run),
    /// It has taken so many bytes of rows.
    Credit(DispatchId, u64),
    /// It wants no more.
    Cancel(DispatchId),
}

/// From a leader to a gateway.
#[derive(Clone, Debug)]
pub enum ToGateway {
    /// Some rows.
    Rows {
        /// Whose.
        dispatch: DispatchId,
        /// How many.
        count: u64,
        /// Each: length u32, row.
        bytes: Vec<u8>,
    },
    /// Done.
    Finished {
        /// What.
        dispatch: DispatchId,
        /// Rows returned or written.
        count: u64,
        /// When it committed; 0 for a read.
        commit: Timestamp,
    },
    /// Failed.
    Failed {
        /// What.
        dispatch: DispatchId,
        /// Why.
        error: Error,
    },
    /// Another node leads.
    NotLeader {
        /// What was not done.
        dispatch: DispatchId,
        /// Who is believed to lead.
        leader: NodeId,
    },
    /// The plan's hash is not known here.
    NeedPlan(DispatchId),
    /// Rows of system relations, for each span.
    SystemRows {
        /// Whose.
        dispatch: DispatchId,
        /// Values and versions.
        rows: Vec<Vec<(Vec<u8>, u64)>>,
    },
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;
type Out<'a> = Encoder<&'a mut Vec<u8>>;
type Read<T> = Result<T, Wrong>;

const WRITES: &str = "a Vec takes every write";

impl ToLeader {
    /// Its CBOR form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut Encoder::new(&mut bytes)).expect(WRITES);
        bytes
    }

    fn write(&self, out: &mut Out<'_>) -> Written {
        match self {
            Self::Run(run) => {
                out.array(6)?.u8(1)?.u64(run.dispatch)?.u64(run.group.0)?.bytes(&run.txn)?;
                out.u64(run.catalog_version)?;
                write_work(&run.work, out)
            }
            Self::Credit(dispatch, bytes) => {
                out.array(3)?.u8(2)?.u64(*dispatch)?.u64(*bytes).map(|_| ())
            }
            Self::Cancel(dispatch) => out.array(2)?.u8(3)?.u64(*dispatch).map(|_| ()),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// For bytes that no peer of this version sends.
    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let mut input = Decoder::new(bytes);
        let fields = counted(&mut input)?;
        Ok(match (input.u8()?, fields) {
            (1, 6) => Self::Run(Run {
                dispatch: input.u64()?,
                group: GroupId(input.u64()?),
                txn: input.bytes()?.try_into().map_err(|_| Wrong::message("a transaction's id"))?,
                catalog_version: input.u64()?,
                work: read_work(&mut input)?,
            }),
            (2, 3) => Self::Credit(input.u64()?, input.u64()?),
            (3, 2) => Self::Cancel(input.u64()?),
            (tag, _) => return Err(Wrong::message(format!("request {tag} of {fields} fields"))),
        })
    }
}

impl ToGateway {
    /// The dispatch that it is about.
    pub fn dispatch(&self) -> DispatchId {
        match self {
            Self::Rows { dispatch, .. }
            | Self::Finished { dispatch, .. }
            | Self::Failed { dispatch, .. }
            | Self::NotLeader { dispatch, .. }
            | Self::NeedPlan(dispatch)
            | Self::SystemRows { dispatch, .. } => *dispatch,
        }
    }

    /// Its CBOR form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut Encoder::new(&mut bytes)).expect(WRITES);
        bytes
    }

    fn write(&self, out: &mut Out<'_>) -> Written {
        match self {
            Self::Rows { dispatch, count, bytes } => {
                out.array(4)?.u8(1)?.u64(*dispatch)?.u64(*count)?.bytes(bytes)?;
            }
            Self::Finished { dispatch, count, commit } => {
                out.array(4)?.u8(2)?.u64(*dispatch)?.u64(*count)?.u64(commit.0)?;
            }
            Self::Failed { dispatch, error } => {
                out.array(3)?.u8(3)?.u64(*dispatch)?;
                write_error(error, out)?;
            }
            Self::NotLeader { dispatch, leader } => {
                out.array(3)?.u8(4)?.u64(*dispatch)?.u32(leader.0)?;
            }
            Self::NeedPlan(dispatch) => {
                out.array(2)?.u8(5)?.u64(*dispatch)?;
            }
            Self::SystemRows { dispatch, rows } => {
                out.array(3)?.u8(6)?.u64(*dispatch)?.array(rows.len() as u64)?;
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

    /// Reads one.
    ///
    /// # Errors
    /// For bytes that no peer of this version sends.
    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let mut input = Decoder::new(bytes);
        let fields = counted(&mut input)?;
        Ok(match (input.u8()?, fields) {
            (1, 4) => Self::Rows {
                dispatch: input.u64()?,
                count: input.u64()?,
                bytes: input.bytes()?.to_vec(),
            },
            (2, 4) => Self::Finished {
                dispatch: input.u64()?,
                count: input.u64()?,
                commit: Timestamp(input.u64()?),
            },
            (3, 3) => Self::Failed { dispatch: input.u64()?, error: read_error(&mut input)? },
            (4, 3) => Self::NotLeader { dispatch: input.u64()?, leader: NodeId(input.u32()?) },
            (5, 2) => Self::NeedPlan(input.u64()?),
            (6, 3) => Self::SystemRows {
                dispatch: input.u64()?,
                rows: list(&mut input, |input| {
                    list(input, |input| {
                        expect_fields(input, 2)?;
                        Ok((input.bytes()?.to_vec(), input.u64()?))
                    })
                })?,
            },
            (tag, _) => return Err(Wrong::message(format!("reply {tag} of {fields} fields"))),
        })
    }
}

fn write_work(work: &Work, out: &mut Out<'_>) -> Written {
    match work {
        Work::Query(query) => {
            out.array(6)?.u8(0)?.bool(query.is_point)?.bytes(&query.hash.to_be_bytes())?;
            match &query.tree {
                Some(tree) => out.bytes(tree)?,
                None => out.null()?,
            };
            out.array(query.parameters.len() as u64)?;
            for value in &query.parameters {
                write_maybe(value.as_deref(), out)?;
            }
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

fn read_work(input: &mut Decoder<'_>) -> Read<Work> {
    let fields = counted(input)?;
    Ok(match (input.u8()?, fields) {
        (0, 6) => Work::Query(Box::new(QueryWork {
            is_point: input.bool()?,
            hash: u128::from_be_bytes(
                input.bytes()?.try_into().map_err(|_| Wrong::message("a plan's hash"))?,
            ),
            tree: maybe(input, |input| input.bytes().map(Arc::from))?,
            parameters: list(input, |input| maybe(input, |input| Ok(input.bytes()?.to_vec())))?,
            eval: read_eval(input)?,
        })),
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
                seen: read_maybe_number(input)?,
            })
        })?),
        (tag, _) => return Err(Wrong::message(format!("work {tag} of {fields} fields"))),
    })
}

fn read_maybe_number(input: &mut Decoder<'_>) -> Read<Option<u64>> {
    maybe(input, |input| {
        let number = input.u64()?;
        Ok(number)
    })
}

fn write_eval(eval: &EvalContext, out: &mut Out<'_>) -> Written {
    let output = match eval.format.date_output {
        DateOutput::Iso => 0,
        DateOutput::Sql => 1,
        DateOutput::Postgres => 2,
        DateOutput::German => 3,
    };
    let order = match eval.format.date_order {
        DateOrder::Mdy => 0,
        DateOrder::Dmy => 1,
        DateOrder::Ymd => 2,
    };
    out.array(6)?.i64(eval.transaction_time)?.i64(eval.statement_time)?.u8(output)?.u8(order)?;
    out.str(eval.format.time_zone.name())?.i32(eval.format.extra_float_digits).map(|_| ())
}

fn read_eval(input: &mut Decoder<'_>) -> Read<EvalContext> {
    expect_fields(input, 6)?;
    let (transaction_time, statement_time) = (input.i64()?, input.i64()?);
    let date_output = match input.u8()? {
        0 => DateOutput::Iso,
        1 => DateOutput::Sql,
        2 => DateOutput::Postgres,
        3 => DateOutput::German,
        other => return Err(Wrong::message(format!("date output {other}"))),
    };
    let date_order = match input.u8()? {
        0 => DateOrder::Mdy,
        1 => DateOrder::Dmy,
        2 => DateOrder::Ymd,
        other => return Err(Wrong::message(format!("date order {other}"))),
    };
    let zone = input.str()?;
    let time_zone =
        TimeZone::from_setting(zone).ok_or_else(|| Wrong::message(format!("time zone {zone}")))?;
    let extra_float_digits = input.i32()?;
    Ok(EvalContext {
        transaction_time,
        statement_time,
        format: SessionFormat { date_output, date_order, time_zone, extra_float_digits },
        database: Arc::from("postgres"),
        server_version: Arc::from(phantom_sql::settings::version_text()),
        meter: phantom_types::Meter::default(),
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

fn write_error(error: &Error, out: &mut Out<'_>) -> Written {
    let severity = match error.severity {
        Severity::Notice => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
        Severity::Fatal => 3,
    };
    // Without a place it is the form of the oldest peers.
    let has_place = !error.place.file.is_empty();
    out.array(if has_place { 14 } else { 11 })?
        .u8(severity)?
        .str(error.sqlstate.as_str())?
        .str(&error.message)?;
    out.str(&error.detail)?.str(&error.hint)?.u32(error.position)?.str(&error.schema)?;
    out.str(&error.table)?.str(&error.column)?.str(&error.data_type)?;
    out.str(&error.constraint)?;
    if has_place {
        out.str(&error.place.file)?.u32(error.place.line)?.str(&error.place.routine)?;
    }
    Ok(())
}

fn read_error(input: &mut Decoder<'_>) -> Read<Error> {
    // The oldest peers do not say where it was made.
    let has_place = match counted(input)? {
        11 => false,
        14 => true,
        found => return Err(Wrong::message(format!("an error of {found} fields"))),
    };
    let severity = match input.u8()? {
        0 => Severity::Notice,
        1 => Severity::Warning,
        2 => Severity::Error,
        3 => Severity::Fatal,
        other => return Err(Wrong::message(format!("severity {other}"))),
    };
    let code = input.str()?;
    let sqlstate =
        SqlState::parse(code).ok_or_else(|| Wrong::message(format!("SQLSTATE {code}")))?;
    Ok(Error::from_fields(ErrorFields {
        severity,
        sqlstate,
        message: input.str()?.to_owned(),
        detail: input.str()?.to_owned(),
        hint: input.str()?.to_owned(),
        position: input.u32()?,
        schema: input.str()?.to_owned(),
        table: input.str()?.to_owned(),
        column: input.str()?.to_owned(),
        data_type: input.str()?.to_owned(),
        constraint: input.str()?.to_owned(),
        place: if has_place { read_place(input)? } else { Place::default() },
    }))
}

fn read_place(input: &mut Decoder<'_>) -> Read<Place> {
    let file = input.str()?.to_owned().into();
    Ok(Place { file, line: input.u32()?, routine: input.str()?.to_owned().into() })
}

fn write_maybe(bytes: Option<&[u8]>, out: &mut Out<'_>) -> Written {
    match bytes {
        Some(bytes) => out.bytes(bytes)?,
        None => out.null()?,
    };
    Ok(())
}

fn counted(input: &mut Decoder<'_>) -> Read<u64> {
    input.array()?.ok_or_else(|| Wrong::message("array of unknown length"))
}

fn expect_fields(input: &mut Decoder<'_>, expected: u64) -> Read<()> {
    match counted(input)? {
        found if found == expected => Ok(()),
        found => Err(Wrong::message(format!("array of {found} where {expected} belong"))),
    }
}

fn list<T>(
    input: &mut Decoder<'_>,
    mut read: impl FnMut(&mut Decoder<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let count = counted(input)?;
    let left = input.input().len() - input.position();
    let mut items = Vec::with_capacity(usize::try_from(count).unwrap_or(left).min(left));
    for _ in 0..count {
        items.push(read(input)?);
    }
    Ok(items)
}

fn maybe<T>(
    input: &mut Decoder<'_>,
    read: impl FnOnce(&mut Decoder<'_>) -> Read<T>,
) -> Read<Option<T>> {
    if input.datatype()? == Type::Null {
        input.null()?;
        return Ok(None);
    }
    read(input).map(Some)
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom, sqlstate};

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
        ToLeader::Run(Run {
            dispatch: 7,
            group: GroupId(2),
            txn: [3; 16],
            catalog_version: 9,
            work: Work::Query(Box::new(QueryWork {
                is_point: true,
                hash: 1 << 100,
                tree: Some(Arc::from([1, 2, 3].as_slice())),
                parameters: encode_values(&[Datum::Int4(5), Datum::Null]),
                eval,
            })),
        })
    }

    #[test]
    fn messages_come_back_as_they_were_sent() {
        let error = Error::new(sqlstate::UNIQUE_VIOLATION, "taken").with_table("s", "t");
        for message in [run(), ToLeader::Credit(1, 2), ToLeader::Cancel(3)] {
            let bytes = message.encode();
            assert_eq!(ToLeader::decode(&bytes).expect("valid").encode(), bytes);
        }
        for message in [
            ToGateway::Rows { dispatch: 1, count: 2, bytes: vec![1, 2] },
            ToGateway::Finished { dispatch: 1, count: 2, commit: Timestamp(3) },
            ToGateway::Failed { dispatch: 1, error },
            ToGateway::NotLeader { dispatch: 1, leader: NodeId(2) },
            ToGateway::NeedPlan(1),
            ToGateway::SystemRows { dispatch: 1, rows: vec![vec![(vec![1], 2)], vec![]] },
        ] {
            let bytes = message.encode();
            assert_eq!(ToGateway::decode(&bytes).expect("valid").encode(), bytes);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let bytes = run().encode();
        let mut random = SeededRandom::new(1);
        for _ in 0..20_000 {
            let mut damaged = bytes.clone();
            let at = random.below(damaged.len() as u64) as usize;
            damaged[at] = random.next_u64() as u8;
            damaged.truncate(random.below(damaged.len() as u64 + 1) as usize);
            let _ = ToLeader::decode(&damaged);
            let _ = ToGateway::decode(&damaged);
        }
    }
}
