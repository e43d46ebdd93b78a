//! Dates and instants as text, in the four styles.

use std::fmt::Write as _;

use super::calendar::{
    Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, INSTANT_INFINITY, INSTANT_NEGATIVE_INFINITY,
    civil_of_instant, iso_day_of_week,
};
use crate::format::LocalOffset;
use crate::{DateOrder, DateOutput, SessionFormat};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Characters of an abbreviation that are printed at most.
const ABBREVIATION_MAX: usize = 10;
const TO_STRING: &str = "a String takes all";

/// Appends a date.
pub(crate) fn write_date(days: i32, format: &SessionFormat, out: &mut String) {
    match days {
        DATE_INFINITY => return out.push_str("infinity"),
        DATE_NEGATIVE_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let civil = Civil::of_days(days.into());
    match (format.date_output, format.date_order) {
        (DateOutput::Iso, _) => write_iso_date(&civil, out),
        (DateOutput::Sql, _) => write_ordered(&civil, '/', format.date_order, out),
        (DateOutput::German, _) => write_ordered(&civil, '.', DateOrder::Dmy, out),
        (DateOutput::Postgres, _) => write_ordered(&civil, '-', format.date_order, out),
    }
    write_era(&civil, out);
}

/// Appends an instant as the session's zone shows it.
pub(crate) fn write_instant(micros: i64, format: &SessionFormat, out: &mut String) {
    match micros {
        INSTANT_INFINITY => return out.push_str("infinity"),
        INSTANT_NEGATIVE_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let (civil, offset) = civil_of_instant(micros, &format.time_zone);
    match format.date_output {
        DateOutput::Iso => {
            write_iso_date(&civil, out);
            out.push(' ');
            write_time(&civil, out);
            write_offset(offset.seconds, out);
        }
        DateOutput::Sql => {
            write_ordered(&civil, '/', format.date_order, out);
            out.push(' ');
            write_time(&civil, out);
            write_abbreviation(&offset, out);
        }
        DateOutput::German => {
            write_ordered(&civil, '.', DateOrder::Dmy, out);
            out.push(' ');
            write_time(&civil, out);
            write_abbreviation(&offset, out);
        }
        DateOutput::Postgres => {
            let day = DAYS[iso_day_of_week(civil.days()) as usize - 1];
            let month = MONTHS[civil.month as usize - 1];
            if format.date_order == DateOrder::Dmy {
                write!(out, "{day} {:02} {month} ", civil.day).expect(TO_STRING);
            } else {
                write!(out, "{day} {month} {:02} ", civil.day).expect(TO_STRING);
            }
            write_time(&civil, out);
            write!(out, " {:04}", year_of_era(&civil)).expect(TO_STRING);
            write_abbreviation(&offset, out);
        }
    }
    write_era(&civil, out);
}

fn year_of_era(civil: &Civil) -> i32 {
    if civil.year > 0 { civil.year } else { 1 - civil.year }
}

fn write_era(civil: &Civil, out: &mut String) {
    if civil.year <= 0 {
        out.push_str(" BC");
    }
}

fn write_iso_date(civil: &Civil, out: &mut String) {
    write!(out, "{:04}-{:02}-{:02}", year_of_era(civil), civil.month, civil.day).expect(TO_STRING);
}

fn write_ordered(civil: &Civil, separator: char, order: DateOrder, out: &mut String) {
    let (first, second) = match order {
        DateOrder::Dmy => (civil.day, civil.month),
        DateOrder::Mdy | DateOrder::Ymd => (civil.month, civil.day),
    };
    write!(out, "{first:02}{separator}{second:02}{separator}{:04}", year_of_era(civil))
        .expect(TO_STRING);
}

fn write_time(civil: &Civil, out: &mut String) {
    write!(out, "{:02}:{:02}:{:02}", civil.hour, civil.minute, civil.second).expect(TO_STRING);
    if civil.micros > 0 {
        let fraction = format!(".{:06}", civil.micros);
        out.push_str(fraction.trim_end_matches('0'));
    }
}

/// `+02`, `-03:30`, `+00:53:28`
fn write_offset(seconds: i32, out: &mut String) {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    write!(out, "{sign}{:02}", seconds / 3600).expect(TO_STRING);
    if seconds % 3600 != 0 {
        write!(out, ":{:02}", seconds / 60 % 60).expect(TO_STRING);
    }
    if seconds % 60 != 0 {
        write!(out, ":{:02}", seconds % 60).expect(TO_STRING);
    }
}

fn write_abbreviation(offset: &LocalOffset, out: &mut String) {
    out.push(' ');
    out.extend(offset.abbreviation.chars().take(ABBREVIATION_MAX));
}
