//! LIKE and ILIKE: `%` is any text, `_` any character, a backslash takes the next as it is.
//!
//! A pattern that no text can need beyond its last `%` is matched by going back to that one only:
//! what stands before it has been matched as early as possible, which is never worse.

use phantom_base::{Error, Result, sqlstate};

use super::lanes::{Bool, Kind, Text, binary, map1, map2};
use super::text::lower;
use crate::{Argument, Column, Datum, EvalContext, Kernel, Meter, Selection};

pub(crate) const TEXTLIKE: Kernel = Kernel::vector(
    |arguments, cx| scalar(arguments, false, cx),
    |arguments, selection, cx| like_column(arguments, selection, false, cx),
);
pub(crate) const TEXTNLIKE: Kernel = Kernel::vector(
    |arguments, cx| scalar(arguments, true, cx),
    |arguments, selection, cx| like_column(arguments, selection, true, cx),
);

binary! {
    TEXTICLIKE(Text, Text) -> Bool = |text, pattern, meter| {
        like(&lower(text), &lower(pattern), meter)
    };
    TEXTICNLIKE(Text, Text) -> Bool = |text, pattern, meter| {
        Ok(!like(&lower(text), &lower(pattern), meter)?)
    };
    TEXTICLIKE_ASCII(Text, Text) -> Bool = |text, pattern, meter| {
        like(&text.to_ascii_lowercase(), &pattern.to_ascii_lowercase(), meter)
    };
    TEXTICNLIKE_ASCII(Text, Text) -> Bool = |text, pattern, meter| {
        Ok(!like(&text.to_ascii_lowercase(), &pattern.to_ascii_lowercase(), meter)?)
    };
    LIKE_ESCAPE(Text, Text) -> Text = |pattern, escape| with_backslashes(pattern, escape);
}

fn scalar(arguments: &[Datum], negated: bool, cx: &EvalContext) -> Result<Datum> {
    let (text, pattern) = (Text::of(&arguments[0]), Text::of(&arguments[1]));
    Ok(Datum::Bool(like(text, pattern, &cx.meter)? != negated))
}

/// A constant pattern of a common shape becomes a search of the standard library.
fn like_column(
    arguments: &[Argument<'_>],
    selection: Selection<'_>,
    negated: bool,
    cx: &EvalContext,
) -> Result<Column> {
    let meter = &cx.meter;
    let Some(Argument::Constant(Datum::Text(pattern))) = arguments.get(1) else {
        return map2::<Text, Text, Bool>(arguments, selection, meter, |text, pattern| {
            Ok(like(text, pattern, meter)? != negated)
        });
    };
    let texts = &arguments[..1];
    let shape = Shape::of(pattern);
    map1::<Text, Bool>(texts, selection, meter, |text| Ok(shape.matches(text, meter)? != negated))
}

enum Shape<'a> {
    Equal(&'a str),
    Prefix(&'a str),
    Suffix(&'a str),
    Contains(&'a str),
    Other(&'a str),
}

impl<'a> Shape<'a> {
    fn of(pattern: &'a str) -> Self {
        if pattern.contains(['\\', '_']) {
            return Self::Other(pattern);
        }
        let inner = pattern.trim_start_matches('%').trim_end_matches('%');
        match (inner.contains('%'), pattern.starts_with('%'), pattern.ends_with('%')) {
            (true, ..) => Self::Other(pattern),
            (_, false, false) => Self::Equal(inner),
            (_, false, true) => Self::Prefix(inner),
            (_, true, false) => Self::Suffix(inner),
            (_, true, true) => Self::Contains(inner),
        }
    }

    fn matches(&self, text: &str, meter: &Meter) -> Result<bool> {
        Ok(match self {
            Self::Equal(part) => text == *part,
            Self::Prefix(part) => text.starts_with(part),
            Self::Suffix(part) => text.ends_with(part),
            Self::Contains(part) => text.contains(part),
            Self::Other(pattern) => return like(text, pattern, meter),
        })
    }
}

/// Whether `text` matches `pattern`. 22025 when matching gets to a backslash at the end.
///
/// What goes back is told to the meter: two texts of n and m characters may take n * m steps.
pub fn like(text: &str, pattern: &str, meter: &Meter) -> Result<bool> {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where the last % was: what follows it in the pattern, and how far it reaches in the text.
    let mut star: Option<(usize, usize)> = None;
    let mut pace = meter.pace();
    while t < text.len() {
        let matched = match pattern.get(p) {
            Some(b'%') => {
                // A run of both: so many characters, then any text.
                while let Some(wildcard @ (b'%' | b'_')) = pattern.get(p) {
                    if *wildcard == b'_' {
                        if t == text.len() {
                            return Ok(false);
                        }
                        t = next_char(text, t);
                    }
                    p += 1;
                }
                if p == pattern.len() {
                    return Ok(true);
                }
                if pattern[p] == b'\\' && p + 1 == pattern.len() {
                    return Err(ends_with_escape());
                }
                star = Some((p, t));
                continue;
            }
            Some(b'_') => {
                t = next_char(text, t);
                p += 1;
                continue;
            }
            Some(b'\\') => {
                p += 1;
                let literal = pattern.get(p).ok_or_else(ends_with_escape)?;
                *literal == text[t]
            }
            Some(byte) => *byte == text[t],
            None => false,
        };
        if matched {
            t += 1;
            p += 1;
        } else if let Some((star_pattern, star_text)) = star {
            let reach = next_char(text, star_text);
            pace.step(1 + t - star_text)?;
            star = Some((star_pattern, reach));
            (t, p) = (reach, star_pattern);
        } else {
            return Ok(false);
        }
    }
    pace.end()?;
    Ok(pattern[p..].iter().all(|&byte| byte == b'%'))
}

/// Where the character behind the one at `at` begins.
fn next_char(text: &[u8], at: usize) -> usize {
    let continued = text[at + 1..].iter().take_while(|&&byte| byte & 0xC0 == 0x80).count();
    at + 1 + continued
}

fn ends_with_escape() -> Error {
    Error::new(sqlstate::INVALID_ESCAPE_SEQUENCE, "LIKE pattern must not end with escape character")
}

/// The pattern with another escape character, or none, written with backslashes.
fn with_backslashes(pattern: &str, escape: &str) -> Result<String> {
    let mut characters = escape.chars();
    let escape = characters.next();
    if characters.next().is_some() {
        return Err(Error::new(sqlstate::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    if escape == Some('\\') {
        return Ok(pattern.to_owned());
    }
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut escaped = false;
    for character in pattern.chars() {
        if Some(character) == escape && !escaped {
            out.push('\\');
            escaped = true;
            continue;
        }
        if character == '\\' && !escaped {
            out.push('\\');
        }
        out.push(character);
        escaped = false;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_sql_says() {
        let meter = Meter::default();
        for (text, pattern, expected) in [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "_b_", true),
            ("abc", "__", false),
            ("", "%", true),
            ("", "_", false),
            ("aXbXc", "a%b%c", true),
            ("aab", "%ab", true),
            ("a%b", "a\\%b", true),
            ("axb", "a\\%b", false),
            ("h\u{e9}llo", "h_llo", true),
            ("\u{e9}\u{e9}", "%_\u{e9}", true),
            ("mississippi", "%is%ip%", true),
            ("mississippi", "%is%ix%", false),
        ] {
            assert_eq!(like(text, pattern, &meter).unwrap(), expected, "{text} like {pattern}");
            assert_eq!(
                Shape::of(pattern).matches(text, &meter).unwrap(),
                expected,
                "{text} by shape"
            );
        }
    }

    #[test]
    fn a_match_that_goes_back_far_ends_with_its_meter() {
        let text = "a".repeat(100_000);
        let pattern = format!("%{}b", "a".repeat(20_000));
        let meter = Meter::brief();
        assert!(like(&text, &pattern, &meter).is_err());
        assert!(meter.ran_out());
        let short = &text[..100];
        assert!(!like(short, "%aab%", &Meter::brief()).unwrap());
    }

    #[test]
    fn an_escape_at_the_end_counts_only_where_it_is_reached() {
        let meter = Meter::default();
        assert!(!like("abc", "x\\", &meter).unwrap());
        assert!(!like("abc", "abc\\", &meter).unwrap());
        assert!(!like("a", "%__\\", &meter).unwrap());
        assert!(!like("abc", "%c\\", &meter).unwrap());
        for (text, pattern) in [
            ("abc", "ab\\"),
            ("abc", "%\\"),
            ("abc", "%_\\"),
            ("abc", "_%_\\"),
            ("abc", "%___\\"),
            ("abc", "%b\\"),
        ] {
            let error = like(text, pattern, &meter).unwrap_err();
            assert_eq!(error.sqlstate, sqlstate::INVALID_ESCAPE_SEQUENCE);
        }
    }
}
