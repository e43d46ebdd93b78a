//! PostgreSQL 15's answers (`tests/golden/cases.tsv`, written by `regenerate.py`), compared byte by
//! byte: text, binary, and every field of errors. Each call runs three times: as a row, as a batch,
//! and as a batch with a constant.

use std::fmt::Write as _;
use std::sync::Arc;

use phantom_base::{Error, Result};
use phantom_types::catalog::{Procedure, procedure};
use phantom_types::format::{read_binary, read_text, write_binary, write_text};
use phantom_types::{
    Argument, Column, DateOrder, DateOutput, Datum, EvalContext, NO_TYPMOD, Selection,
    SessionFormat, TimeZone, TypeId,
};

const CASES: &str = include_str!("../golden/cases.tsv");

pub(crate) fn context() -> EvalContext {
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        format: SessionFormat::default(),
        database: Arc::from("postgres"),
        server_version: Arc::from("PostgreSQL 15"),
        meter: phantom_types::Meter::default(),
    }
}

fn session_format(fields: &[Option<String>]) -> SessionFormat {
    let field = |at: usize| fields[at].clone().unwrap();
    let style = field(0);
    let (output, order) = style.split_once(", ").unwrap();
    SessionFormat {
        date_output: match output {
            "ISO" => DateOutput::Iso,
            "SQL" => DateOutput::Sql,
            "Postgres" => DateOutput::Postgres,
            "German" => DateOutput::German,
            other => panic!("style {other}"),
        },
        date_order: match order {
            "MDY" => DateOrder::Mdy,
            "DMY" => DateOrder::Dmy,
            "YMD" => DateOrder::Ymd,
            other => panic!("order {other}"),
        },
        time_zone: TimeZone::from_setting(&field(1)).unwrap(),
        extra_float_digits: field(2).parse().unwrap(),
    }
}

fn unquoted(field: &str) -> Option<String> {
    if field == "\\N" {
        return None;
    }
    let mut out = String::new();
    let mut characters = field.chars();
    while let Some(c) = characters.next() {
        out.push(match c {
            '\\' => match characters.next().unwrap() {
                't' => '\t',
                'n' => '\n',
                other => other,
            },
            other => other,
        });
    }
    Some(out)
}

/// An answer as the file has it.
fn shown(answer: &Result<Datum>, format: &SessionFormat) -> Vec<Option<String>> {
    let some = |text: &str| Some(text.to_owned());
    match answer {
        Ok(Datum::Null) => vec![some("="), None, some("")],
        Ok(value) => {
            let (mut text, mut binary) = (String::new(), Vec::new());
            write_text(value, format, &mut text);
            write_binary(value, &mut binary);
            let mut hex = String::new();
            for byte in binary {
                write!(hex, "{byte:02x}").unwrap();
            }
            vec![some("="), Some(text), Some(hex)]
        }
        Err(error) => error_fields(error),
    }
}

fn error_fields(error: &Error) -> Vec<Option<String>> {
    [&"!".to_owned(), &error.sqlstate.to_string(), &error.message, &error.detail, &error.hint]
        .map(|field| Some(field.clone()))
        .into()
}

fn call(
    procedure: &Procedure,
    texts: &[Option<String>],
    cx: &EvalContext,
) -> Vec<(&'static str, Result<Datum>)> {
    let mut arguments = Vec::new();
    for (text, &ty) in texts.iter().zip(procedure.args) {
        arguments.push(match text {
            None => Datum::Null,
            Some(text) => match read_text(ty, NO_TYPMOD, text, cx) {
                Ok(value) => value,
                Err(error) => return vec![("argument", Err(error))],
            },
        });
    }
    let columns: Vec<Column> = arguments
        .iter()
        .zip(procedure.args)
        .map(|(value, &ty)| Column::from_datums(ty, [&Datum::Null, value, &Datum::Null]))
        .collect();
    let mut batch: Vec<Argument<'_>> = columns.iter().map(Argument::Column).collect();
    let last = |column: Result<Column>| column.map(|column| column.datum(1));
    let all = last(procedure.evaluate(&batch, Selection::All(3), cx));
    if let Some(constant) = batch.last_mut() {
        *constant = Argument::Constant(arguments.last().unwrap());
    }
    let picked = last(procedure.evaluate(&batch, Selection::Rows { rows: &[1], of: 3 }, cx));
    vec![("row", procedure.call(&arguments, cx)), ("batch", all), ("constant", picked)]
}

#[test]
fn values_formats_functions_and_errors_are_those_of_postgresql_15() {
    let mut cx = context();
    let (mut asked, mut wrong) = (0, Vec::new());
    for line in CASES.lines() {
        let fields: Vec<Option<String>> = line.split('\t').map(unquoted).collect();
        let number = |at: usize| fields[at].as_deref().unwrap().parse::<i64>().unwrap();
        let (answers, expected) = match fields[0].as_deref() {
            Some("set") => {
                cx.format = session_format(&fields[1..]);
                continue;
            }
            Some("in") => {
                let (ty, typmod) = (TypeId(number(1) as u32), number(2) as i32);
                let read = read_text(ty, typmod, fields[3].as_deref().unwrap(), &cx);
                if let Ok(value) = &read {
                    let mut bytes = Vec::new();
                    write_binary(value, &mut bytes);
                    let back = read_binary(ty, NO_TYPMOD, &bytes, 1);
                    if back.as_ref() != Ok(value) {
                        wrong.push(format!("binary: {line}\n    we: {back:?}"));
                    }
                }
                (vec![("input", read)], &fields[4..])
            }
            Some("call") => {
                let procedure = procedure(number(1) as u32).unwrap();
                let (texts, expected) = fields[2..].split_at(procedure.args.len());
                (call(procedure, texts, &cx), expected)
            }
            other => panic!("line kind {other:?}"),
        };
        asked += 1;
        for (how, answer) in answers {
            let answer = shown(&answer, &cx.format);
            if answer != expected {
                wrong.push(format!(
                    "{} {how}: {line}\n    we: {answer:?}",
                    cx.format.time_zone.name()
                ));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
}
