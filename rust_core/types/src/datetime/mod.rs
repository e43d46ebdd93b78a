//! Dates and instants: the calendar, reading and printing, parts and truncation.
//!
//! A date is days and an instant is microseconds since 2000-01-01 UTC, in the proleptic Gregorian
//! calendar; year 0 is 1 BC. The extreme integers are the infinities. The ranges are PostgreSQL's:
//! dates from 4713-11-24 BC to 5874897-12-31, instants to 294276-12-31.

mod abbreviations;
mod calendar;
mod decode;
mod parse;
mod parts;
mod print;
mod tokens;

pub(crate) use calendar::{
    Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, INSTANT_INFINITY, INSTANT_NEGATIVE_INFINITY,
    civil_of_instant, date_in_range, instant_in_range, instant_of_civil,
};
pub(crate) use parse::{Today, read_date, read_instant, zone_offset};
pub(crate) use parts::{
    date_part_as_timestamp, date_part_numeric, instant_part, instant_part_numeric, truncate,
};
pub(crate) use print::{write_date, write_instant};

/// Rounds an instant to so many digits of a second, half away from 2000-01-01.
pub(crate) fn fit_instant(micros: i64, typmod: i32) -> i64 {
    let Ok(digits @ 0..6) = u32::try_from(typmod) else { return micros };
    if matches!(micros, INSTANT_INFINITY | INSTANT_NEGATIVE_INFINITY) {
        return micros;
    }
    let unit = 10_i64.pow(6 - digits);
    // The range ends far from the integer's, so that half a unit always fits.
    let rounded = (micros.abs() + unit / 2) / unit * unit;
    if micros < 0 { -rounded } else { rounded }
}
