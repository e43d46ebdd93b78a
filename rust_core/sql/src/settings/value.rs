//! Values of settings: read as PostgreSQL reads them, printed as SHOW prints them.

use phantom_base::{Error, Result, sqlstate};
use phantom_types::{DateOrder, DateOutput, SessionFormat, TimeZone};

use super::known::{Kind, Setting, Unit};
use super::path::path_names;

/// Reads a value of a setting; `format` is what the session has.
///
/// # Errors
/// `22023` for what is none, `0A000` for one that PostgreSQL takes and that is absent.
pub(super) fn read(known: &Setting, value: &str, format: &SessionFormat) -> Result<String> {
    match &known.kind {
        Kind::Bool => boolean(known, value),
        Kind::Off => match boolean(known, value)?.as_str() {
            "off" => Ok("off".into()),
            on => Err(Error::unsupported(format!("{} = '{on}'", known.name))),
        },
        Kind::Integer(from, to, unit) => integer(known, value, *from, *to, *unit),
        Kind::Real(from, to) => real(known, value, *from, *to),
        Kind::Text => Ok(value.to_owned()),
        Kind::Path => path_names(value)
            .map(|_| value.to_owned())
            .ok_or_else(|| invalid(known, value).with_detail("List syntax is invalid.")),
        Kind::Word(words) => word(known, words, value),
        Kind::DateStyle => {
            let (output, order) = date_style(value, format)
                .map_err(|word| invalid(known, value).with_detail(word))?;
            Ok(date_style_text(output, order))
        }
        Kind::TimeZone => {
            if value.eq_ignore_ascii_case("default") || value.eq_ignore_ascii_case("local") {
                return Ok(known.default.to_owned());
            }
            let zone = TimeZone::from_setting(value).ok_or_else(|| {
                match value.trim_start().parse::<f64>() {
                    Ok(_) => {
                        invalid(known, value).with_detail("UTC timezone offset is out of range.")
                    }
                    Err(_) => invalid(known, value),
                }
            })?;
            if !zone.has_whole_minutes() {
                let message = format!("time zone \"{value}\" appears to use leap seconds");
                return Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message)
                    .with_detail("PostgreSQL does not support leap seconds."));
            }
            Ok(zone.name().to_owned())
        }
        Kind::Role | Kind::Fixed => unreachable!("the caller has dealt with these"),
    }
}

fn invalid(known: &Setting, value: &str) -> Error {
    let message = format!("invalid value for parameter \"{}\": \"{value}\"", known.name);
    Error::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

fn boolean(known: &Setting, value: &str) -> Result<String> {
    let lower = value.trim().to_ascii_lowercase();
    let is = |word: &str, shortest: usize| lower.len() >= shortest && word.starts_with(&lower);
    if is("true", 1) || is("yes", 1) || lower == "on" || lower == "1" {
        Ok("on".into())
    } else if is("false", 1) || is("no", 1) || is("off", 2) || lower == "0" {
        Ok("off".into())
    } else {
        let message = format!("parameter \"{}\" requires a Boolean value", known.name);
        Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message))
    }
}

/// The units of a kind, the greatest first, and how many of what is stored they are.
fn units(unit: Unit) -> &'static [(&'static str, f64)] {
    match unit {
        Unit::None => &[],
        Unit::Milliseconds => &[
            ("d", 86_400_000.0),
            ("h", 3_600_000.0),
            ("min", 60_000.0),
            ("s", 1_000.0),
            ("ms", 1.0),
            ("us", 0.001),
        ],
        Unit::Kilobytes => &[
            ("TB", 1_073_741_824.0),
            ("GB", 1_048_576.0),
            ("MB", 1_024.0),
            ("kB", 1.0),
            ("B", 1.0 / 1_024.0),
        ],
        Unit::Pages => &[
            ("TB", 134_217_728.0),
            ("GB", 131_072.0),
            ("MB", 128.0),
            ("kB", 0.125),
            ("B", 1.0 / 8_192.0),
        ],
    }
}

/// A number with its unit in whole units of what is stored (PostgreSQL's `parse_int`): hexadecimal
/// and octal numbers, fractions, and a fraction of a unit rounded to the next smaller unit.
fn integer(known: &Setting, value: &str, from: i64, to: i64, unit: Unit) -> Result<String> {
    let (number, suffix) = leading_number(value).ok_or_else(|| invalid(known, value))?;
    let suffix = suffix.trim();
    let number = if suffix.is_empty() {
        number
    } else {
        let units = units(unit);
        let Some(at) = units.iter().position(|(name, _)| *name == suffix) else {
            return Err(invalid(known, value).with_hint(units_hint(unit)));
        };
        let size = units.get(at).map_or(1.0, |(_, size)| *size);
        match units.get(at + 1) {
            Some((_, smaller)) => (number * size / smaller).round_ties_even() * smaller,
            None => number * size,
        }
    };
    let number = number.round_ties_even();
    if number.abs() > f64::from(i32::MAX) {
        return Err(invalid(known, value).with_hint("Value exceeds integer range."));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and was compared above")]
    let number = number as i64;
    if (from..=to).contains(&number) {
        return Ok(number.to_string());
    }
    let shown = match unit {
        Unit::Milliseconds => " ms",
        Unit::Kilobytes => " kB",
        Unit::Pages => " 8kB",
        Unit::None => "",
    };
    let message = format!(
        "{number}{shown} is outside the valid range for parameter \"{}\" ({from} .. {to})",
        known.name
    );
    Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message))
}

/// The number that a text begins with, and the rest.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start();
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (-1.0, unsigned),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let (number, rest) = if let Some(digits) = hexadecimal {
        in_base(digits, 16)?
    } else {
        let end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let is_decimal = unsigned.get(end..).is_some_and(|rest| rest.starts_with(['.', 'e', 'E']));
        if is_decimal {
            decimal(unsigned)?
        } else {
            in_base(unsigned, if end > 1 && unsigned.starts_with('0') { 8 } else { 10 })?
        }
    };
    Some((sign * number, rest))
}

fn in_base(text: &str, base: u32) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_digit(base)).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    // What a number of 64 bits does not hold is beyond every range.
    let digits = (!digits.is_empty()).then_some(digits)?;
    let number =
        u64::from_str_radix(digits, base).ok().and_then(|number| u32::try_from(number).ok());
    Some((number.map_or(f64::MAX, f64::from), rest))
}

/// As much of a text as is a number: `1e3`, but not the `e` of `1 e`.
fn decimal(text: &str) -> Option<(f64, &str)> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let longest = text.find(|c| !is_part(c)).unwrap_or(text.len());
    (1..=longest).rev().find_map(|end| {
        let (number, rest) = text.split_at(end);
        Some((number.parse::<f64>().ok()?, rest))
    })
}

fn units_hint(unit: Unit) -> &'static str {
    match unit {
        Unit::Milliseconds => {
            "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
        }
        Unit::Kilobytes | Unit::Pages => {
            "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
        }
        Unit::None => "",
    }
}

fn real(known: &Setting, value: &str, from: f64, to: f64) -> Result<String> {
    let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| invalid(known, value))?;
    if (from..=to).contains(&number) {
        return Ok(number.to_string());
    }
    let to = if to < f64::MAX { to.to_string() } else { "1.79769e+308".to_owned() };
    let message = format!(
        "{number} is outside the valid range for parameter \"{}\" ({from} .. {to})",
        known.name
    );
    Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message))
}

/// The documented word for one that PostgreSQL takes besides: yes and no, where a setting is more
/// than a switch, and a level of messages.
fn undocumented<'a>(known: &Setting, words: &[&'static str], wanted: &'a str) -> &'a str {
    match wanted.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" if words.contains(&"on") => "on",
        "false" | "no" | "0" if words.contains(&"off") => "off",
        "debug" if known.name == "client_min_messages" => "debug2",
        _ => wanted,
    }
}

fn word(known: &Setting, words: &[&'static str], value: &str) -> Result<String> {
    let wanted = undocumented(known, words, value.trim());
    // PostgreSQL looks at letters and digits of an encoding's name only; asyncpg sends quotes.
    let plain = |text: &str| text.to_ascii_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let found = words.iter().find(|word| {
        word.eq_ignore_ascii_case(wanted)
            || (known.name == "client_encoding"
                && matches!(plain(wanted).as_str(), "utf8" | "unicode"))
    });
    if let Some(found) = found {
        return Ok((*found).to_owned());
    }
    if known.name == "client_min_messages" && wanted.eq_ignore_ascii_case("info") {
        return Ok("info".to_owned());
    }
    // These are values that PostgreSQL takes and that would change what statements mean.
    let lower = wanted.to_ascii_lowercase();
    let is_absent = match known.name {
        "backslash_quote" => matches!(lower.as_str(), "off" | "false" | "no" | "0"),
        "client_encoding"
        | "standard_conforming_strings"
        | "synchronous_commit"
        | "default_table_access_method"
        | "default_tablespace"
        | "temp_tablespaces" => true,
        "default_transaction_isolation" | "transaction_isolation" => {
            matches!(lower.as_str(), "serializable" | "repeatable read")
        }
        "session_replication_role" => matches!(lower.as_str(), "replica" | "local"),
        _ => false,
    };
    if is_absent {
        return Err(Error::unsupported(format!("{} = '{wanted}'", known.name)));
    }
    let hint = format!("Available values: {}.", words.join(", "));
    Err(invalid(known, value).with_hint(hint))
}

/// Reads a `DateStyle`; the error is the detail of what is wrong.
pub(super) fn date_style(
    value: &str,
    current: &SessionFormat,
) -> std::result::Result<(DateOutput, DateOrder), String> {
    let (mut output, mut order) = (current.date_output, current.date_order);
    // German dates have their day first, unless another order is asked for.
    if value.to_ascii_lowercase().contains("german") {
        order = DateOrder::Dmy;
    }
    for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "iso" => output = DateOutput::Iso,
            "sql" => output = DateOutput::Sql,
            "postgres" => output = DateOutput::Postgres,
            "german" => output = DateOutput::German,
            "mdy" | "us" | "noneuro" | "noneuropean" => order = DateOrder::Mdy,
            "dmy" | "euro" | "european" => order = DateOrder::Dmy,
            "ymd" => order = DateOrder::Ymd,
            "default" => (output, order) = (DateOutput::Iso, DateOrder::Mdy),
            unknown => return Err(format!("Unrecognized key word: \"{unknown}\".")),
        }
    }
    Ok((output, order))
}

fn date_style_text(output: DateOutput, order: DateOrder) -> String {
    let output = match output {
        DateOutput::Iso => "ISO",
        DateOutput::Sql => "SQL",
        DateOutput::Postgres => "Postgres",
        DateOutput::German => "German",
    };
    let order = match order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    };
    format!("{output}, {order}")
}

/// A value as SHOW prints it: whole units where they divide it.
pub(super) fn printed(known: &Setting, value: &str) -> String {
    let Kind::Integer(_, _, unit) = known.kind else { return value.to_owned() };
    let Ok(number) = value.parse::<i64>() else { return value.to_owned() };
    let units: &[(i64, &str)] = match unit {
        Unit::None => return value.to_owned(),
        Unit::Milliseconds => {
            &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")]
        }
        Unit::Kilobytes => &[(1 << 30, "TB"), (1 << 20, "GB"), (1 << 10, "MB"), (1, "kB")],
        Unit::Pages => &[(131_072, "GB"), (128, "MB")],
    };
    if number == 0 {
        return "0".into();
    }
    match units.iter().find(|(size, _)| number % size == 0) {
        Some((size, name)) => format!("{}{name}", number / size),
        None => format!("{}kB", number * 8),
    }
}
