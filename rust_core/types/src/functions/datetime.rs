//! Functions of dates and instants.

use std::cmp::Ordering;

use phantom_base::{Error, Result, sqlstate};

use super::lanes::{Bool, Date, Int4, Kind, Text, TimestampTz, binary, map1, unary};
use crate::datetime::{
    Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, INSTANT_INFINITY, INSTANT_NEGATIVE_INFINITY,
    civil_of_instant, date_in_range, date_part_as_timestamp, date_part_numeric, fit_instant,
    instant_of_civil, instant_part, instant_part_numeric, truncate, zone_offset,
};
use crate::{Datum, EvalContext, Kernel, SessionFormat};

binary! {
    DATE_PLI(Date, Int4) -> Date = |date, days| shift(date, days.into());
    DATE_MII(Date, Int4) -> Date = |date, days| shift(date, -i64::from(days));
    INTEGER_PL_DATE(Int4, Date) -> Date = |days, date| shift(date, days.into());
    DATE_MI(Date, Date) -> Int4 = |a, b| {
        if !is_finite(a) || !is_finite(b) {
            return Err(overflow("cannot subtract infinite dates"));
        }
        Ok((i64::from(a) - i64::from(b)) as i32)
    };
    TIMESTAMPTZ_SCALE(TimestampTz, Int4) -> TimestampTz = |micros, typmod| {
        Ok(fit_instant(micros, typmod))
    };
}

unary! {
    DATE_FINITE(Date) -> Bool = |date| Ok(is_finite(date));
    TIMESTAMP_FINITE(TimestampTz) -> Bool = |micros| {
        Ok(!matches!(micros, INSTANT_INFINITY | INSTANT_NEGATIVE_INFINITY))
    };
}

pub(crate) const DATE_TIMESTAMPTZ: Kernel = Kernel::vector(
    |arguments, cx| Ok(Datum::TimestampTz(midnight(Date::of(&arguments[0]), &cx.format)?)),
    |arguments, selection, cx| {
        map1::<Date, TimestampTz>(arguments, selection, &cx.meter, |date| {
            midnight(date, &cx.format)
        })
    },
);

pub(crate) const TIMESTAMPTZ_DATE: Kernel = Kernel::vector(
    |arguments, cx| Ok(Datum::Date(date_of(TimestampTz::of(&arguments[0]), &cx.format))),
    |arguments, selection, cx| {
        map1::<TimestampTz, Date>(arguments, selection, &cx.meter, |micros| {
            Ok(date_of(micros, &cx.format))
        })
    },
);

pub(crate) const TIMESTAMPTZ_TRUNC: Kernel = Kernel::scalar(|arguments, cx| {
    let (unit, micros) = (Text::of(&arguments[0]), TimestampTz::of(&arguments[1]));
    truncate(unit, micros, &cx.format.time_zone).map(Datum::TimestampTz)
});

pub(crate) const TIMESTAMPTZ_TRUNC_ZONE: Kernel = Kernel::scalar(|arguments, _| {
    let (unit, micros) = (Text::of(&arguments[0]), TimestampTz::of(&arguments[1]));
    if matches!(micros, INSTANT_INFINITY | INSTANT_NEGATIVE_INFINITY) {
        return Ok(Datum::TimestampTz(micros));
    }
    truncate(unit, micros, &zone_offset(Text::of(&arguments[2]))?).map(Datum::TimestampTz)
});

pub(crate) const EXTRACT_DATE: Kernel = Kernel::scalar(|arguments, _| {
    let part = date_part_numeric(Text::of(&arguments[0]), Date::of(&arguments[1]))?;
    Ok(part.map_or(Datum::Null, Datum::Numeric))
});

pub(crate) const EXTRACT_TIMESTAMPTZ: Kernel = Kernel::scalar(|arguments, cx| {
    let (unit, micros) = (Text::of(&arguments[0]), TimestampTz::of(&arguments[1]));
    let part = instant_part_numeric(unit, micros, &cx.format.time_zone)?;
    Ok(part.map_or(Datum::Null, Datum::Numeric))
});

pub(crate) const TIMESTAMPTZ_PART: Kernel = Kernel::scalar(|arguments, cx| {
    let (unit, micros) = (Text::of(&arguments[0]), TimestampTz::of(&arguments[1]));
    let part = instant_part(unit, micros, &cx.format.time_zone)?;
    Ok(part.map_or(Datum::Null, Datum::Float8))
});

pub(crate) const DATE_PART: Kernel = Kernel::scalar(|arguments, _| {
    let part = date_part_as_timestamp(Text::of(&arguments[0]), Date::of(&arguments[1]))?;
    Ok(part.map_or(Datum::Null, Datum::Float8))
});

impl EvalContext {
    /// `CURRENT_DATE`: the transaction's date in the session's zone.
    pub fn current_date(&self) -> i32 {
        date_of(self.transaction_time, &self.format)
    }

    /// `CURRENT_TIMESTAMP(precision)`: the transaction's time; -1 is all digits.
    pub fn current_timestamp(&self, precision: i32) -> i64 {
        fit_instant(self.transaction_time, precision)
    }
}

/// The order of a date's midnight in the session's zone and an instant.
pub(crate) fn compare_date_timestamptz(
    date: i32,
    instant: i64,
    format: &SessionFormat,
) -> Ordering {
    match midnight(date, format) {
        Ok(midnight) => midnight.cmp(&instant),
        // A midnight beyond all instants is still before infinity, and one before all of them (of
        // the first date, east of Greenwich) is still behind its opposite.
        Err(_) if date > 0 && instant == INSTANT_INFINITY => Ordering::Less,
        Err(_) if date > 0 => Ordering::Greater,
        Err(_) if instant == INSTANT_NEGATIVE_INFINITY => Ordering::Greater,
        Err(_) => Ordering::Less,
    }
}

fn is_finite(date: i32) -> bool {
    !matches!(date, DATE_INFINITY | DATE_NEGATIVE_INFINITY)
}

fn shift(date: i32, days: i64) -> Result<i32> {
    if !is_finite(date) {
        return Ok(date);
    }
    let days = i64::from(date) + days;
    if date_in_range(days) { Ok(days as i32) } else { Err(overflow("date out of range")) }
}

fn midnight(date: i32, format: &SessionFormat) -> Result<i64> {
    match date {
        DATE_INFINITY => return Ok(INSTANT_INFINITY),
        DATE_NEGATIVE_INFINITY => return Ok(INSTANT_NEGATIVE_INFINITY),
        _ => {}
    }
    let out_of_range = || overflow("date out of range for timestamp");
    let civil = Civil::of_days(date.into());
    let local = instant_of_civil(&civil, 0).ok_or_else(out_of_range)?;
    instant_of_civil(&civil, format.time_zone.offset_of_local(local)).ok_or_else(out_of_range)
}

fn date_of(micros: i64, format: &SessionFormat) -> i32 {
    match micros {
        INSTANT_INFINITY => DATE_INFINITY,
        INSTANT_NEGATIVE_INFINITY => DATE_NEGATIVE_INFINITY,
        _ => civil_of_instant(micros, &format.time_zone).0.days() as i32,
    }
}

fn overflow(message: &str) -> Error {
    Error::new(sqlstate::DATETIME_FIELD_OVERFLOW, message)
}
