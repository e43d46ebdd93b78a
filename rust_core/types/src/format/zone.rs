//! Time zones: the session's, and those named inside a timestamp.
//!
//! The rules come from the tz database that is compiled in (crate `jiff`), never from the
//! machine's. That library ends with year 9999, of either era; beyond, the rules of the last 400
//! years within repeat, so that every integer is an instant of every zone.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::tz::{AmbiguousOffset, Offset};

use super::is_space;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// 2000-01-01 00:00 UTC in seconds since 1970.
const EPOCH_SECONDS: i64 = 946_684_800;
/// The Gregorian calendar repeats after so many seconds: 400 years.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
/// A little before the library's last second, at the end of year 9999.
const LIBRARY_MAX_SECONDS: i64 = 253_402_000_000;
/// A little after the library's first second, at the beginning of year 9999 before Christ.
const LIBRARY_MIN_SECONDS: i64 = -377_705_000_000;
/// How far from UTC a number of hours may set the zone: PostgreSQL's 167:59:59.
const HOURS_MAX: f64 = 168.0;
/// The same in a POSIX zone, without what is less than an hour.
const POSIX_HOURS_MAX: i32 = 167;
/// The longest POSIX zone, in bytes.
const POSIX_BYTES_MAX: usize = 255;

/// A zone that a setting names.
#[derive(Clone, Debug)]
pub struct TimeZone {
    name: Arc<str>,
    rules: Rules,
}

#[derive(Clone, Debug)]
enum Rules {
    Fixed { seconds: i32, abbreviation: Arc<str> },
    Named(jiff::tz::TimeZone),
}

/// What a clock on the wall is ahead of UTC, and what people call that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalOffset {
    /// Seconds east of Greenwich.
    pub seconds: i32,
    /// `CET`, `-03`, `LMT`
    pub abbreviation: String,
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl TimeZone {
    /// `UTC`
    pub fn utc() -> Self {
        Self { name: Arc::from("UTC"), rules: Rules::Named(jiff::tz::TimeZone::UTC) }
    }

    /// Reads a value of `TimeZone`: a name of the database, hours east of Greenwich, or a POSIX
    /// zone (`XYZ+3`, `+05:30`, west is positive). `None` if it is none of these.
    pub fn from_setting(text: &str) -> Option<Self> {
        match text.trim_start_matches(is_space).parse::<f64>() {
            Ok(hours) if hours.abs() < HOURS_MAX => {
                return Some(Self::fixed((hours * 3600.0) as i32));
            }
            Ok(_) => return None,
            Err(_) => {}
        }
        Self::from_name(text).or_else(|| Self::from_posix(text))
    }

    /// A POSIX zone: `XYZ+3` is three hours west, and so is `+03:00`, which has no abbreviation.
    pub(crate) fn from_posix(text: &str) -> Option<Self> {
        if text.len() > POSIX_BYTES_MAX {
            return None;
        }
        let text = text.to_ascii_uppercase();
        let rules = match without_summer(&text) {
            Some((abbreviation, west)) => {
                Rules::Fixed { seconds: -west, abbreviation: Arc::from(abbreviation) }
            }
            None => Rules::Named(jiff::tz::TimeZone::posix(&text).ok()?),
        };
        Some(Self { name: Arc::from(text), rules })
    }

    /// Whether its minutes begin with UTC's, as PostgreSQL wants it of a session's zone.
    pub fn has_whole_minutes(&self) -> bool {
        self.offset_at(0).seconds % 60 == 0
    }

    /// A zone of the database, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        // The library has names for what it does not know, which are not zones.
        let known = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !name.eq_ignore_ascii_case("unknown")
            && !name.eq_ignore_ascii_case("etc/unknown");
        let rules = known.then(|| jiff::tz::TimeZone::get(name).ok()).flatten()?;
        let name = Arc::from(rules.iana_name().unwrap_or("UTC"));
        Some(Self { name, rules: Rules::Named(rules) })
    }

    /// So many seconds east of Greenwich, all year.
    pub fn fixed(seconds: i32) -> Self {
        let abbreviation = short_offset(seconds);
        let name = format!("<{abbreviation}>{}", short_offset(-seconds));
        Self {
            name: Arc::from(name),
            rules: Rules::Fixed { seconds, abbreviation: Arc::from(abbreviation) },
        }
    }

    /// What `SHOW TimeZone` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset at an instant, in microseconds since 2000-01-01 UTC.
    pub fn offset_at(&self, micros: i64) -> LocalOffset {
        let rules = match &self.rules {
            Rules::Fixed { seconds, abbreviation } => {
                return LocalOffset { seconds: *seconds, abbreviation: abbreviation.to_string() };
            }
            Rules::Named(rules) => rules,
        };
        let info = rules.to_offset_info(in_library(micros));
        LocalOffset {
            seconds: info.offset().seconds(),
            abbreviation: info.abbreviation().to_owned(),
        }
    }

    /// What an abbreviation means at a reading of the wall clock: the offset that the zone has then
    /// under that name, or the last that it had before, or else the zone's own.
    pub(crate) fn offset_of_abbreviation(&self, abbreviation: &str, local_micros: i64) -> i32 {
        let own = self.offset_of_local(local_micros);
        let Rules::Named(rules) = &self.rules else { return own };
        let instant = local_micros.saturating_sub(i64::from(own) * MICROS_PER_SECOND);
        let here = self.offset_at(instant);
        if here.abbreviation.eq_ignore_ascii_case(abbreviation) {
            return here.seconds;
        }
        let instant = in_library(instant);
        rules
            .preceding(instant)
            .chain(rules.following(instant).take(1))
            .find(|change| change.abbreviation().eq_ignore_ascii_case(abbreviation))
            .map_or(own, |change| change.offset().seconds())
    }

    /// The offset of a reading of a clock on the wall, in seconds. A reading that was skipped, or
    /// that came twice, counts as standard time's: the offset before a gap, after a fold.
    pub fn offset_of_local(&self, local_micros: i64) -> i32 {
        let rules = match &self.rules {
            Rules::Fixed { seconds, .. } => return *seconds,
            Rules::Named(rules) => rules,
        };
        let reading = Offset::UTC.to_datetime(in_library(local_micros));
        let offset = match rules.to_ambiguous_timestamp(reading).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        offset.seconds()
    }
}

/// The instant of the library that has the rules of one in microseconds since 2000-01-01 UTC.
fn in_library(micros: i64) -> jiff::Timestamp {
    let second = micros.div_euclid(MICROS_PER_SECOND) + EPOCH_SECONDS;
    let inside = if second > LIBRARY_MAX_SECONDS {
        LIBRARY_MAX_SECONDS - (LIBRARY_MAX_SECONDS - second).rem_euclid(CYCLE_SECONDS)
    } else if second < LIBRARY_MIN_SECONDS {
        LIBRARY_MIN_SECONDS + (second - LIBRARY_MIN_SECONDS).rem_euclid(CYCLE_SECONDS)
    } else {
        second
    };
    jiff::Timestamp::from_second(inside).expect("between the library's first second and its last")
}

/// The abbreviation of a POSIX zone that has one offset all year, and its seconds west.
fn without_summer(text: &str) -> Option<(&str, i32)> {
    let (abbreviation, offset) = if let Some(quoted) = text.strip_prefix('<') {
        quoted.split_once('>')?
    } else {
        let ends = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ',');
        text.split_at(text.find(ends)?)
    };
    let (sign, offset) = match offset.strip_prefix('-') {
        Some(offset) => (-1, offset),
        None => (1, offset.strip_prefix('+').unwrap_or(offset)),
    };
    let mut parts = offset.split(':');
    let mut seconds = 0;
    for (length, max) in [(3600, POSIX_HOURS_MAX), (60, 59), (1, 60)] {
        let Some(part) = parts.next() else { break };
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        let number: i32 = is_number.then(|| part.parse().ok())??;
        seconds += (number <= max).then_some(number * length)?;
    }
    parts.next().is_none().then_some((abbreviation, sign * seconds))
}

/// `+03`, `-05:30`: minutes and seconds only where there are some.
fn short_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, rest) = (seconds.abs() / 3600, seconds.abs() % 3600);
    let mut out = format!("{sign}{hours:02}");
    if rest > 0 {
        write!(out, ":{:02}", rest / 60).expect("a String takes all");
        if rest % 60 > 0 {
            write!(out, ":{:02}", rest % 60).expect("a String takes all");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Microseconds since 2000-01-01 of a Unix second.
    fn micros(unix_seconds: i64) -> i64 {
        (unix_seconds - EPOCH_SECONDS) * MICROS_PER_SECOND
    }

    #[test]
    fn skipped_and_repeated_readings_are_standard_time() {
        let berlin = TimeZone::from_name("europe/berlin").unwrap();
        assert_eq!(berlin.name(), "Europe/Berlin");
        // 2024-03-31 02:30 does not exist, 2024-10-27 02:30 comes twice.
        assert_eq!(berlin.offset_of_local(micros(1_711_852_200)), 3600);
        assert_eq!(berlin.offset_of_local(micros(1_729_996_200)), 3600);
        assert_eq!(berlin.offset_of_local(micros(1_720_000_000)), 7200);
    }

    #[test]
    fn rules_go_on_after_year_9999() {
        let berlin = TimeZone::from_name("Europe/Berlin").unwrap();
        let july = 1_720_000_000 + 40 * CYCLE_SECONDS;
        assert_eq!(berlin.offset_at(micros(july)).abbreviation, "CEST");
        assert_eq!(berlin.offset_at(i64::MAX - 1).seconds, 3600);
        assert_eq!(berlin.offset_at(micros(-30_000_000_000)).abbreviation, "LMT");
    }

    #[test]
    fn rules_begin_before_year_9999_before_christ() {
        let berlin = TimeZone::from_name("Europe/Berlin").unwrap();
        assert_eq!(berlin.offset_at(i64::MIN).abbreviation, "LMT");
        assert_eq!(berlin.offset_of_local(i64::MIN), 3208);
        let rule = TimeZone::from_posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let july = 1_720_000_000 - 40 * CYCLE_SECONDS;
        assert_eq!(rule.offset_at(micros(july)).abbreviation, "CEST");
        assert_eq!(rule.offset_of_local(micros(july)), 7200);
    }

    #[test]
    fn settings_are_names_hours_or_posix_zones() {
        let shown = |text: &str| TimeZone::from_setting(text).map(|zone| zone.name().to_owned());
        assert_eq!(shown("3").as_deref(), Some("<+03>-03"));
        assert_eq!(shown("-5.5").as_deref(), Some("<-05:30>+05:30"));
        assert_eq!(shown("utc").as_deref(), Some("UTC"));
        for (text, west) in [
            ("XYZ+3", 3 * 3600),
            ("+05:30", 19_800),
            ("-5:30", -19_800),
            ("05:30:15", 19_815),
            ("<+100>-100", -360_000),
            ("UTC+167:59", 604_740),
        ] {
            let zone = TimeZone::from_setting(text).unwrap();
            assert_eq!(zone.offset_at(0).seconds, -west, "{text}");
            assert_eq!(zone.offset_of_local(0), -west, "{text}");
        }
        // Its name is what other nodes are told.
        for text in ["167.999", "-0.01", "+05:30", "cet-1cest,m3.5.0,m10.5.0/3"] {
            let zone = TimeZone::from_setting(text).unwrap();
            let again = TimeZone::from_setting(zone.name()).unwrap();
            assert_eq!(again.name(), zone.name());
            assert_eq!(again.offset_at(0), zone.offset_at(0), "{text}");
        }
        for text in
            ["+", "5:", "+05:60", "XYZ168", "abc", "<ab", "5 ", "+5:3:2:1", "XYZ99999999999"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
        assert_eq!(shown("Mars/Olympus"), None);
        assert_eq!(shown("500"), None);
    }
}
