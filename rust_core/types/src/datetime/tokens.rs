//! A date or instant cut into fields: numbers, words, dates, times, offsets.
//!
//! The rules by which PostgreSQL cuts: a digit begins a number, a time where a colon follows, a
//! date where a separator follows; a letter begins a word, or a date or zone name where a
//! separator follows; a sign begins an offset. Other punctuation is a blank.

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Word,
    Date,
    Time,
    Offset,
    /// A signed word: `-infinity`.
    Signed,
}

/// More fields than any date has.
const FIELDS_MAX: usize = 25;
/// Letters of a word by which keywords are told.
const KEYWORD_LETTERS: usize = 10;

/// The fields in order, in lower case; `None` where a character fits nowhere.
pub(super) fn cut(text: &str) -> Option<Vec<(Shape, String)>> {
    let mut cutter = Cutter { rest: text.as_bytes(), field: String::new() };
    let mut fields = Vec::new();
    while cutter.skip_blanks() {
        let shape = cutter.next_shape()?;
        if fields.len() == FIELDS_MAX {
            return None;
        }
        fields.push((shape, std::mem::take(&mut cutter.field)));
    }
    Some(fields)
}

struct Cutter<'a> {
    rest: &'a [u8],
    field: String,
}

impl Cutter<'_> {
    fn peek(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    fn take(&mut self) {
        self.field.push(char::from(self.peek().to_ascii_lowercase()));
        self.rest = &self.rest[1..];
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while !self.rest.is_empty() && wanted(self.peek()) {
            self.take();
        }
    }

    /// Passes what separates fields; whether there is another field.
    fn skip_blanks(&mut self) -> bool {
        let blank = |byte: &u8| {
            is_blank(*byte) || byte.is_ascii_punctuation() && !matches!(byte, b'.' | b'+' | b'-')
        };
        let count = self.rest.iter().take_while(|byte| blank(byte)).count();
        self.rest = &self.rest[count..];
        !self.rest.is_empty()
    }

    /// The shape of the next field, which is left in `field`.
    fn next_shape(&mut self) -> Option<Shape> {
        match self.peek() {
            b'0'..=b'9' => Some(self.digits()),
            b'.' => {
                self.take();
                self.take_while(|b| b.is_ascii_digit());
                Some(Shape::Number)
            }
            b'a'..=b'z' | b'A'..=b'Z' => Some(self.letters()),
            b'+' | b'-' => self.sign(),
            _ => None,
        }
    }

    fn digits(&mut self) -> Shape {
        self.take_while(|b| b.is_ascii_digit());
        match self.peek() {
            b':' => {
                self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                Shape::Time
            }
            separator @ (b'-' | b'/' | b'.') => {
                self.take();
                if !self.peek().is_ascii_digit() {
                    self.take_while(|b| b.is_ascii_alphanumeric() || b == separator);
                    return Shape::Date;
                }
                self.take_while(|b| b.is_ascii_digit());
                if self.peek() == separator {
                    self.take_while(|b| b.is_ascii_digit() || b == separator);
                    return Shape::Date;
                }
                if separator == b'.' { Shape::Number } else { Shape::Date }
            }
            _ => Shape::Number,
        }
    }

    fn letters(&mut self) -> Shape {
        self.take_while(|b| b.is_ascii_alphabetic());
        let goes_on = match self.peek() {
            b'-' | b'/' | b'.' => true,
            b'+' | b'0'..=b'9' => keyword(&self.field).is_none(),
            _ => false,
        };
        if !goes_on {
            return Shape::Word;
        }
        self.take_while(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        Shape::Date
    }

    fn sign(&mut self) -> Option<Shape> {
        self.take();
        while is_blank(self.peek()) {
            self.rest = &self.rest[1..];
        }
        match self.peek() {
            b'0'..=b'9' => {
                self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'));
                Some(Shape::Offset)
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                self.take_while(|b| b.is_ascii_alphabetic());
                Some(Shape::Signed)
            }
            _ => None,
        }
    }
}

fn is_blank(byte: u8) -> bool {
    crate::format::is_space(char::from(byte))
}

/// What a word means in a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Infinity,
    NegativeInfinity,
    Now,
    Today,
    Tomorrow,
    Yesterday,
    Epoch,
    /// Midnight UTC.
    AllBalls,
    Month(i32),
    DayOfWeek,
    Ad,
    Bc,
    Am,
    Pm,
    /// One hour more than the zone before it.
    Dst,
    /// `T`: a time follows.
    IsoTime,
    /// A Julian day follows.
    Julian,
    /// A word that may stand anywhere.
    Ignored,
    /// A unit, which has no place in a date.
    Unit,
}

/// The keyword that a lower-case word is; only ten letters count.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    use Keyword::{
        Ad, AllBalls, Am, Bc, DayOfWeek, Dst, Epoch, Ignored, Infinity, IsoTime, Julian, Month,
        NegativeInfinity, Now, Pm, Today, Tomorrow, Unit, Yesterday,
    };
    Some(match word.get(..KEYWORD_LETTERS).unwrap_or(word) {
        "infinity" => Infinity,
        "-infinity" => NegativeInfinity,
        "now" => Now,
        "today" => Today,
        "tomorrow" => Tomorrow,
        "yesterday" => Yesterday,
        "epoch" => Epoch,
        "allballs" => AllBalls,
        "jan" | "january" => Month(1),
        "feb" | "february" => Month(2),
        "mar" | "march" => Month(3),
        "apr" | "april" => Month(4),
        "may" => Month(5),
        "jun" | "june" => Month(6),
        "jul" | "july" => Month(7),
        "aug" | "august" => Month(8),
        "sep" | "sept" | "september" => Month(9),
        "oct" | "october" => Month(10),
        "nov" | "november" => Month(11),
        "dec" | "december" => Month(12),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds"
        | "wednesday" | "thu" | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat"
        | "saturday" => DayOfWeek,
        "ad" => Ad,
        "bc" => Bc,
        "am" => Am,
        "pm" => Pm,
        "dst" => Dst,
        "t" => IsoTime,
        "j" | "jd" | "julian" => Julian,
        "at" | "on" => Ignored,
        "d" | "h" | "m" | "mm" | "s" | "y" | "dow" | "doy" | "isodow" | "isoyear" => Unit,
        _ => return None,
    })
}
