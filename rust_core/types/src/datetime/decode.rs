//! From fields to a reading of calendar and clock, by PostgreSQL's rules for what is ambiguous.
//!
//! A number is taken for what is still missing: with a month's name at hand for day or year, else
//! in the session's order; three digits or more are a year; six or more are a whole date, or, after
//! a date, a whole time.

use super::calendar::{
    Civil, EPOCH_JULIAN_DAY, MICROS_PER_DAY, MICROS_PER_SECOND, days_of_civil, days_of_month,
};
use super::parse::{Fault, Place, Today};
use super::tokens::{Keyword, Shape, cut, keyword};
use crate::{DateOrder, TimeZone};

/// Hours that an offset may be from UTC.
const OFFSET_HOURS_MAX: i32 = 15;

/// What a text said.
#[derive(Debug)]
pub(super) struct Decoded {
    pub civil: Civil,
    pub place: Place,
    pub special: Option<Special>,
}

/// A word that is a whole date; what stands beside it is read and says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Infinity,
    NegativeInfinity,
    Epoch,
}

type Step<T = ()> = Result<T, Fault>;

/// Which fields are known, as bits.
mod known {
    pub const YEAR: u32 = 1;
    pub const MONTH: u32 = 2;
    pub const DAY: u32 = 4;
    pub const DATE: u32 = YEAR | MONTH | DAY;
    pub const YEAR_MONTH: u32 = YEAR | MONTH;
    pub const MONTH_DAY: u32 = MONTH | DAY;
    pub const TIME: u32 = 8;
    pub const ZONE: u32 = 16;
    pub const DAY_OF_YEAR: u32 = 32;
    pub const DAY_OF_WEEK: u32 = 64;
    pub const SPECIAL: u32 = 128;
    pub const AM_PM: u32 = 256;
    pub const ERA: u32 = 512;
}

/// What the next field must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Anything,
    Time,
    JulianDay,
}

#[allow(clippy::struct_excessive_bools, reason = "each is one fact that a field told")]
struct Decoder<'a> {
    today: Today<'a>,
    civil: Civil,
    place: Place,
    special: Option<Special>,
    known: u32,
    expected: Expected,
    day_of_year: i32,
    month_is_named: bool,
    year_has_two_digits: bool,
    julian: bool,
    before_christ: bool,
    /// Of a clock of twelve hours: whether it is after noon.
    afternoon: Option<bool>,
}

/// Reads a date, with time and zone or without. An unknown zone is returned with its name.
pub(super) fn decode(text: &str, today: Today<'_>) -> Result<Decoded, (Fault, String)> {
    let nameless = |fault| (fault, String::new());
    let fields = cut(text).ok_or_else(|| nameless(Fault::Format))?;
    let mut decoder = Decoder {
        today,
        civil: Civil::default(),
        place: Place::Session,
        special: None,
        known: 0,
        expected: Expected::Anything,
        day_of_year: 0,
        month_is_named: false,
        year_has_two_digits: false,
        julian: false,
        before_christ: false,
        afternoon: None,
    };
    for (shape, field) in &fields {
        let added = decoder.field(*shape, field).map_err(|fault| (fault, field.clone()))?;
        if decoder.known & added != 0 {
            return Err(nameless(Fault::Format));
        }
        decoder.known |= added;
    }
    decoder.finish().map_err(nameless)
}

impl Decoder<'_> {
    fn has(&self, fields: u32) -> bool {
        self.known & fields == fields
    }

    /// Takes one field in; which it made known.
    fn field(&mut self, shape: Shape, field: &str) -> Step<u32> {
        match shape {
            Shape::Date => self.date_field(field),
            Shape::Time => {
                match std::mem::replace(&mut self.expected, Expected::Anything) {
                    Expected::Anything | Expected::Time => {}
                    Expected::JulianDay => return Err(Fault::Format),
                }
                self.time(field)?;
                Ok(known::TIME)
            }
            Shape::Offset => {
                self.place = Place::Offset(offset(field)?);
                Ok(known::ZONE)
            }
            Shape::Number => self.number_field(field),
            Shape::Word | Shape::Signed => self.word(field),
        }
    }

    fn date_field(&mut self, field: &str) -> Step<u32> {
        if self.expected == Expected::JulianDay {
            return self.julian_day(field);
        }
        if self.expected == Expected::Anything && !self.has(known::MONTH | known::DAY) {
            return self.date(field);
        }
        // There is a date: a time run together with its offset, or the name of a zone.
        if field.starts_with(|c: char| c.is_ascii_digit()) || self.expected == Expected::Time {
            self.expected = Expected::Anything;
            if self.has(known::TIME) {
                return Err(Fault::Format);
            }
            let (time, zone) = field.split_at(field.find('-').ok_or(Fault::Format)?);
            self.place = Place::Offset(offset(zone)?);
            let added = self.run_together(time, self.known)?;
            return Ok(added | known::ZONE);
        }
        self.place = Place::Zone(TimeZone::from_setting(field).ok_or(Fault::Zone)?);
        Ok(known::ZONE)
    }

    fn number_field(&mut self, field: &str) -> Step<u32> {
        match std::mem::replace(&mut self.expected, Expected::Anything) {
            Expected::JulianDay => return self.julian_day(field),
            Expected::Time => return self.run_together(field, self.known | known::DATE),
            Expected::Anything => {}
        }
        let point = field.find('.');
        if point.is_some() && self.known & known::DATE == 0 {
            return self.date(field);
        }
        let whole = point.unwrap_or(field.len());
        let incomplete = self.known & known::DATE == 0 || !self.has(known::TIME);
        if point.is_some() && whole > 2 || point.is_none() && whole >= 6 && incomplete {
            return self.run_together(field, self.known);
        }
        self.number(field, self.known)
    }

    fn word(&mut self, word: &str) -> Step<u32> {
        if let Some(place) = Place::of_abbreviation(word) {
            self.place = place;
            return Ok(known::ZONE);
        }
        let Some(keyword) = keyword(word) else {
            self.place = Place::Zone(TimeZone::from_setting(word).ok_or(Fault::Format)?);
            return Ok(known::ZONE);
        };
        match keyword {
            Keyword::Infinity => self.whole(Special::Infinity),
            Keyword::NegativeInfinity => self.whole(Special::NegativeInfinity),
            Keyword::Epoch => self.whole(Special::Epoch),
            Keyword::Now => {
                let (civil, offset) = self.today.civil();
                self.special = None;
                self.civil = civil;
                self.place = Place::Offset(offset);
                Ok(known::DATE | known::TIME | known::ZONE)
            }
            Keyword::Today => self.day_from_today(0),
            Keyword::Tomorrow => self.day_from_today(1),
            Keyword::Yesterday => self.day_from_today(-1),
            Keyword::AllBalls => {
                self.place = Place::Offset(0);
                Ok(known::TIME | known::ZONE)
            }
            Keyword::Month(month) => Ok(self.named_month(month)),
            Keyword::DayOfWeek => Ok(known::DAY_OF_WEEK),
            Keyword::Ad | Keyword::Bc => {
                self.before_christ = keyword == Keyword::Bc;
                Ok(known::ERA)
            }
            Keyword::Am | Keyword::Pm => {
                self.afternoon = Some(keyword == Keyword::Pm);
                Ok(known::AM_PM)
            }
            Keyword::Dst => {
                let Place::Offset(seconds) = self.place else { return Err(Fault::Format) };
                self.place = Place::Offset(seconds + 3600);
                Ok(0)
            }
            Keyword::IsoTime if self.has(known::DATE) => {
                self.expected = Expected::Time;
                Ok(0)
            }
            Keyword::Julian => {
                self.expected = Expected::JulianDay;
                Ok(0)
            }
            Keyword::Ignored => Ok(0),
            Keyword::IsoTime | Keyword::Unit => Err(Fault::Format),
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "an arm of `word`")]
    fn whole(&mut self, special: Special) -> Step<u32> {
        self.special = Some(special);
        Ok(known::SPECIAL)
    }

    #[allow(clippy::unnecessary_wraps, reason = "an arm of `word`")]
    fn day_from_today(&mut self, days: i64) -> Step<u32> {
        let (civil, _) = self.today.civil();
        self.special = None;
        let Civil { year, month, day, .. } = Civil::of_days(civil.days() + days);
        self.civil = Civil { year, month, day, ..self.civil };
        Ok(known::DATE)
    }

    fn named_month(&mut self, month: i32) -> u32 {
        // A number that was taken for the month was the day.
        let was_day = self.has(known::MONTH)
            && !self.month_is_named
            && !self.has(known::DAY)
            && (1..=31).contains(&self.civil.month);
        if was_day {
            self.civil.day = self.civil.month;
        }
        self.month_is_named = true;
        self.civil.month = month;
        if was_day { known::DAY } else { known::MONTH }
    }

    fn julian_day(&mut self, field: &str) -> Step<u32> {
        self.expected = Expected::Anything;
        let digits = field.bytes().take_while(u8::is_ascii_digit).count();
        let day: i32 = field[..digits].parse().map_err(|_| Fault::Range)?;
        let Civil { year, month, day, .. } = Civil::of_days(i64::from(day) - EPOCH_JULIAN_DAY);
        self.civil = Civil { year, month, day, ..self.civil };
        self.julian = true;
        match field.as_bytes().get(digits) {
            None => Ok(known::DATE),
            Some(b'.') => {
                let fraction: f64 = field[digits..].parse().map_err(|_| Fault::Format)?;
                self.set_time((fraction * MICROS_PER_DAY as f64) as i64);
                Ok(known::DATE | known::TIME)
            }
            Some(b'-' | b'+') => {
                self.place = Place::Offset(offset(&field[digits..])?);
                Ok(known::DATE | known::TIME | known::ZONE)
            }
            Some(_) => Err(Fault::Format),
        }
    }

    fn set_time(&mut self, micros: i64) {
        let Civil { hour, minute, second, micros, .. } = Civil::of_micros(micros);
        self.civil = Civil { hour, minute, second, micros, ..self.civil };
    }

    /// A whole date: numbers and a month's name, between separators.
    fn date(&mut self, field: &str) -> Step<u32> {
        let mut parts = Vec::new();
        let mut rest = field;
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let digits = rest.starts_with(|c: char| c.is_ascii_digit());
            let ends =
                |c: char| if digits { !c.is_ascii_digit() } else { !c.is_ascii_alphabetic() };
            let end = rest.find(ends).unwrap_or(rest.len());
            if end == 0 {
                return Err(Fault::Format);
            }
            parts.push((digits, &rest[..end]));
            // Whatever ends a part is dropped.
            rest = rest.get(end + 1..).unwrap_or("");
        }
        let mut added = 0;
        for (_, part) in parts.iter().filter(|(digits, _)| !digits) {
            match keyword(part) {
                Some(Keyword::Ignored) => continue,
                Some(Keyword::Month(month)) => self.civil.month = month,
                _ => return Err(Fault::Format),
            }
            self.month_is_named = true;
            self.add(&mut added, known::MONTH)?;
        }
        for (_, part) in parts.iter().filter(|(digits, _)| *digits) {
            let one = self.number(part, self.known | added)?;
            self.add(&mut added, one)?;
        }
        let date = (self.known | added) & !(known::DAY_OF_YEAR | known::ZONE);
        if date == known::DATE { Ok(added) } else { Err(Fault::Format) }
    }

    fn add(&self, added: &mut u32, one: u32) -> Step {
        if (self.known | *added) & one != 0 {
            return Err(Fault::Format);
        }
        *added |= one;
        Ok(())
    }

    /// A number, given what is known.
    fn number(&mut self, field: &str, known: u32) -> Step<u32> {
        let digits = field.bytes().take_while(u8::is_ascii_digit).count();
        match field.as_bytes().get(digits) {
            None => {}
            // A time run together, or a day with a fraction, which says nothing.
            Some(b'.') if digits > 2 => return self.run_together(field, known | known::DATE),
            Some(b'.') => {
                fraction(&field[digits..])?;
            }
            Some(_) => return Err(Fault::Format),
        }
        let value: i32 = match &field[..digits] {
            "" => return Err(Fault::Format),
            text => text.parse().map_err(|_| Fault::Range)?,
        };
        let date = known & known::DATE;
        if field.len() == 3 && date == known::YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(known::DAY_OF_YEAR | known::MONTH | known::DAY);
        }
        let year_first = field.len() >= 3 || self.today.order == DateOrder::Ymd;
        let taken = match date {
            0 if year_first => known::YEAR,
            0 if self.today.order == DateOrder::Dmy => known::DAY,
            0 | known::YEAR | known::DAY => known::MONTH,
            known::MONTH if self.month_is_named && year_first => known::YEAR,
            known::YEAR_MONTH
                if self.month_is_named && field.len() >= 3 && self.year_has_two_digits =>
            {
                // What was taken for a year was the day.
                self.civil.day = self.civil.year;
                self.civil.year = value;
                self.year_has_two_digits = false;
                return Ok(known::DAY);
            }
            known::MONTH | known::YEAR_MONTH => known::DAY,
            known::MONTH_DAY => known::YEAR,
            known::DATE => return self.run_together(field, known),
            _ => return Err(Fault::Format),
        };
        match taken {
            known::YEAR => {
                self.civil.year = value;
                self.year_has_two_digits = field.len() <= 2;
            }
            known::MONTH => self.civil.month = value,
            _ => self.civil.day = value,
        }
        Ok(taken)
    }

    /// `20011223`, `011223`, or, after a date or with a fraction, `040506` and `0405`.
    fn run_together(&mut self, field: &str, known: u32) -> Step<u32> {
        let (whole, part) = field.split_at(field.find('.').unwrap_or(field.len()));
        let number = |text: &str| text.parse::<i32>().map_err(|_| Fault::Format);
        if !part.is_empty() {
            self.civil.micros = fraction(part)?;
        } else if known & known::DATE != known::DATE && whole.len() >= 6 {
            let (rest, day) = whole.split_at(whole.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            // C's atoi takes the head of what is too long; nobody means such a year.
            let year_value = year.parse().map_err(|_| Fault::Range)?;
            (self.civil.year, self.civil.month, self.civil.day) =
                (year_value, number(month)?, number(day)?);
            self.year_has_two_digits = year.len() == 2;
            return Ok(known::DATE);
        }
        if known & known::TIME != 0 || !whole.is_ascii() {
            return Err(Fault::Format);
        }
        match whole.len() {
            6 => self.civil.second = number(&whole[4..])?,
            4 => self.civil.second = 0,
            _ => return Err(Fault::Format),
        }
        (self.civil.hour, self.civil.minute) = (number(&whole[..2])?, number(&whole[2..4])?);
        Ok(known::TIME)
    }

    /// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.ffffff`, `mm:ss.ffffff`
    fn time(&mut self, field: &str) -> Step {
        let mut parts = field.split(':');
        let number = |text: Option<&str>| -> Step<i32> {
            match text {
                None | Some("") => Ok(0),
                Some(text) => text.parse().map_err(|_| {
                    if text.bytes().all(|b| b.is_ascii_digit()) {
                        Fault::Range
                    } else {
                        Fault::Format
                    }
                }),
            }
        };
        let first = number(parts.next())?;
        let second = parts.next().ok_or(Fault::Format)?;
        let third = parts.next();
        if parts.next().is_some() {
            return Err(Fault::Format);
        }
        let (last, minutes_first) = match third {
            None if second.contains('.') => (second, true),
            None => ("", false),
            Some(third) => (third, false),
        };
        let (whole, part) = last.split_at(last.find('.').unwrap_or(last.len()));
        self.civil.micros = if part.is_empty() { 0 } else { fraction(part)? };
        self.civil.second = number(Some(whole))?;
        (self.civil.hour, self.civil.minute) =
            if minutes_first { (0, first) } else { (first, number(Some(second))?) };
        self.check_time()
    }

    fn check_time(&self) -> Step {
        let Civil { hour, minute, second, micros, .. } = self.civil;
        let sane = (0..=24).contains(&hour)
            && (0..=59).contains(&minute)
            && (0..=60).contains(&second)
            && (0..=MICROS_PER_SECOND as i32).contains(&micros)
            && self.civil.time_micros() <= MICROS_PER_DAY;
        if sane { Ok(()) } else { Err(Fault::Range) }
    }

    fn finish(mut self) -> Step<Decoded> {
        if self.special.is_none() {
            self.check_date()?;
            self.apply_half_of_day()?;
            if !self.has(known::DATE) {
                return Err(Fault::Format);
            }
        }
        Ok(Decoded { civil: self.civil, place: self.place, special: self.special })
    }

    fn apply_half_of_day(&mut self) -> Step {
        let Some(afternoon) = self.afternoon else { return Ok(()) };
        if self.civil.hour > 12 {
            return Err(Fault::Range);
        }
        self.civil.hour = self.civil.hour % 12 + if afternoon { 12 } else { 0 };
        Ok(())
    }

    fn check_date(&mut self) -> Step {
        let civil = &mut self.civil;
        if self.known & known::YEAR != 0 && !self.julian {
            if self.before_christ {
                if civil.year <= 0 {
                    return Err(Fault::Range);
                }
                civil.year = 1 - civil.year;
            } else if self.year_has_two_digits {
                civil.year += match civil.year {
                    ..70 => 2000,
                    70..100 => 1900,
                    _ => 0,
                };
            } else if civil.year <= 0 {
                return Err(Fault::Range);
            }
        }
        if self.known & known::DAY_OF_YEAR != 0 {
            let days = days_of_civil(civil.year, 1, 1) + i64::from(self.day_of_year) - 1;
            let Civil { year, month, day, .. } = Civil::of_days(days);
            *civil = Civil { year, month, day, ..*civil };
        }
        if self.known & known::MONTH != 0 && !(1..=12).contains(&civil.month)
            || self.known & known::DAY != 0 && !(1..=31).contains(&civil.day)
        {
            return Err(Fault::Order);
        }
        if self.known & known::DATE == known::DATE
            && civil.day > days_of_month(civil.year, civil.month)
        {
            return Err(Fault::Range);
        }
        Ok(())
    }
}

/// `.ffffff` in microseconds, rounded.
fn fraction(text: &str) -> Step<i32> {
    if !text[1..].bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Format);
    }
    let value: f64 = if text.len() == 1 { 0.0 } else { text.parse().map_err(|_| Fault::Format)? };
    Ok((value * MICROS_PER_SECOND as f64).round_ties_even() as i32)
}

/// `+hh`, `+hhmm`, `+hh:mm`, `+hh:mm:ss` in seconds.
fn offset(text: &str) -> Step<i32> {
    let negative = match text.as_bytes().first() {
        Some(b'-') => true,
        Some(b'+') => false,
        _ => return Err(Fault::Format),
    };
    let (mut hours, mut rest) = leading_number(&text[1..])?;
    let (mut minutes, mut seconds) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        (minutes, rest) = leading_number(after)?;
        if let Some(after) = rest.strip_prefix(':') {
            (seconds, rest) = leading_number(after)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        (hours, minutes) = (hours / 100, hours % 100);
    }
    if hours > OFFSET_HOURS_MAX || minutes > 59 || seconds > 59 {
        return Err(Fault::Offset);
    }
    if !rest.is_empty() {
        return Err(Fault::Format);
    }
    let total = (hours * 60 + minutes) * 60 + seconds;
    Ok(if negative { -total } else { total })
}

/// The number that a text begins with, 0 without digits, and the rest.
fn leading_number(text: &str) -> Step<(i32, &str)> {
    let (digits, rest) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    match digits {
        "" => Ok((0, rest)),
        digits => Ok((digits.parse().map_err(|_| Fault::Offset)?, rest)),
    }
}
