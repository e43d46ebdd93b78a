//! Collations: PostgreSQL's that order texts by their bytes, as keys are ordered everywhere.
//!
//! They differ in which letters have two cases: under `C`, `POSIX` and `ucs_basic` those of ASCII.

use phantom_base::{Error, Result, sqlstate};

/// A collation that this release has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// The database's.
    Default,
    /// `C`
    C,
    /// `POSIX`
    Posix,
    /// `C.utf8`
    CUtf8,
    /// `ucs_basic`
    UcsBasic,
}

impl Collation {
    const ALL: [Self; 5] = [Self::Default, Self::C, Self::Posix, Self::CUtf8, Self::UcsBasic];

    /// Its `collname`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::C => "C",
            Self::Posix => "POSIX",
            Self::CUtf8 => "C.utf8",
            Self::UcsBasic => "ucs_basic",
        }
    }

    /// The one of this name.
    pub fn known(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Whether only letters of ASCII have two cases.
    pub fn is_ascii(self) -> bool {
        matches!(self, Self::C | Self::Posix | Self::UcsBasic)
    }

    /// The collation that a name means, its schema before it or not.
    ///
    /// # Errors
    /// `42704` for a name and `3F000` for a schema that do not exist, `0A000` for a collation that
    /// PostgreSQL has beside ours, `42601` for too long a name.
    pub fn named(words: &[&str], database: &str) -> Result<Self> {
        let (schema, name) = match *words {
            [name] => ("", name),
            [schema, name] => (schema, name),
            [catalog, schema, name] if catalog == database => (schema, name),
            [_, _, _] => {
                let message =
                    format!("cross-database references are not implemented: {}", words.join("."));
                return Err(Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
            _ => {
                let message =
                    format!("improper qualified name (too many dotted names): {}", words.join("."));
                return Err(Error::new(sqlstate::SYNTAX_ERROR, message));
            }
        };
        if !matches!(schema, "" | "pg_catalog" | "public" | "information_schema") {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(Error::new(sqlstate::INVALID_SCHEMA_NAME, message));
        }
        if matches!(schema, "" | "pg_catalog") {
            if let Some(found) = Self::known(name) {
                return Ok(found);
            }
            if is_of_icu(name) {
                return Err(Error::unsupported(format!("collation \"{name}\"")));
            }
        }
        let message =
            format!("collation \"{}\" for encoding \"UTF8\" does not exist", words.join("."));
        Err(Error::new(sqlstate::UNDEFINED_OBJECT, message))
    }
}

/// Whether a name has the form that PostgreSQL gives ICU's: a language, perhaps a script and
/// a region, and `x-icu`. There are some eight hundred.
fn is_of_icu(name: &str) -> bool {
    let Some(tag) = name.strip_suffix("-x-icu") else { return false };
    let mut parts = tag.split('-');
    let is_language = |part: &str| {
        matches!(part.len(), 2 | 3) && part.chars().all(|letter| letter.is_ascii_lowercase())
    };
    parts.next().is_some_and(is_language)
        && parts.all(|part| part.chars().all(|letter| letter.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_a_collation_that_postgresql_has() {
        let named =
            |words: &[&str]| Collation::named(words, "postgres").map_err(|error| error.sqlstate);
        for collation in Collation::ALL {
            assert_eq!(named(&[collation.name()]), Ok(collation));
            assert_eq!(named(&["pg_catalog", collation.name()]), Ok(collation));
        }
        assert_eq!(named(&["postgres", "pg_catalog", "C"]), Ok(Collation::C));
        assert_eq!(named(&["a", "pg_catalog", "C"]), Err(sqlstate::FEATURE_NOT_SUPPORTED));
        assert_eq!(named(&["a", "b", "c", "d"]), Err(sqlstate::SYNTAX_ERROR));
        assert_eq!(named(&["a", "C"]), Err(sqlstate::INVALID_SCHEMA_NAME));
        for absent in ["en-x-icu", "und-x-icu", "zh-Hant-TW-x-icu", "es-419-x-icu"] {
            assert_eq!(named(&[absent]), Err(sqlstate::FEATURE_NOT_SUPPORTED), "{absent}");
        }
        for unknown in [&["public", "C"] as &[&str], &["c"], &["x-icu"], &["EN-x-icu"], &["en_US"]]
        {
            assert_eq!(named(unknown), Err(sqlstate::UNDEFINED_OBJECT), "{unknown:?}");
        }
    }
}
