//! Dates and instants from text: names the errors, and turns fields into values.

use std::cell::Cell;

use phantom_base::{Error, Result, sqlstate};

use super::abbreviations::ABBREVIATIONS;
use super::calendar::{
    Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, INSTANT_INFINITY, INSTANT_NEGATIVE_INFINITY,
    MICROS_PER_SECOND, UNIX_EPOCH_DAYS, civil_of_instant, date_in_range, instant_of_civil,
    instant_of_local, julian_in_range,
};
use super::decode::{Decoded, Special, decode};
use crate::{DateOrder, TimeZone};

/// What `now` and `today` mean, and how to read what is ambiguous.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Today<'a> {
    /// The transaction's time, in microseconds since 2000-01-01 UTC.
    pub now: i64,
    /// Set once a text asks for it.
    pub asked: &'a Cell<bool>,
    /// The session's zone.
    pub zone: &'a TimeZone,
    /// The session's order of day, month and year.
    pub order: DateOrder,
}

impl Today<'_> {
    /// What the session's clock shows.
    pub(super) fn civil(&self) -> (Civil, i32) {
        self.asked.set(true);
        let (civil, offset) = civil_of_instant(self.now, self.zone);
        (civil, offset.seconds)
    }
}

/// Why a text is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has no such form.
    Format,
    /// A field is out of range.
    Range,
    /// Day or month are out of range: perhaps they were meant the other way round.
    Order,
    /// The offset is out of range.
    Offset,
    /// A name that no zone has.
    Zone,
}

/// An abbreviation of a zone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Abbreviation {
    Fixed(i32),
    InZone(&'static str),
}

/// Where a reading's offset from UTC comes from.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Session,
    Offset(i32),
    Zone(TimeZone),
    /// The offset that the abbreviation has or had in a zone.
    Abbreviated(TimeZone, String),
}

impl Place {
    pub fn of_abbreviation(word: &str) -> Option<Self> {
        let at = ABBREVIATIONS.binary_search_by_key(&word, |(name, _)| name).ok()?;
        match ABBREVIATIONS[at].1 {
            Abbreviation::Fixed(seconds) => Some(Self::Offset(seconds)),
            Abbreviation::InZone(zone) => {
                Some(Self::Abbreviated(TimeZone::from_name(zone)?, word.to_ascii_uppercase()))
            }
        }
    }

    fn instant(&self, civil: &Civil, session: &TimeZone) -> Option<i64> {
        match self {
            Self::Session => instant_of_local(civil, session),
            Self::Zone(zone) => instant_of_local(civil, zone),
            Self::Offset(seconds) => instant_of_civil(civil, *seconds),
            Self::Abbreviated(zone, abbreviation) => {
                let local = instant_of_civil(civil, 0)?;
                let seconds = zone.offset_of_abbreviation(abbreviation, local);
                instant_of_civil(civil, seconds)
            }
        }
    }
}

/// Reads a date, in days since 2000-01-01. 22007, 22008.
pub(crate) fn read_date(text: &str, today: Today<'_>) -> Result<i32> {
    let decoded = decode(text, today).map_err(|fault| refuse(fault, text, "date"))?;
    match decoded.special {
        Some(Special::Infinity) => return Ok(DATE_INFINITY),
        Some(Special::NegativeInfinity) => return Ok(DATE_NEGATIVE_INFINITY),
        Some(Special::Epoch) => return Ok(UNIX_EPOCH_DAYS as i32),
        None => {}
    }
    let civil = decoded.civil;
    let days = civil.days();
    if !julian_in_range(civil.year, civil.month) || !date_in_range(days) {
        return Err(out_of_range("date", text));
    }
    Ok(days as i32)
}

/// Reads an instant, in microseconds since 2000-01-01 UTC. 22007, 22008, 22009, 22023.
pub(crate) fn read_instant(text: &str, today: Today<'_>) -> Result<i64> {
    const TYPE: &str = "timestamp with time zone";
    let decoded = decode(text, today).map_err(|fault| refuse(fault, text, TYPE))?;
    match decoded.special {
        Some(Special::Infinity) => return Ok(INSTANT_INFINITY),
        Some(Special::NegativeInfinity) => return Ok(INSTANT_NEGATIVE_INFINITY),
        Some(Special::Epoch) => {
            return Ok(UNIX_EPOCH_DAYS * 86_400 * MICROS_PER_SECOND);
        }
        None => {}
    }
    let Decoded { civil, place, .. } = decoded;
    place.instant(&civil, today.zone).ok_or_else(|| out_of_range("timestamp", text))
}

/// The zone that `date_trunc(.., zone)` names. 22023.
pub(crate) fn zone_offset(name: &str) -> Result<TimeZone> {
    match Place::of_abbreviation(&name.to_ascii_lowercase()) {
        Some(Place::Offset(seconds)) => Ok(TimeZone::fixed(seconds)),
        Some(Place::Abbreviated(zone, _)) => Ok(zone),
        // A bare offset is POSIX's, which counts to the west.
        _ => TimeZone::from_name(name)
            .or_else(|| TimeZone::from_posix(name))
            .ok_or_else(|| unknown_zone(name)),
    }
}

fn unknown_zone(name: &str) -> Error {
    Error::new(sqlstate::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
}

fn out_of_range(what: &str, text: &str) -> Error {
    Error::new(sqlstate::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\""))
}

fn refuse((fault, word): (Fault, String), text: &str, type_name: &str) -> Error {
    let range = || {
        Error::new(
            sqlstate::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    match fault {
        Fault::Format => Error::new(
            sqlstate::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type {type_name}: \"{text}\""),
        ),
        Fault::Range => range(),
        Fault::Order => range().with_hint("Perhaps you need a different \"datestyle\" setting."),
        Fault::Offset => Error::new(
            sqlstate::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
            format!("time zone displacement out of range: \"{text}\""),
        ),
        Fault::Zone => unknown_zone(&word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_now_are_read_in_the_zone_of_the_session() {
        // 2000-01-01 20:30 UTC is 2000-01-02 in Tokyo.
        let now = 20 * 3600 * MICROS_PER_SECOND + 1_800 * MICROS_PER_SECOND;
        let tokyo = TimeZone::from_name("Asia/Tokyo").unwrap();
        let asked = Cell::new(false);
        let today = Today { now, asked: &asked, zone: &tokyo, order: DateOrder::Mdy };
        for (text, days) in [("today", 1), ("now", 1), ("tomorrow", 2), (" Yesterday ", 0)] {
            assert_eq!(read_date(text, today).unwrap(), days, "{text}");
        }
        let hour = 3600 * MICROS_PER_SECOND;
        for (text, instant) in [
            ("now", now),
            ("today", 15 * hour),
            ("tomorrow 01:00", 40 * hour),
            ("yesterday UTC", 0),
            ("today allballs", 24 * hour),
        ] {
            assert_eq!(read_instant(text, today).unwrap(), instant, "{text}");
        }
        assert!(read_date("today tomorrow", today).is_err());
    }
}
