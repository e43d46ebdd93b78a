//! The one error that can reach a client, with all of PostgreSQL's fields.
//!
//! Crates below SQL keep enums of their own with a `sqlstate()`; whoever answers a client turns
//! them into an `Error`. Message texts equal PostgreSQL's where it has the error.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// The code as text; a code is ASCII by construction.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("SQLSTATE codes are ASCII")
    }

    /// Reads a code that travelled; `None` unless it is five digits or upper-case letters.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 5] = text.as_bytes().try_into().ok()?;
        code.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()).then_some(Self(code))
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The codes that we answer with, by PostgreSQL's names (its appendix A).
pub mod sqlstate {
    use super::SqlState;

    /// `00000`
    pub const SUCCESSFUL_COMPLETION: SqlState = SqlState(*b"00000");
    /// `01000`
    pub const WARNING: SqlState = SqlState(*b"01000");
    /// `08006`
    pub const CONNECTION_FAILURE: SqlState = SqlState(*b"08006");
    /// `08P01`
    pub const PROTOCOL_VIOLATION: SqlState = SqlState(*b"08P01");
    /// `0A000`
    pub const FEATURE_NOT_SUPPORTED: SqlState = SqlState(*b"0A000");
    /// `21000`
    pub const CARDINALITY_VIOLATION: SqlState = SqlState(*b"21000");
    /// `22000`
    pub const DATA_EXCEPTION: SqlState = SqlState(*b"22000");
    /// `22001`
    pub const STRING_DATA_RIGHT_TRUNCATION: SqlState = SqlState(*b"22001");
    /// `22003`
    pub const NUMERIC_VALUE_OUT_OF_RANGE: SqlState = SqlState(*b"22003");
    /// `22004`
    pub const NULL_VALUE_NOT_ALLOWED: SqlState = SqlState(*b"22004");
    /// `22007`
    pub const INVALID_DATETIME_FORMAT: SqlState = SqlState(*b"22007");
    /// `22008`
    pub const DATETIME_FIELD_OVERFLOW: SqlState = SqlState(*b"22008");
    /// `22009`
    pub const INVALID_TIME_ZONE_DISPLACEMENT_VALUE: SqlState = SqlState(*b"22009");
    /// `22011`
    pub const SUBSTRING_ERROR: SqlState = SqlState(*b"22011");
    /// `22012`
    pub const DIVISION_BY_ZERO: SqlState = SqlState(*b"22012");
    /// `22015`
    pub const INTERVAL_FIELD_OVERFLOW: SqlState = SqlState(*b"22015");
    /// `2201E`
    pub const INVALID_ARGUMENT_FOR_LOGARITHM: SqlState = SqlState(*b"2201E");
    /// `2201F`
    pub const INVALID_ARGUMENT_FOR_POWER_FUNCTION: SqlState = SqlState(*b"2201F");
    /// `2201W`
    pub const INVALID_ROW_COUNT_IN_LIMIT_CLAUSE: SqlState = SqlState(*b"2201W");
    /// `2201X`
    pub const INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE: SqlState = SqlState(*b"2201X");
    /// `22021`
    pub const CHARACTER_NOT_IN_REPERTOIRE: SqlState = SqlState(*b"22021");
    /// `22023`
    pub const INVALID_PARAMETER_VALUE: SqlState = SqlState(*b"22023");
    /// `22025`
    pub const INVALID_ESCAPE_SEQUENCE: SqlState = SqlState(*b"22025");
    /// `22P02`
    pub const INVALID_TEXT_REPRESENTATION: SqlState = SqlState(*b"22P02");
    /// `22P03`
    pub const INVALID_BINARY_REPRESENTATION: SqlState = SqlState(*b"22P03");
    /// `22P05`
    pub const UNTRANSLATABLE_CHARACTER: SqlState = SqlState(*b"22P05");
    /// `23502`
    pub const NOT_NULL_VIOLATION: SqlState = SqlState(*b"23502");
    /// `23503`
    pub const FOREIGN_KEY_VIOLATION: SqlState = SqlState(*b"23503");
    /// `23505`
    pub const UNIQUE_VIOLATION: SqlState = SqlState(*b"23505");
    /// `23514`
    pub const CHECK_VIOLATION: SqlState = SqlState(*b"23514");
    /// `24000`
    pub const INVALID_CURSOR_STATE: SqlState = SqlState(*b"24000");
    /// `25001`
    pub const ACTIVE_SQL_TRANSACTION: SqlState = SqlState(*b"25001");
    /// `25006`
    pub const READ_ONLY_SQL_TRANSACTION: SqlState = SqlState(*b"25006");
    /// `25P01`
    pub const NO_ACTIVE_SQL_TRANSACTION: SqlState = SqlState(*b"25P01");
    /// `25P02`
    pub const IN_FAILED_SQL_TRANSACTION: SqlState = SqlState(*b"25P02");
    /// `26000`
    pub const INVALID_SQL_STATEMENT_NAME: SqlState = SqlState(*b"26000");
    /// `28000`
    pub const INVALID_AUTHORIZATION_SPECIFICATION: SqlState = SqlState(*b"28000");
    /// `34000`
    pub const INVALID_CURSOR_NAME: SqlState = SqlState(*b"34000");
    /// `3D000`
    pub const INVALID_CATALOG_NAME: SqlState = SqlState(*b"3D000");
    /// `3F000`
    pub const INVALID_SCHEMA_NAME: SqlState = SqlState(*b"3F000");
    /// `40001`
    pub const SERIALIZATION_FAILURE: SqlState = SqlState(*b"40001");
    /// `40003`
    pub const STATEMENT_COMPLETION_UNKNOWN: SqlState = SqlState(*b"40003");
    /// `40P01`
    pub const DEADLOCK_DETECTED: SqlState = SqlState(*b"40P01");
    /// `42601`
    pub const SYNTAX_ERROR: SqlState = SqlState(*b"42601");
    /// `42501`
    pub const INSUFFICIENT_PRIVILEGE: SqlState = SqlState(*b"42501");
    /// `42846`
    pub const CANNOT_COERCE: SqlState = SqlState(*b"42846");
    /// `42803`
    pub const GROUPING_ERROR: SqlState = SqlState(*b"42803");
    /// `42P20`
    pub const WINDOWING_ERROR: SqlState = SqlState(*b"42P20");
    /// `42602`
    pub const INVALID_NAME: SqlState = SqlState(*b"42602");
    /// `42622`
    pub const NAME_TOO_LONG: SqlState = SqlState(*b"42622");
    /// `42939`
    pub const RESERVED_NAME: SqlState = SqlState(*b"42939");
    /// `42804`
    pub const DATATYPE_MISMATCH: SqlState = SqlState(*b"42804");
    /// `42P18`
    pub const INDETERMINATE_DATATYPE: SqlState = SqlState(*b"42P18");
    /// `42P21`
    pub const COLLATION_MISMATCH: SqlState = SqlState(*b"42P21");
    /// `42P22`
    pub const INDETERMINATE_COLLATION: SqlState = SqlState(*b"42P22");
    /// `42809`
    pub const WRONG_OBJECT_TYPE: SqlState = SqlState(*b"42809");
    /// `42703`
    pub const UNDEFINED_COLUMN: SqlState = SqlState(*b"42703");
    /// `42883`
    pub const UNDEFINED_FUNCTION: SqlState = SqlState(*b"42883");
    /// `42P01`
    pub const UNDEFINED_TABLE: SqlState = SqlState(*b"42P01");
    /// `42P02`
    pub const UNDEFINED_PARAMETER: SqlState = SqlState(*b"42P02");
    /// `42704`
    pub const UNDEFINED_OBJECT: SqlState = SqlState(*b"42704");
    /// `42701`
    pub const DUPLICATE_COLUMN: SqlState = SqlState(*b"42701");
    /// `42P03`
    pub const DUPLICATE_CURSOR: SqlState = SqlState(*b"42P03");
    /// `42P05`
    pub const DUPLICATE_PREPARED_STATEMENT: SqlState = SqlState(*b"42P05");
    /// `42P07`
    pub const DUPLICATE_TABLE: SqlState = SqlState(*b"42P07");
    /// `42712`
    pub const DUPLICATE_ALIAS: SqlState = SqlState(*b"42712");
    /// `42710`
    pub const DUPLICATE_OBJECT: SqlState = SqlState(*b"42710");
    /// `42702`
    pub const AMBIGUOUS_COLUMN: SqlState = SqlState(*b"42702");
    /// `42P08`
    pub const AMBIGUOUS_PARAMETER: SqlState = SqlState(*b"42P08");
    /// `42725`
    pub const AMBIGUOUS_FUNCTION: SqlState = SqlState(*b"42725");
    /// `42P10`
    pub const INVALID_COLUMN_REFERENCE: SqlState = SqlState(*b"42P10");
    /// `42P16`
    pub const INVALID_TABLE_DEFINITION: SqlState = SqlState(*b"42P16");
    /// `42P17`
    pub const INVALID_OBJECT_DEFINITION: SqlState = SqlState(*b"42P17");
    /// `53000`
    pub const INSUFFICIENT_RESOURCES: SqlState = SqlState(*b"53000");
    /// `53100`
    pub const DISK_FULL: SqlState = SqlState(*b"53100");
    /// `53200`
    pub const OUT_OF_MEMORY: SqlState = SqlState(*b"53200");
    /// `53300`
    pub const TOO_MANY_CONNECTIONS: SqlState = SqlState(*b"53300");
    /// `53400`
    pub const CONFIGURATION_LIMIT_EXCEEDED: SqlState = SqlState(*b"53400");
    /// `54000`
    pub const PROGRAM_LIMIT_EXCEEDED: SqlState = SqlState(*b"54000");
    /// `54001`
    pub const STATEMENT_TOO_COMPLEX: SqlState = SqlState(*b"54001");
    /// `54011`
    pub const TOO_MANY_COLUMNS: SqlState = SqlState(*b"54011");
    /// `54023`
    pub const TOO_MANY_ARGUMENTS: SqlState = SqlState(*b"54023");
    /// `55000`
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: SqlState = SqlState(*b"55000");
    /// `55006`
    pub const OBJECT_IN_USE: SqlState = SqlState(*b"55006");
    /// `55P02`
    pub const CANT_CHANGE_RUNTIME_PARAM: SqlState = SqlState(*b"55P02");
    /// `55P03`
    pub const LOCK_NOT_AVAILABLE: SqlState = SqlState(*b"55P03");
    /// `57014`
    pub const QUERY_CANCELED: SqlState = SqlState(*b"57014");
    /// `57P01`
    pub const ADMIN_SHUTDOWN: SqlState = SqlState(*b"57P01");
    /// `57P02`
    pub const CRASH_SHUTDOWN: SqlState = SqlState(*b"57P02");
    /// `57P03`
    pub const CANNOT_CONNECT_NOW: SqlState = SqlState(*b"57P03");
    /// `57P05`
    pub const IDLE_SESSION_TIMEOUT: SqlState = SqlState(*b"57P05");
    /// `58000`
    pub const SYSTEM_ERROR: SqlState = SqlState(*b"58000");
    /// `58030`
    pub const IO_ERROR: SqlState = SqlState(*b"58030");
    /// `72000`
    pub const SNAPSHOT_TOO_OLD: SqlState = SqlState(*b"72000");
    /// `F0000`
    pub const CONFIG_FILE_ERROR: SqlState = SqlState(*b"F0000");
    /// `XX000`
    pub const INTERNAL_ERROR: SqlState = SqlState(*b"XX000");
    /// `XX001`
    pub const DATA_CORRUPTED: SqlState = SqlState(*b"XX001");
}

/// How loud an error or notice is, as PostgreSQL counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A remark; the statement goes on.
    Notice,
    /// A remark that should be read; the statement goes on.
    Warning,
    /// The statement failed; the session goes on.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    /// The word that travels in fields S and V.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// An answer that is not a result: what failed, in PostgreSQL's fields. Built by `Error::new` and
/// the `with_` methods.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(Box<Fields>);

/// The fields of an `Error`; empty text means that the field is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Fields S and V.
    pub severity: Severity,
    /// Field C.
    pub sqlstate: SqlState,
    /// Field M: what, which object, which value.
    pub message: String,
    /// Field D.
    pub detail: String,
    /// Field H: what to do.
    pub hint: String,
    /// Field P: 1-based, in characters of the statement; 0 is absent.
    pub position: u32,
    /// Field s.
    pub schema: String,
    /// Field t.
    pub table: String,
    /// Field c.
    pub column: String,
    /// Field d.
    pub data_type: String,
    /// Field n.
    pub constraint: String,
    /// Fields F, L and R.
    pub place: Place,
}

/// Where in the sources an error was made. Drivers decide by the routine: one that is told
/// `RevalidateCachedQuery` prepares its statement again. It is no part of what the error is, so
/// errors that differ in nothing else are equal.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Field F; empty where it is not known.
    pub file: Cow<'static, str>,
    /// Field L.
    pub line: u32,
    /// PostgreSQL's routine for what clients look for; empty for the rest.
    pub routine: Cow<'static, str>,
}

impl Place {
    fn of(location: &'static Location<'static>) -> Self {
        Self { file: location.file().into(), line: location.line(), routine: "".into() }
    }

    /// Field R: PostgreSQL's routine, else our module, for a compiled program does not know what
    /// its functions were called.
    pub fn shown_routine(&self) -> String {
        if !self.routine.is_empty() {
            return self.routine.clone().into_owned();
        }
        let path = self.file.strip_prefix("rust_core/").unwrap_or(&self.file);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        path.replace("/src/", "/").replace('/', "::")
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// The result of what can answer with an `Error`.
pub type Result<T> = std::result::Result<T, Error>;

impl std::ops::Deref for Error {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sqlstate, self.message)
    }
}

impl Error {
    /// An ERROR with code and message, made where this is called; the other fields are absent.
    #[track_caller]
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            severity: Severity::Error,
            sqlstate,
            message: message.into(),
            detail: String::new(),
            hint: String::new(),
            position: 0,
            schema: String::new(),
            table: String::new(),
            column: String::new(),
            data_type: String::new(),
            constraint: String::new(),
            place: Place::of(Location::caller()),
        }))
    }

    /// `0A000` for a construct that the grammar has and we do not, with the way round.
    #[track_caller]
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(sqlstate::FEATURE_NOT_SUPPORTED, format!("{} is not supported", what.into()))
    }

    /// `XX000`: a bug of ours, found before it did harm.
    #[track_caller]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(sqlstate::INTERNAL_ERROR, message)
    }

    /// The fields, to be written to the wire or to a peer.
    pub fn fields(&self) -> &Fields {
        &self.0
    }

    /// An error from fields that travelled.
    pub fn from_fields(fields: Fields) -> Self {
        Self(Box::new(fields))
    }

    /// The same with another severity.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.0.severity = severity;
        self
    }

    /// The same with field D.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The same with field H.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// The same with field P: 1-based, in characters; 0 is absent.
    #[must_use]
    pub fn with_position(mut self, position: u32) -> Self {
        self.0.position = position;
        self
    }

    /// The same with fields s and t.
    #[must_use]
    pub fn with_table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.0.schema = schema.into();
        self.0.table = table.into();
        self
    }

    /// The same with field c.
    #[must_use]
    pub fn with_column(mut self, column: impl Into<String>) -> Self {
        self.0.column = column.into();
        self
    }

    /// The same with PostgreSQL's name for what made it: field R.
    #[must_use]
    pub fn with_routine(mut self, routine: &'static str) -> Self {
        self.0.place.routine = Cow::Borrowed(routine);
        self
    }

    /// The same with field n.
    #[must_use]
    pub fn with_constraint(mut self, constraint: impl Into<String>) -> Self {
        self.0.constraint = constraint.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_parsed_strictly() {
        assert_eq!(SqlState::parse("22P02"), Some(sqlstate::INVALID_TEXT_REPRESENTATION));
        for bad in ["", "22P0", "22P022", "22p02", "22P0\u{e9}"] {
            assert_eq!(SqlState::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_error_knows_where_it_was_made() {
        let errors = [Error::unsupported("it"), Error::internal("it")];
        for error in errors.into_iter().chain([Error::new(sqlstate::WARNING, "it")]) {
            assert!(error.place.file.ends_with("base/src/error.rs"), "{error:?}");
            assert!(error.place.line > 300, "{error:?}");
            assert!(error.place.shown_routine().ends_with("base::error"), "{error:?}");
            let named = error.clone().with_routine("RevalidateCachedQuery");
            assert_eq!(named.place.shown_routine(), "RevalidateCachedQuery");
            assert_eq!(named, error, "the same error from elsewhere");
        }
    }

    #[test]
    fn an_error_shows_its_code_and_message() {
        let error = Error::new(sqlstate::DIVISION_BY_ZERO, "division by zero");
        assert_eq!(error.to_string(), "22012: division by zero");
    }
}
