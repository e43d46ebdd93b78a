//! Functions of text. Lengths and positions count characters, from 1.

use phantom_base::{Error, Result, sqlstate};

use super::lanes::{Int4, Kind, Text, binary, unary};
use crate::{Datum, EvalContext, Kernel, format};

/// Bytes of the longest text that PostgreSQL makes: a gigabyte and its header.
const TEXT_BYTES_MAX: usize = (1 << 30) - 1;
/// Bytes of the longest character.
const CHARACTER_BYTES_MAX: usize = 4;
/// Bytes of a set of characters in which each is looked for from the start.
const SHORT_SET_BYTES: usize = 32;
/// What it costs to find one more place, in steps.
const MATCH_STEPS: usize = 8;

unary! {
    TEXTLEN(Text) -> Int4 = |text| Ok(length(text) as i32);
    TEXTOCTETLEN(Text) -> Int4 = |text| Ok(text.len() as i32);
    LOWER(Text) -> Text = |text| Ok(lower(text));
    UPPER(Text) -> Text = |text| Ok(upper(text));
    LOWER_ASCII(Text) -> Text = |text| Ok(text.to_ascii_lowercase());
    UPPER_ASCII(Text) -> Text = |text| Ok(text.to_ascii_uppercase());
    TEXT_REVERSE(Text) -> Text = |text| Ok(text.chars().rev().collect());
    BTRIM1(Text) -> Text = |text| Ok(text.trim_matches(' ').to_owned());
    LTRIM1(Text) -> Text = |text| Ok(text.trim_start_matches(' ').to_owned());
    RTRIM1(Text) -> Text = |text| Ok(text.trim_end_matches(' ').to_owned());
}

binary! {
    TEXTCAT(Text, Text) -> Text = |a, b| Ok([a, b].concat());
    TEXTPOS(Text, Text) -> Int4 = |text, part| Ok(position(text, part));
    BTRIM(Text, Text) -> Text = |text, set| Ok(trim(text, set, true, true).to_owned());
    LTRIM(Text, Text) -> Text = |text, set| Ok(trim(text, set, true, false).to_owned());
    RTRIM(Text, Text) -> Text = |text, set| Ok(trim(text, set, false, true).to_owned());
    TEXT_LEFT(Text, Int4) -> Text = |text, n| Ok(text[..left_end(text, n)].to_owned());
    // The right n are what the left -n leave out.
    TEXT_RIGHT(Text, Int4) -> Text = |text, n| Ok(text[right_start(text, n)..].to_owned());
    TEXT_SUBSTR_NO_LEN(Text, Int4) -> Text = |text, start| {
        Ok(text[offset(text, i64::from(start) - 1)..].to_owned())
    };
    REPEAT(Text, Int4) -> Text = |text, count, meter| {
        let count = usize::try_from(count).unwrap_or(0);
        let bytes = text.len().checked_mul(count).filter(|bytes| bytes + 4 <= TEXT_BYTES_MAX);
        let bytes = bytes.ok_or_else(too_large)?;
        meter.afford(bytes)?;
        meter.spend(bytes)?;
        Ok(text.repeat(count))
    };
}

pub(crate) const TEXT_SUBSTR: Kernel = Kernel::scalar(|arguments, _| {
    let text = Text::of(&arguments[0]);
    let (start, len) = (i64::from(Int4::of(&arguments[1])), i64::from(Int4::of(&arguments[2])));
    if len < 0 {
        return Err(Error::new(sqlstate::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let from = offset(text, start - 1);
    let to = offset(text, start - 1 + len);
    Ok(Datum::text(&text[from..to]))
});

pub(crate) const REPLACE_TEXT: Kernel = Kernel::scalar(|arguments, cx| {
    let (text, from) = (Text::of(&arguments[0]), Text::of(&arguments[1]));
    if from.is_empty() || !text.contains(from) {
        return Ok(arguments[0].clone());
    }
    let to = Text::of(&arguments[2]);
    let (mut pace, mut bytes) = (cx.meter.pace(), text.len());
    for _ in text.matches(from) {
        pace.step(MATCH_STEPS)?;
        bytes = bytes - from.len() + to.len();
    }
    // What a text is after all replacements is known before the first is made.
    cx.meter.afford(bytes)?;
    let (mut out, mut end) = (String::with_capacity(bytes), 0);
    for (start, _) in text.match_indices(from) {
        pace.step(MATCH_STEPS + start - end + to.len())?;
        out.push_str(&text[end..start]);
        out.push_str(to);
        end = start + from.len();
    }
    out.push_str(&text[end..]);
    pace.end()?;
    Ok(Datum::text(&out))
});

pub(crate) const SPLIT_PART: Kernel = Kernel::scalar(|arguments, _| {
    let (text, separator) = (Text::of(&arguments[0]), Text::of(&arguments[1]));
    Ok(Datum::text(split_part(text, separator, Int4::of(&arguments[2]))?))
});

pub(crate) const LPAD: Kernel = Kernel::scalar(|arguments, cx| pad(arguments, true, cx));
pub(crate) const RPAD: Kernel = Kernel::scalar(|arguments, cx| pad(arguments, false, cx));

/// `concat`: every value as its text, NULLs left out.
pub(crate) const TEXT_CONCAT: Kernel = Kernel::scalar(|arguments, cx| {
    cx.meter.afford(arguments.iter().map(Datum::heap_bytes).sum())?;
    let mut out = String::new();
    for value in arguments.iter().filter(|value| !value.is_null()) {
        // A boolean is `t` here: concat prints, it does not cast.
        format::write_text(value, &cx.format, &mut out);
    }
    Ok(Datum::text(&out))
});

/// Lower case, character for character, as ctype `C.UTF-8` has it.
pub fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().map(|c| simple(c, c.to_lowercase())).collect()
}

/// Upper case, character for character, as ctype `C.UTF-8` has it.
pub fn upper(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.chars().map(|c| simple(c, c.to_uppercase())).collect()
}

/// The simple mapping of a letter, given its full one: where that is longer there is none, but for
/// a Turkish letter and Greek ones with iota.
fn simple(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        (Some('i'), _) => 'i',
        _ => match c {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
                char::from_u32(u32::from(c) + 8).unwrap_or(c)
            }
            '\u{1fb3}' => '\u{1fbc}',
            '\u{1fc3}' => '\u{1fcc}',
            '\u{1ff3}' => '\u{1ffc}',
            _ => c,
        },
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Where the character after `count` begins, in bytes; the end if there is none.
fn offset(text: &str, count: i64) -> usize {
    let Ok(count) = usize::try_from(count) else { return 0 };
    if text.is_ascii() {
        return count.min(text.len());
    }
    text.char_indices().nth(count).map_or(text.len(), |(at, _)| at)
}

/// Where the first n characters end; negative n leaves out the last -n.
fn left_end(text: &str, n: i32) -> usize {
    let n = i64::from(n);
    offset(text, if n < 0 { length(text) as i64 + n } else { n })
}

/// Where the last n characters begin; negative n leaves out the first -n.
fn right_start(text: &str, n: i32) -> usize {
    match n {
        // The least integer has no opposite, and PostgreSQL leaves nothing out.
        i32::MIN => 0,
        _ if n < 0 => offset(text, -i64::from(n)),
        _ => offset(text, length(text) as i64 - i64::from(n)),
    }
}

fn position(text: &str, part: &str) -> i32 {
    text.find(part).map_or(0, |at| length(&text[..at]) as i32 + 1)
}

fn split_part<'a>(text: &'a str, separator: &str, field: i32) -> Result<&'a str> {
    if field == 0 {
        return Err(Error::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    if separator.is_empty() {
        return Ok(if field.unsigned_abs() == 1 { text } else { "" });
    }
    let nth = field.unsigned_abs() as usize - 1;
    let found = if field > 0 {
        text.split(separator).nth(nth)
    } else {
        // From the end of the list of fields, which is cut from the beginning: `aaa` by `aa`.
        let count = text.split(separator).count();
        count.checked_sub(nth + 1).and_then(|nth| text.split(separator).nth(nth))
    };
    Ok(found.unwrap_or(""))
}

/// The text without the characters of `set` at its ends.
fn trim<'a>(text: &'a str, set: &str, at_start: bool, at_end: bool) -> &'a str {
    let mut sorted: Vec<char> = Vec::new();
    if set.len() > SHORT_SET_BYTES {
        sorted.extend(set.chars());
        sorted.sort_unstable();
        sorted.dedup();
    }
    let is_in_set = |c: char| {
        if sorted.is_empty() { set.contains(c) } else { sorted.binary_search(&c).is_ok() }
    };
    let text = if at_start { text.trim_start_matches(is_in_set) } else { text };
    if at_end { text.trim_end_matches(is_in_set) } else { text }
}

fn pad(arguments: &[Datum], left: bool, cx: &EvalContext) -> Result<Datum> {
    let text = Text::of(&arguments[0]);
    let width = usize::try_from(Int4::of(&arguments[1])).unwrap_or(0);
    let fill = arguments.get(2).map_or(" ", |fill| Text::of(fill));
    let len = length(text);
    if len >= width || fill.is_empty() {
        return Ok(Datum::text(&text[..offset(text, width as i64)]));
    }
    if width * CHARACTER_BYTES_MAX + 4 > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    let (wanted, each) = (width - len, length(fill));
    let (times, rest) = (wanted / each, &fill[..offset(fill, (wanted % each) as i64)]);
    let bytes = text.len() + times * fill.len() + rest.len();
    cx.meter.afford(bytes)?;
    cx.meter.spend(bytes)?;
    let padding = fill.repeat(times);
    let out = if left { [&padding, rest, text] } else { [text, &padding, rest] };
    Ok(Datum::text(&out.concat()))
}

fn too_large() -> Error {
    Error::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_integer_counts_fields_and_characters_too() {
        assert_eq!(split_part("a,b", ",", i32::MIN).unwrap(), "");
        assert_eq!(split_part("a,b", "", i32::MIN).unwrap(), "");
        assert_eq!((left_end("abc", i32::MIN), right_start("abc", i32::MIN)), (0, 0));
    }

    #[test]
    fn case_is_mapped_letter_for_letter() {
        assert_eq!(lower("\u{130}STANBUL \u{1e9e}"), "istanbul \u{df}");
        assert_eq!(
            upper("stra\u{df}e \u{1fb3}\u{1f82} \u{149}"),
            "STRA\u{df}E \u{1fbc}\u{1f8a} \u{149}"
        );
    }
}
