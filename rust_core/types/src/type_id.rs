//! Types by PostgreSQL's OIDs: names, lengths, categories, and what a modifier means.
//!
//! A modifier (typmod) is the `(10,2)` of `numeric(10,2)`, packed as PostgreSQL packs it, for it
//! travels in `RowDescription`: numeric `(precision << 16 | scale & 0x7ff) + 4`, varchar `n + 4`,
//! timestamptz `p`. -1 is none.

use std::fmt;

use phantom_base::{Error, Result, sqlstate};

/// The modifier of a type without one.
pub const NO_TYPMOD: i32 = -1;

/// What PostgreSQL adds to lengths in modifiers, once the size of a header.
const HEADER: i32 = 4;
const NUMERIC_PRECISION_MAX: i32 = 1000;
const NUMERIC_SCALE_LIMIT: i32 = 1000;
const VARCHAR_LENGTH_MAX: i32 = 10_485_760;
const FRACTION_DIGITS_MAX: i32 = 6;

/// A type, by its OID in `pg_type`. One that is not listed here is no value's type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// `pg_type.typcategory`, as far as our types need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// `B`
    Boolean,
    /// `D`
    DateTime,
    /// `N`
    Numeric,
    /// `P`
    Pseudo,
    /// `S`
    String,
    /// `X`
    Unknown,
}

impl Category {
    /// The letter in `pg_type`.
    pub fn letter(self) -> char {
        match self {
            Self::Boolean => 'B',
            Self::DateTime => 'D',
            Self::Numeric => 'N',
            Self::Pseudo => 'P',
            Self::String => 'S',
            Self::Unknown => 'X',
        }
    }
}

struct Facts {
    name: &'static str,
    sql_name: &'static str,
    length: i16,
    category: Category,
    preferred: bool,
}

impl TypeId {
    /// `boolean`
    pub const BOOL: Self = Self(16);
    /// `name`: what `current_database()` returns.
    pub const NAME: Self = Self(19);
    /// `bigint`
    pub const INT8: Self = Self(20);
    /// `smallint`
    pub const INT2: Self = Self(21);
    /// `integer`
    pub const INT4: Self = Self(23);
    /// `text`
    pub const TEXT: Self = Self(25);
    /// `double precision`
    pub const FLOAT8: Self = Self(701);
    /// A literal whose type nothing has decided yet.
    pub const UNKNOWN: Self = Self(705);
    /// `character varying`
    pub const VARCHAR: Self = Self(1043);
    /// `date`
    pub const DATE: Self = Self(1082);
    /// `timestamp with time zone`
    pub const TIMESTAMPTZ: Self = Self(1184);
    /// `numeric`
    pub const NUMERIC: Self = Self(1700);
    /// `"any"`: an argument of any type (`concat`). No value has it.
    pub const ANY: Self = Self(2276);

    /// All types that values have.
    pub const ALL: [Self; 12] = [
        Self::BOOL,
        Self::NAME,
        Self::INT8,
        Self::INT2,
        Self::INT4,
        Self::TEXT,
        Self::FLOAT8,
        Self::UNKNOWN,
        Self::VARCHAR,
        Self::DATE,
        Self::TIMESTAMPTZ,
        Self::NUMERIC,
    ];

    const fn facts(self) -> Option<Facts> {
        use Category::{Boolean, DateTime, Numeric, Pseudo, String, Unknown};
        let (name, sql_name, length, category, preferred) = match self {
            Self::BOOL => ("bool", "boolean", 1, Boolean, true),
            Self::NAME => ("name", "name", 64, String, false),
            Self::INT8 => ("int8", "bigint", 8, Numeric, false),
            Self::INT2 => ("int2", "smallint", 2, Numeric, false),
            Self::INT4 => ("int4", "integer", 4, Numeric, false),
            Self::TEXT => ("text", "text", -1, String, true),
            Self::FLOAT8 => ("float8", "double precision", 8, Numeric, true),
            Self::UNKNOWN => ("unknown", "unknown", -2, Unknown, false),
            Self::VARCHAR => ("varchar", "character varying", -1, String, false),
            Self::DATE => ("date", "date", 4, DateTime, false),
            Self::TIMESTAMPTZ => ("timestamptz", "timestamp with time zone", 8, DateTime, true),
            Self::NUMERIC => ("numeric", "numeric", -1, Numeric, false),
            Self::ANY => ("any", "\"any\"", 4, Pseudo, false),
            _ => return None,
        };
        Some(Facts { name, sql_name, length, category, preferred })
    }

    fn known(self) -> Facts {
        self.facts().unwrap_or_else(|| panic!("type {} is not one of ours", self.0))
    }

    /// Whether it stands for other types, so that no value has it.
    pub fn is_pseudo(self) -> bool {
        self.category() == Category::Pseudo
    }

    /// The type with this OID, if it is one of ours.
    pub fn from_oid(oid: u32) -> Option<Self> {
        Self(oid).facts().map(|_| Self(oid))
    }

    /// The type with this `typname` (`int4`, not `integer`; the parser has mapped the latter).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::ANY]).find(|ty| ty.known().name == name)
    }

    /// The type with this `typname` or SQL name in any case, as `to_regtype` reads it, without a
    /// modifier.
    pub fn from_sql_name(name: &str) -> Option<Self> {
        let words: Vec<String> = name.split_whitespace().map(str::to_ascii_lowercase).collect();
        let joined = words.join(" ");
        match joined.as_str() {
            "int" => Some(Self::INT4),
            "float" => Some(Self::FLOAT8),
            "decimal" | "dec" => Some(Self::NUMERIC),
            _ => Self::from_name(&joined)
                .or_else(|| Self::ALL.into_iter().find(|ty| ty.known().sql_name == joined)),
        }
    }

    /// `pg_type.typname`.
    pub fn name(self) -> &'static str {
        self.known().name
    }

    /// The name in messages: `format_type(oid, NULL)`.
    pub fn sql_name(self) -> &'static str {
        self.known().sql_name
    }

    /// `pg_type.typlen`: bytes, or -1 where it varies (-2 for `unknown`).
    pub fn length(self) -> i16 {
        self.known().length
    }

    /// `pg_type.typcategory`.
    pub fn category(self) -> Category {
        self.known().category
    }

    /// Whether the type is the preferred one of its category.
    pub fn is_preferred(self) -> bool {
        self.known().preferred
    }

    /// Whether values of the type are text.
    pub fn is_text(self) -> bool {
        matches!(self, Self::TEXT | Self::VARCHAR | Self::NAME | Self::UNKNOWN)
    }

    /// Whether values of the type are whole numbers of 2, 4 or 8 bytes.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::INT2 | Self::INT4 | Self::INT8)
    }

    /// The name with its modifier: `format_type(oid, typmod)`.
    pub fn format(self, typmod: i32) -> String {
        if typmod < 0 {
            return self.sql_name().to_owned();
        }
        match self {
            Self::NUMERIC => match numeric_typmod(typmod) {
                Some((precision, scale)) => format!("numeric({precision},{scale})"),
                None => "numeric".to_owned(),
            },
            Self::VARCHAR if typmod > HEADER => format!("character varying({})", typmod - HEADER),
            Self::TIMESTAMPTZ => format!("timestamp({typmod}) with time zone"),
            _ => self.sql_name().to_owned(),
        }
    }

    /// Packs the modifiers that were written behind a type's name. 22023 when one is out of range,
    /// 42601 when the type takes none.
    pub fn pack_typmod(self, modifiers: &[i32]) -> Result<i32> {
        if modifiers.is_empty() {
            return Ok(NO_TYPMOD);
        }
        match (self, modifiers) {
            (Self::NUMERIC, &[precision]) => pack_numeric(precision, 0),
            (Self::NUMERIC, &[precision, scale]) => pack_numeric(precision, scale),
            (Self::NUMERIC, _) => Err(invalid("invalid NUMERIC type modifier")),
            (Self::VARCHAR, &[length]) => pack_varchar(length),
            (Self::TIMESTAMPTZ, &[digits]) if digits < 0 => Err(invalid(format!(
                "TIMESTAMP({digits}) WITH TIME ZONE precision must not be negative"
            ))),
            // PostgreSQL warns and goes on with 6; a warning has no way out of here.
            (Self::TIMESTAMPTZ, &[digits]) => Ok(digits.min(FRACTION_DIGITS_MAX)),
            (Self::VARCHAR | Self::TIMESTAMPTZ, _) => Err(invalid("invalid type modifier")),
            _ => Err(Error::new(
                sqlstate::SYNTAX_ERROR,
                format!("type modifier is not allowed for type \"{}\"", self.name()),
            )),
        }
    }
}

impl fmt::Debug for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.facts() {
            Some(facts) => f.write_str(facts.name),
            None => write!(f, "type {}", self.0),
        }
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

fn pack_numeric(precision: i32, scale: i32) -> Result<i32> {
    if !(1..=NUMERIC_PRECISION_MAX).contains(&precision) {
        return Err(invalid(format!(
            "NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}"
        )));
    }
    if !(-NUMERIC_SCALE_LIMIT..=NUMERIC_SCALE_LIMIT).contains(&scale) {
        return Err(invalid(format!(
            "NUMERIC scale {scale} must be between -{NUMERIC_SCALE_LIMIT} and \
             {NUMERIC_SCALE_LIMIT}"
        )));
    }
    Ok((precision << 16 | scale & 0x7ff) + HEADER)
}

fn pack_varchar(length: i32) -> Result<i32> {
    if length < 1 {
        return Err(invalid("length for type varchar must be at least 1"));
    }
    if length > VARCHAR_LENGTH_MAX {
        return Err(invalid(format!("length for type varchar cannot exceed {VARCHAR_LENGTH_MAX}")));
    }
    Ok(length + HEADER)
}

/// Precision and scale of a numeric's modifier; `None` when it says nothing.
pub(crate) fn numeric_typmod(typmod: i32) -> Option<(i32, i32)> {
    if typmod < HEADER {
        return None;
    }
    let packed = typmod - HEADER;
    // The scale is 11 bits with a sign.
    Some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}

/// The length in characters of a varchar's modifier; `None` when it says nothing.
pub(crate) fn varchar_typmod(typmod: i32) -> Option<usize> {
    usize::try_from(typmod.checked_sub(HEADER)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_printed_as_they_were_written() {
        for (ty, modifiers, printed) in [
            (TypeId::NUMERIC, &[10, 2][..], "numeric(10,2)"),
            (TypeId::NUMERIC, &[5, -3], "numeric(5,-3)"),
            (TypeId::NUMERIC, &[7], "numeric(7,0)"),
            (TypeId::NUMERIC, &[], "numeric"),
            (TypeId::VARCHAR, &[20], "character varying(20)"),
            (TypeId::TIMESTAMPTZ, &[3], "timestamp(3) with time zone"),
            (TypeId::INT4, &[], "integer"),
        ] {
            let typmod = ty.pack_typmod(modifiers).unwrap();
            assert_eq!(ty.format(typmod), printed);
        }
    }

    #[test]
    fn modifiers_out_of_range_are_refused() {
        let message = |ty: TypeId, modifiers| ty.pack_typmod(modifiers).unwrap_err().to_string();
        assert_eq!(
            message(TypeId::NUMERIC, &[0]),
            "22023: NUMERIC precision 0 must be between 1 and 1000"
        );
        assert_eq!(
            message(TypeId::INT4, &[3]),
            "42601: type modifier is not allowed for type \"int4\""
        );
        assert_eq!(
            message(TypeId::VARCHAR, &[0]),
            "22023: length for type varchar must be at least 1"
        );
    }

    #[test]
    fn names_are_found_in_both_spellings() {
        for ty in TypeId::ALL {
            assert_eq!(TypeId::from_name(ty.name()), Some(ty));
            assert_eq!(TypeId::from_sql_name(ty.sql_name()), Some(ty));
            assert_eq!(TypeId::from_oid(ty.0), Some(ty));
        }
        assert_eq!(TypeId::from_sql_name("Character  VARYING"), Some(TypeId::VARCHAR));
        assert_eq!(TypeId::from_oid(600), None);
    }
}
