//! Days to year, month, day and back (Hinnant, "chrono-Compatible Low-Level Date Algorithms").

use crate::TimeZone;

pub(crate) const DATE_INFINITY: i32 = i32::MAX;
pub(crate) const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;
pub(crate) const INSTANT_INFINITY: i64 = i64::MAX;
pub(crate) const INSTANT_NEGATIVE_INFINITY: i64 = i64::MIN;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 2000-01-01 as a Julian day.
pub(super) const EPOCH_JULIAN_DAY: i64 = 2_451_545;
/// 1970-01-01 in days since 2000-01-01.
pub(super) const UNIX_EPOCH_DAYS: i64 = -10_957;
/// One past the last date, 5874897-12-31, as a Julian day.
const DATE_END_JULIAN_DAY: i64 = 2_147_483_494;
/// One past the last instant, the end of 294276-12-31.
const INSTANT_END: i64 = 9_223_371_331_200_000_000;
const INSTANT_MIN: i64 = -211_813_488_000_000_000;

/// A reading of calendar and clock. The year is astronomical: 0 is 1 BC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Civil {
    pub year: i32,
    pub month: i32,
    pub day: i32,
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
    pub micros: i32,
}

impl Civil {
    /// Midnight of a day given in days since 2000-01-01.
    pub fn of_days(days: i64) -> Self {
        // Days since 0000-03-01, so that the leap day ends the year.
        let shifted = days + 730_425;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year: year as i32, month: month as i32, day: day as i32, ..Self::default() }
    }

    /// A reading in microseconds since 2000-01-01 of the same clock.
    pub fn of_micros(micros: i64) -> Self {
        let time = micros.rem_euclid(MICROS_PER_DAY);
        let seconds = (time / MICROS_PER_SECOND) as i32;
        Self {
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: (time % MICROS_PER_SECOND) as i32,
            ..Self::of_days(micros.div_euclid(MICROS_PER_DAY))
        }
    }

    /// Days since 2000-01-01; month and day are valid or a little beyond.
    pub fn days(&self) -> i64 {
        days_of_civil(self.year, self.month, self.day)
    }

    /// Microseconds since midnight.
    pub fn time_micros(&self) -> i64 {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60;
        (seconds + i64::from(self.second)) * MICROS_PER_SECOND + i64::from(self.micros)
    }

    /// The first day of the ISO week's year, and the number of the week (from 1).
    pub fn iso_week(&self) -> (i32, i32) {
        let days = self.days();
        // The Thursday of the week decides the year.
        let thursday = days - i64::from(iso_day_of_week(days)) + 4;
        let year = Self::of_days(thursday).year;
        let week = (thursday - days_of_civil(year, 1, 1)) / 7 + 1;
        (year, week as i32)
    }
}

/// Monday is 1, Sunday 7.
pub(super) fn iso_day_of_week(days: i64) -> i32 {
    // 2000-01-01 was a Saturday.
    (days + 5).rem_euclid(7) as i32 + 1
}

pub(super) fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn days_of_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(is_leap(year)),
        _ => 31,
    }
}

/// Days since 2000-01-01.
pub(crate) fn days_of_civil(year: i32, month: i32, day: i32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = i64::from(month + if month > 2 { -3 } else { 9 });
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 730_425
}

/// Whether days since 2000-01-01 are a finite date.
pub(crate) fn date_in_range(days: i64) -> bool {
    (-EPOCH_JULIAN_DAY..DATE_END_JULIAN_DAY - EPOCH_JULIAN_DAY).contains(&days)
}

/// Whether microseconds since 2000-01-01 are a finite instant.
pub(crate) fn instant_in_range(micros: i64) -> bool {
    (INSTANT_MIN..INSTANT_END).contains(&micros)
}

/// Whether PostgreSQL's calendar has the month at all.
pub(super) fn julian_in_range(year: i32, month: i32) -> bool {
    (year > -4713 || year == -4713 && month >= 11)
        && (year < 5_874_898 || year == 5_874_898 && month < 6)
}

/// The instant of a reading whose clock is `offset_seconds` ahead of UTC; `None` out of range.
pub(crate) fn instant_of_civil(civil: &Civil, offset_seconds: i32) -> Option<i64> {
    if !julian_in_range(civil.year, civil.month) {
        return None;
    }
    let micros = civil
        .days()
        .checked_mul(MICROS_PER_DAY)?
        .checked_add(civil.time_micros())?
        .checked_sub(i64::from(offset_seconds) * MICROS_PER_SECOND)?;
    instant_in_range(micros).then_some(micros)
}

/// The instant of a reading in a zone; `None` out of range.
pub(super) fn instant_of_local(civil: &Civil, zone: &TimeZone) -> Option<i64> {
    let local = civil.days().checked_mul(MICROS_PER_DAY)?.checked_add(civil.time_micros())?;
    instant_of_civil(civil, zone.offset_of_local(local))
}

/// What calendar and clock of a zone show at an instant, and what they are ahead of UTC.
pub(crate) fn civil_of_instant(
    micros: i64,
    zone: &TimeZone,
) -> (Civil, crate::format::LocalOffset) {
    let offset = zone.offset_at(micros);
    // At the ends of the range the local time may lie a little beyond it.
    let local = micros.saturating_add(i64::from(offset.seconds) * MICROS_PER_SECOND);
    (Civil::of_micros(local), offset)
}
