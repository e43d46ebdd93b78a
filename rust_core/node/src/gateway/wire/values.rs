//! Values inside messages: settings of a session, errors, lists, what may be absent.

use minicbor::data::Type;
use minicbor::decode::Error as Wrong;
use minicbor::{Decoder, Encoder};
use phantom_base::sync::Arc;
use phantom_base::{Error, ErrorFields, Place, Severity, SqlState};
use phantom_types::{DateOrder, DateOutput, EvalContext, SessionFormat, TimeZone};

pub type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;
pub type Out<'a> = Encoder<&'a mut Vec<u8>>;
pub type Read<T> = Result<T, Wrong>;

pub fn write_eval(eval: &EvalContext, out: &mut Out<'_>) -> Written {
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

pub fn read_eval(input: &mut Decoder<'_>) -> Read<EvalContext> {
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

pub fn write_error(error: &Error, out: &mut Out<'_>) -> Written {
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

pub fn read_error(input: &mut Decoder<'_>) -> Read<Error> {
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

pub fn write_maybe(bytes: Option<&[u8]>, out: &mut Out<'_>) -> Written {
    match bytes {
        Some(bytes) => out.bytes(bytes)?,
        None => out.null()?,
    };
    Ok(())
}

pub fn counted(input: &mut Decoder<'_>) -> Read<u64> {
    input.array()?.ok_or_else(|| Wrong::message("array of unknown length"))
}

pub fn expect_fields(input: &mut Decoder<'_>, expected: u64) -> Read<()> {
    match counted(input)? {
        found if found == expected => Ok(()),
        found => Err(Wrong::message(format!("array of {found} where {expected} belong"))),
    }
}

pub fn list<T>(
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

pub fn maybe<T>(
    input: &mut Decoder<'_>,
    read: impl FnOnce(&mut Decoder<'_>) -> Read<T>,
) -> Read<Option<T>> {
    if input.datatype()? == Type::Null {
        input.null()?;
        return Ok(None);
    }
    read(input).map(Some)
}
