//! Parts of dates and instants (`extract`, `date_part`) and `date_trunc`.

use phantom_base::{Error, Result, sqlstate};

use super::calendar::{
    Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, EPOCH_JULIAN_DAY, INSTANT_INFINITY,
    INSTANT_NEGATIVE_INFINITY, MICROS_PER_DAY, MICROS_PER_SECOND, UNIX_EPOCH_DAYS,
    civil_of_instant, days_of_civil, instant_of_civil, instant_of_local, iso_day_of_week,
};
use crate::{Numeric, TimeZone};

const INSTANT: &str = "timestamp with time zone";
const LOCAL: &str = "timestamp without time zone";
const DATE: &str = "date";
const UNIX_EPOCH_MICROS: i64 = UNIX_EPOCH_DAYS * MICROS_PER_DAY;
/// Letters of a word by which units are told.
const UNIT_LETTERS: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    IsoYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Epoch,
    Zone,
    ZoneHour,
    ZoneMinute,
    /// A word of dates that is no unit (`now`, `today`).
    Other,
}

impl Unit {
    /// Whether it is a word of intervals, the only ones that `date_trunc` knows.
    fn is_length(self) -> bool {
        !matches!(
            self,
            Self::Julian
                | Self::IsoYear
                | Self::DayOfWeek
                | Self::IsoDayOfWeek
                | Self::DayOfYear
                | Self::Epoch
                | Self::Other
        )
    }

    fn parse(name: &str) -> Option<Self> {
        use Unit::{
            Century, Day, DayOfWeek, DayOfYear, Decade, Epoch, Hour, IsoDayOfWeek, IsoYear, Julian,
            Microseconds, Millennium, Milliseconds, Minute, Month, Other, Quarter, Second, Week,
            Year, Zone, ZoneHour, ZoneMinute,
        };
        Some(match name.get(..UNIT_LETTERS).unwrap_or(name) {
            "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => Microseconds,
            "ms" | "msec" | "msecs" | "mseconds" | "millisecon" => Milliseconds,
            "s" | "sec" | "secs" | "second" | "seconds" => Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Hour,
            "d" | "day" | "days" => Day,
            "w" | "week" | "weeks" => Week,
            "mon" | "mons" | "month" | "months" => Month,
            "qtr" | "quarter" => Quarter,
            "y" | "yr" | "yrs" | "year" | "years" => Year,
            "dec" | "decs" | "decade" | "decades" => Decade,
            "c" | "cent" | "century" | "centuries" => Century,
            "mil" | "mils" | "millennia" | "millennium" => Millennium,
            "j" | "jd" | "julian" => Julian,
            "isoyear" => IsoYear,
            "dow" => DayOfWeek,
            "isodow" => IsoDayOfWeek,
            "doy" => DayOfYear,
            "epoch" => Epoch,
            "timezone" => Zone,
            "timezone_h" => ZoneHour,
            "timezone_m" => ZoneMinute,
            "now" | "today" | "tomorrow" | "yesterday" | "allballs" | "infinity" | "-infinity"
            | "+infinity" => Other,
            _ => return None,
        })
    }
}

fn unit_of(name: &str, type_name: &str) -> Result<(Unit, String)> {
    let name = name.to_ascii_lowercase();
    match Unit::parse(&name) {
        Some(unit) => Ok((unit, name)),
        None => Err(unrecognized(&name, type_name)),
    }
}

fn unrecognized(name: &str, type_name: &str) -> Error {
    Error::new(
        sqlstate::INVALID_PARAMETER_VALUE,
        format!("unit \"{name}\" not recognized for type {type_name}"),
    )
}

fn unsupported(name: &str, type_name: &str) -> Error {
    Error::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("unit \"{name}\" not supported for type {type_name}"),
    )
}

/// A part's value before it is given a type.
#[derive(Clone, Copy, Debug)]
enum Part {
    Whole(i64),
    /// Microseconds that are shown as so many digits after the point of a larger unit.
    Scaled(i64, u32),
    /// Seconds since 1970 of microseconds since 2000.
    Epoch(i64),
    /// A Julian day and microseconds of it.
    Julian(i64, i64),
    Infinite(bool),
    Null,
}

impl Part {
    fn numeric(self) -> Result<Option<Numeric>> {
        Ok(Some(match self {
            Self::Null => return Ok(None),
            Self::Infinite(false) => Numeric::NEGATIVE_INFINITY,
            Self::Infinite(true) => Numeric::INFINITY,
            Self::Whole(value) => Numeric::from(value),
            Self::Scaled(value, scale) => Numeric::from_i128(value.into(), scale),
            Self::Epoch(micros) => match micros.checked_sub(UNIX_EPOCH_MICROS) {
                Some(since) => Numeric::from_i128(since.into(), 6),
                // The last decades of the range overflow; PostgreSQL divides then, and rounds.
                None => Numeric::from(micros)
                    .subtract(&Numeric::from(UNIX_EPOCH_MICROS))?
                    .divide(&Numeric::from(MICROS_PER_SECOND))?
                    .round(6)?,
            },
            Self::Julian(day, micros) => Numeric::from(day)
                .add(&Numeric::from(micros).divide(&Numeric::from(MICROS_PER_DAY))?)?,
        }))
    }

    fn float(self) -> Option<f64> {
        Some(match self {
            Self::Null => return None,
            Self::Infinite(false) => f64::NEG_INFINITY,
            Self::Infinite(true) => f64::INFINITY,
            Self::Whole(value) => value as f64,
            // Added up as PostgreSQL does, for the last bit depends on it.
            Self::Scaled(value, 3) => {
                (value / MICROS_PER_SECOND * 1000) as f64
                    + (value % MICROS_PER_SECOND) as f64 / 1000.0
            }
            Self::Scaled(value, _) => {
                (value / MICROS_PER_SECOND) as f64
                    + (value % MICROS_PER_SECOND) as f64 / 1_000_000.0
            }
            Self::Epoch(micros) => match micros.checked_sub(UNIX_EPOCH_MICROS) {
                Some(since) => since as f64 / 1_000_000.0,
                None => (micros as f64 - UNIX_EPOCH_MICROS as f64) / 1_000_000.0,
            },
            Self::Julian(day, micros) => {
                let seconds = (micros / MICROS_PER_SECOND) as f64
                    + (micros % MICROS_PER_SECOND) as f64 / 1_000_000.0;
                day as f64 + seconds / 86_400.0
            }
        })
    }
}

/// What of an infinite value grows without end; of the rest there is nothing to say.
fn infinite_part(unit: Unit, later: bool) -> Part {
    match unit {
        Unit::Year
        | Unit::Decade
        | Unit::Century
        | Unit::Millennium
        | Unit::Julian
        | Unit::IsoYear
        | Unit::Epoch => Part::Infinite(later),
        _ => Part::Null,
    }
}

/// Parts of the calendar, which dates have too.
fn calendar_part(unit: Unit, civil: &Civil) -> Option<Part> {
    let year = i64::from(civil.year);
    let no_year_zero = |year: i64| if year > 0 { year } else { year - 1 };
    // Periods of so many years are counted from year 1, and before it backwards.
    let period = |years: i64| {
        if year > 0 { (year + years - 1) / years } else { -((years - year) / years) }
    };
    Some(Part::Whole(match unit {
        Unit::Day => civil.day.into(),
        Unit::Week => civil.iso_week().1.into(),
        Unit::Month => civil.month.into(),
        Unit::Quarter => i64::from((civil.month - 1) / 3 + 1),
        Unit::Year => no_year_zero(year),
        Unit::Decade => year.div_euclid(10),
        Unit::Century => period(100),
        Unit::Millennium => period(1000),
        Unit::IsoYear => no_year_zero(civil.iso_week().0.into()),
        Unit::DayOfWeek => i64::from(iso_day_of_week(civil.days()) % 7),
        Unit::IsoDayOfWeek => iso_day_of_week(civil.days()).into(),
        Unit::DayOfYear => civil.days() - days_of_civil(civil.year, 1, 1) + 1,
        _ => return None,
    }))
}

/// Parts of a reading of calendar and clock.
fn civil_part(unit: Unit, civil: &Civil) -> Option<Part> {
    let seconds = i64::from(civil.second) * MICROS_PER_SECOND + i64::from(civil.micros);
    Some(match unit {
        Unit::Microseconds => Part::Whole(seconds),
        Unit::Milliseconds => Part::Scaled(seconds, 3),
        Unit::Second => Part::Scaled(seconds, 6),
        Unit::Minute => Part::Whole(civil.minute.into()),
        Unit::Hour => Part::Whole(civil.hour.into()),
        Unit::Julian => Part::Julian(civil.days() + EPOCH_JULIAN_DAY, civil.time_micros()),
        _ => return calendar_part(unit, civil),
    })
}

fn instant_part_of(name: &str, micros: i64, zone: &TimeZone) -> Result<Part> {
    let (unit, name) = unit_of(name, INSTANT)?;
    if unit == Unit::Other {
        return Err(unsupported(&name, INSTANT));
    }
    if matches!(micros, INSTANT_INFINITY | INSTANT_NEGATIVE_INFINITY) {
        return Ok(infinite_part(unit, micros == INSTANT_INFINITY));
    }
    let (civil, offset) = civil_of_instant(micros, zone);
    Ok(match unit {
        Unit::Epoch => Part::Epoch(micros),
        Unit::Zone => Part::Whole(offset.seconds.into()),
        Unit::ZoneHour => Part::Whole(i64::from(offset.seconds / 3600)),
        Unit::ZoneMinute => Part::Whole(i64::from(offset.seconds / 60 % 60)),
        _ => civil_part(unit, &civil).ok_or_else(|| unsupported(&name, INSTANT))?,
    })
}

/// `extract(unit from timestamptz)`; `None` is NULL.
pub(crate) fn instant_part_numeric(
    name: &str,
    micros: i64,
    zone: &TimeZone,
) -> Result<Option<Numeric>> {
    instant_part_of(name, micros, zone)?.numeric()
}

/// `date_part(unit, timestamptz)`; `None` is NULL.
pub(crate) fn instant_part(name: &str, micros: i64, zone: &TimeZone) -> Result<Option<f64>> {
    Ok(instant_part_of(name, micros, zone)?.float())
}

/// `extract(unit from date)`; `None` is NULL.
pub(crate) fn date_part_numeric(name: &str, days: i32) -> Result<Option<Numeric>> {
    let (unit, name) = unit_of(name, DATE)?;
    let civil = Civil::of_days(if days == DATE_INFINITY { 0 } else { days.into() });
    let part = match unit {
        Unit::Epoch => Some(Part::Whole((i64::from(days) - UNIX_EPOCH_DAYS) * 86_400)),
        Unit::Julian => Some(Part::Whole(i64::from(days) + EPOCH_JULIAN_DAY)),
        _ => calendar_part(unit, &civil),
    };
    let part = part.ok_or_else(|| unsupported(&name, DATE))?;
    if matches!(days, DATE_INFINITY | DATE_NEGATIVE_INFINITY) {
        return infinite_part(unit, days == DATE_INFINITY).numeric();
    }
    part.numeric()
}

/// `date_part(unit, date)`, which PostgreSQL takes of the date's midnight; `None` is NULL.
pub(crate) fn date_part_as_timestamp(name: &str, days: i32) -> Result<Option<f64>> {
    let infinite = matches!(days, DATE_INFINITY | DATE_NEGATIVE_INFINITY);
    let midnight = Civil::of_days(if infinite { 0 } else { days.into() });
    if instant_of_civil(&midnight, 0).is_none() {
        return Err(Error::new(
            sqlstate::DATETIME_FIELD_OVERFLOW,
            "date out of range for timestamp",
        ));
    }
    let (unit, name) = unit_of(name, LOCAL)?;
    if infinite && unit != Unit::Other {
        return Ok(infinite_part(unit, days == DATE_INFINITY).float());
    }
    Ok(match unit {
        Unit::Epoch => Some(((i64::from(days) - UNIX_EPOCH_DAYS) * 86_400) as f64),
        // Zones included: this timestamp has none.
        _ => civil_part(unit, &midnight).ok_or_else(|| unsupported(&name, LOCAL))?.float(),
    })
}

/// `date_trunc(unit, timestamptz)` in a zone.
pub(crate) fn truncate(name: &str, micros: i64, zone: &TimeZone) -> Result<i64> {
    if matches!(micros, INSTANT_INFINITY | INSTANT_NEGATIVE_INFINITY) {
        return Ok(micros);
    }
    let (unit, name) = unit_of(name, INSTANT)?;
    if !unit.is_length() {
        return Err(unrecognized(&name, INSTANT));
    }
    let (civil, offset) = civil_of_instant(micros, zone);
    let day = Civil { hour: 0, minute: 0, second: 0, micros: 0, ..civil };
    let month = Civil { day: 1, ..day };
    let year = |year| Civil { year, month: 1, ..month };
    let y = civil.year;
    // The first year of a period that begins with a year 1; before it, counted backwards.
    let first = |years: i32| {
        if y > 0 {
            (y + years - 1) / years * years - (years - 1)
        } else {
            -((years - y) / years) * years + 1
        }
    };
    let truncated = match unit {
        Unit::Microseconds => civil,
        Unit::Milliseconds => Civil { micros: civil.micros / 1000 * 1000, ..civil },
        Unit::Second => Civil { micros: 0, ..civil },
        Unit::Minute => Civil { micros: 0, second: 0, ..civil },
        Unit::Hour => Civil { hour: civil.hour, ..day },
        Unit::Day => day,
        Unit::Week => {
            let days = civil.days();
            Civil::of_days(days - i64::from(iso_day_of_week(days)) + 1)
        }
        Unit::Month => month,
        Unit::Quarter => Civil { month: (civil.month - 1) / 3 * 3 + 1, ..month },
        Unit::Year => year(y),
        Unit::Decade => year(y.div_euclid(10) * 10),
        Unit::Century => year(first(100)),
        Unit::Millennium => year(first(1000)),
        _ => return Err(unsupported(&name, INSTANT)),
    };
    // Below a day the offset stays, so that the second of two equal hours is not lost.
    let below_day = matches!(
        unit,
        Unit::Microseconds | Unit::Milliseconds | Unit::Second | Unit::Minute | Unit::Hour
    );
    let result = if below_day {
        instant_of_civil(&truncated, offset.seconds)
    } else {
        instant_of_local(&truncated, zone)
    };
    result.ok_or_else(|| Error::new(sqlstate::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))
}
