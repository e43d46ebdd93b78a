//! The settings of a session: names, types, ranges, defaults, and what each does here.
//!
//! A setting is *in effect* or *recorded*. Recorded ones are kept and shown because clients set
//! them, and are only such as cannot change an answer: planner switches, memory hints, timeouts of
//! things that do not exist yet. A value that would have to change an answer and cannot is refused.

use phantom_base::{Error, Map, Result, Severity, sqlstate};
use phantom_types::{SessionFormat, TimeZone};

mod known;
mod path;
mod value;

pub(crate) use known::is_foreign;
use known::{Kind, SETTINGS, find};
pub(crate) use path::quoted;
use value::{date_style, printed};

/// The version of PostgreSQL whose behaviour this server has.
pub const POSTGRES_VERSION: &str = "15.14";
/// PhantomDB's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `SHOW server_version` says.
pub fn server_version() -> String {
    format!("{POSTGRES_VERSION} (PhantomDB {VERSION})")
}

/// What `version()` says.
pub fn version_text() -> String {
    format!("PostgreSQL {} on {}-linux, 64-bit", server_version(), std::env::consts::ARCH)
}

/// The values of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Values that differ from the built-in defaults, by lower-case name.
    values: Map<String, String>,
    /// What RESET goes back to: the values of the startup packet.
    startup: Map<String, String>,
    /// Those that say how values look, ready for use.
    format: SessionFormat,
    path: SearchPath,
    transaction: Modes,
    /// The values that there are again when the transaction ends, if SET LOCAL changed some.
    lasting: Option<Map<String, String>>,
}

/// Where names without a schema are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchPath {
    /// Whether tables of `public` are found.
    pub sees_public: bool,
    /// The first schema that exists: there tables are made.
    pub first: Option<&'static str>,
}

/// The `transaction_` settings: those of one transaction, which begins with the defaults.
#[derive(Clone, Debug, Default)]
struct Modes {
    /// What is set; the rest is as the built-in defaults.
    isolation: Option<String>,
    is_read_only: bool,
    is_deferrable: bool,
    /// Whether a query has been run, after which not all can change.
    has_queried: bool,
}

impl Settings {
    /// The settings of a new session of a role.
    pub fn new(role: &str) -> Self {
        let mut values = Map::new();
        values.insert("server_version".into(), server_version());
        values.insert("session_authorization".into(), role.to_owned());
        Self {
            startup: values.clone(),
            values,
            format: SessionFormat::default(),
            path: SearchPath { sees_public: true, first: Some("public") },
            transaction: Modes::default(),
            lasting: None,
        }
    }

    /// The value of a setting, as SHOW prints it.
    ///
    /// # Errors
    /// `42704` for an unknown name.
    pub fn show(&self, name: &str) -> Result<String> {
        let lower = name.to_ascii_lowercase();
        if let Some(value) = self.transaction.show(&lower) {
            return Ok(value);
        }
        if let Some(value) = self.values.get(&lower) {
            return Ok(find(&lower).map_or_else(|| value.clone(), |known| printed(known, value)));
        }
        let known = find(&lower).ok_or_else(|| unknown(name))?;
        Ok(printed(known, known.default))
    }

    /// All settings with their values, in the order of their names.
    pub fn show_all(&self) -> Vec<(&'static str, String)> {
        SETTINGS
            .iter()
            .filter(|known| !known.hidden)
            .map(|known| (known.name, self.show(known.name).expect("a name of the list")))
            .collect()
    }

    /// Sets one; `None` is its default.
    ///
    /// # Errors
    /// `42704` unknown name, `22023` bad value, `55P02` fixed, `0A000` a value that would have to
    /// change answers in a way that this release does not.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        let Some(known) = find(&lower) else {
            // PostgreSQL keeps any name with a dot for extensions; ours are not such.
            if !lower.contains('.') || lower.starts_with("phantom.") || lower.starts_with("citus.")
            {
                return Err(unknown(name));
            }
            check_custom_name(name)?;
            let start = || self.startup.get(&lower).cloned().unwrap_or_default();
            self.keep(lower.clone(), value.map_or_else(start, str::to_owned));
            return Ok(());
        };
        if matches!(known.kind, Kind::Role) {
            return self.set_role(known, value);
        }
        if matches!(known.kind, Kind::Fixed) {
            let message = format!("parameter \"{}\" cannot be changed", known.name);
            return Err(Error::new(sqlstate::CANT_CHANGE_RUNTIME_PARAM, message));
        }
        let value = match value {
            Some(value) => {
                let value = value::read(known, value, &self.format)?;
                self.transaction.check_time_of(&lower, &value)?;
                value
            }
            None => self.startup.get(&lower).cloned().unwrap_or_else(|| known.default.to_owned()),
        };
        if self.transaction.set(&lower, &value) {
            return Ok(()); // It ends with the transaction.
        }
        self.keep(lower, value);
        self.read_again();
        Ok(())
    }

    /// SET ROLE and SET SESSION AUTHORIZATION: to the role that the session has, or back to it.
    fn set_role(&mut self, known: &known::Setting, value: Option<&str>) -> Result<()> {
        let own = self.values.get("session_authorization");
        match value {
            Some(name) if own.is_some_and(|own| own == name) => {
                self.keep(known.name.to_owned(), name.to_owned());
            }
            Some(name) if (known.name, name) != ("role", "none") => {
                let message = format!("role \"{name}\" does not exist");
                return Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message));
            }
            _ if known.name == "role" => {
                self.values.remove(known.name);
                if let Some(lasting) = &mut self.lasting {
                    lasting.remove(known.name);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, lower: String, value: String) {
        if let Some(lasting) = &mut self.lasting {
            lasting.insert(lower.clone(), value.clone());
        }
        self.values.insert(lower, value);
    }

    /// Sets one until the transaction ends.
    ///
    /// # Errors
    /// As `set`.
    pub fn set_local(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let lasting = self.lasting.take().unwrap_or_else(|| self.values.clone());
        let result = self.set(name, value);
        self.lasting = Some(lasting);
        result
    }

    /// A transaction ends, and what was set for it alone.
    pub fn end_transaction(&mut self) {
        let Some(mut lasting) = self.lasting.take() else { return };
        // A name with a dot stays known once it was set.
        for name in self.values.keys().filter(|name| name.contains('.')) {
            lasting.entry(name.clone()).or_default();
        }
        self.values = lasting;
        self.read_again();
    }

    /// A query of the transaction begins.
    pub fn begin_query(&mut self) {
        self.transaction.has_queried = true;
    }

    /// A transaction begins: its modes are the defaults of this moment.
    pub fn begin_transaction(&mut self) {
        let is_on = |name| self.values.get(name).is_some_and(|value| value == "on");
        self.transaction = Modes {
            isolation: self.values.get("default_transaction_isolation").cloned(),
            is_read_only: is_on("default_transaction_read_only"),
            is_deferrable: is_on("default_transaction_deferrable"),
            has_queried: false,
        };
    }

    /// Where names without a schema are looked for.
    pub fn search_path(&self) -> SearchPath {
        self.path
    }

    /// The value of `search_path`: what a statement's names rest on.
    pub fn search_path_text(&self) -> &str {
        self.values.get("search_path").map_or("", String::as_str)
    }

    /// `idle_session_timeout` in milliseconds; 0 is none.
    pub fn idle_session_timeout_ms(&self) -> u64 {
        self.milliseconds("idle_session_timeout")
    }

    fn milliseconds(&self, name: &str) -> u64 {
        self.values.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    fn read_again(&mut self) {
        self.format = self.read_format();
        let default = find("search_path").map_or("", |known| known.default);
        let path = self.values.get("search_path").map_or(default, String::as_str);
        self.path = SearchPath::of(path);
    }

    /// Sets one from the startup packet: what RESET goes back to.
    pub fn set_at_startup(&mut self, name: &str, value: &str) -> Result<()> {
        self.set(name, Some(value))?;
        let lower = name.to_ascii_lowercase();
        let value = self.values.get(&lower).cloned().unwrap_or_default();
        self.startup.insert(lower, value);
        Ok(())
    }

    /// Sets all back to what they were at startup.
    pub fn reset_all(&mut self) {
        self.lasting = None;
        let given = std::mem::replace(&mut self.values, self.startup.clone());
        for (name, value) in given {
            if name == "role" {
                self.values.insert(name, value); // RESET ROLE alone takes it back.
            } else if name.contains('.') {
                self.values.entry(name).or_default(); // It stays known once it was set.
            }
        }
        self.read_again();
    }

    /// Those that are told with ParameterStatus, with their values.
    pub fn reported(&self) -> Vec<(&'static str, String)> {
        SETTINGS
            .iter()
            .filter(|known| known.reported)
            .map(|known| (known.name, self.show(known.name).expect("a name of the list")))
            .collect()
    }

    /// How values look in this session.
    pub fn format(&self) -> &SessionFormat {
        &self.format
    }

    /// `statement_timeout` in milliseconds; 0 is none.
    pub fn statement_timeout_ms(&self) -> u64 {
        self.milliseconds("statement_timeout")
    }

    /// Whether the client is to be told of something (`client_min_messages`). Errors it always is.
    pub fn wants(&self, severity: Severity) -> bool {
        let least = self.values.get("client_min_messages").map_or("notice", String::as_str);
        match severity {
            Severity::Notice => !matches!(least, "warning" | "error"),
            Severity::Warning => least != "error",
            Severity::Error | Severity::Fatal => true,
        }
    }

    /// Whether writes are refused (25006).
    pub fn is_read_only(&self) -> bool {
        self.transaction.is_read_only
    }

    /// What a plan depends on, as text: part of the key of a plan cache.
    pub fn plan_key(&self) -> String {
        let parts = ["datestyle", "timezone", "extra_float_digits", "search_path"];
        let values = parts.map(|name| self.values.get(name).map_or("", String::as_str));
        values.join("|")
    }

    fn read_format(&self) -> SessionFormat {
        let mut format = SessionFormat::default();
        if let Some(value) = self.values.get("datestyle")
            && let Ok((output, order)) = date_style(value, &format)
        {
            (format.date_output, format.date_order) = (output, order);
        }
        if let Some(zone) =
            self.values.get("timezone").and_then(|name| TimeZone::from_setting(name))
        {
            format.time_zone = zone;
        }
        if let Some(digits) = self.values.get("extra_float_digits").and_then(|v| v.parse().ok()) {
            format.extra_float_digits = digits;
        }
        format
    }
}

/// The name of a setting as PostgreSQL writes it; an unknown one stays.
pub fn shown_name(name: &str) -> &str {
    find(&name.to_ascii_lowercase()).map_or(name, |known| known.name)
}

/// Whether a setting's value is a list, by its name in lower case.
pub fn is_list(lower: &str) -> bool {
    const LISTS: &[&str] = &[
        "datestyle",
        "listen_addresses",
        "local_preload_libraries",
        "log_destination",
        "restrict_nonsystem_relation_kind",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "synchronous_standby_names",
        "temp_tablespaces",
        "unix_socket_directories",
        "wal_consistency_checking",
    ];
    LISTS.contains(&lower)
}

impl Modes {
    fn show(&self, lower: &str) -> Option<String> {
        let on_or_off = |is_on| Some(if is_on { "on" } else { "off" }.to_owned());
        match lower {
            "transaction_isolation" => self.isolation.clone(),
            "transaction_read_only" => on_or_off(self.is_read_only),
            "transaction_deferrable" => on_or_off(self.is_deferrable),
            _ => None,
        }
    }

    /// # Errors
    /// `25001` for a value that a transaction takes only before its first query.
    fn check_time_of(&self, lower: &str, value: &str) -> Result<()> {
        let isolation = self.isolation.as_deref().unwrap_or("read committed");
        let message = match lower {
            _ if !self.has_queried => return Ok(()),
            "transaction_isolation" if value != isolation => {
                "SET TRANSACTION ISOLATION LEVEL must be called before any query"
            }
            "transaction_read_only" if value == "off" && self.is_read_only => {
                "transaction read-write mode must be set before any query"
            }
            "transaction_deferrable" => {
                "SET TRANSACTION [NOT] DEFERRABLE must be called before any query"
            }
            _ => return Ok(()),
        };
        Err(Error::new(sqlstate::ACTIVE_SQL_TRANSACTION, message))
    }

    /// Takes a value that was read; whether the setting is one of these.
    fn set(&mut self, lower: &str, value: &str) -> bool {
        match lower {
            "transaction_isolation" => self.isolation = Some(value.to_owned()),
            "transaction_read_only" => self.is_read_only = value == "on",
            "transaction_deferrable" => self.is_deferrable = value == "on",
            _ => return false,
        }
        true
    }
}

/// Names with a dot are identifiers on both sides of it (PostgreSQL's `valid_custom_variable_name`).
fn check_custom_name(name: &str) -> Result<()> {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii())
    };
    if name.split('.').all(is_identifier) {
        return Ok(());
    }
    let message = format!("invalid configuration parameter name \"{name}\"");
    Err(Error::new(sqlstate::INVALID_NAME, message).with_detail(
        "Custom parameter names must be two or more simple identifiers separated by dots.",
    ))
}

fn unknown(name: &str) -> Error {
    if is_foreign(&name.to_ascii_lowercase()) {
        return Error::unsupported(format!("parameter \"{name}\""));
    }
    let message = format!("unrecognized configuration parameter \"{name}\"");
    Error::new(sqlstate::UNDEFINED_OBJECT, message)
}

#[cfg(test)]
mod tests {
    use phantom_types::DateOutput;

    use super::*;

    #[test]
    fn thirteen_settings_are_reported() {
        let settings = Settings::new("postgres");
        assert_eq!(settings.reported().len(), 13);
        assert_eq!(settings.show("session_authorization"), Ok("postgres".into()));
    }

    #[test]
    fn units_are_read_and_printed() {
        let mut settings = Settings::new("postgres");
        settings.set("statement_timeout", Some("90s")).expect("valid");
        assert_eq!(settings.statement_timeout_ms(), 90_000);
        assert_eq!(settings.show("STATEMENT_TIMEOUT"), Ok("90s".into()));
        settings.set("work_mem", Some("8MB")).expect("valid");
        assert_eq!(settings.show("work_mem"), Ok("8MB".into()));
        assert!(settings.set("work_mem", Some("1")).is_err(), "below the range");
        settings.set("statement_timeout", None).expect("valid");
        assert_eq!(settings.statement_timeout_ms(), 0);
    }

    #[test]
    fn numbers_are_read_as_postgresql_reads_them() {
        let mut settings = Settings::new("postgres");
        for (value, wanted) in [
            ("600us", 1),
            ("0.4", 0),
            ("1.5", 2),
            (" 1.7 min ", 102_000),
            ("0x10", 16),
            ("010", 8),
            ("1e3", 1_000),
            (".5s", 500),
            ("1e1 s", 10_000),
            ("2147483647", 2_147_483_647),
        ] {
            settings.set("statement_timeout", Some(value)).expect(value);
            assert_eq!(settings.statement_timeout_ms(), wanted, "{value}");
        }
        for bad in ["", "s", "1 fortnight", "--1", "-1", "2147483648", "99999999999999999999", "e3"]
        {
            let error = settings.set("statement_timeout", Some(bad)).expect_err(bad);
            assert_eq!(error.sqlstate, sqlstate::INVALID_PARAMETER_VALUE, "{bad}");
        }
    }

    #[test]
    fn modes_of_a_transaction_begin_with_the_defaults_and_end_with_it() {
        let mut settings = Settings::new("postgres");
        let shown = |settings: &Settings| settings.show("transaction_read_only");
        settings.set("default_transaction_read_only", Some("on")).expect("valid");
        assert_eq!(shown(&settings), Ok("off".into()), "the transaction has begun before");
        settings.begin_transaction();
        assert_eq!((shown(&settings), settings.is_read_only()), (Ok("on".into()), true));
        settings.set("transaction_read_only", Some("off")).expect("valid");
        assert!(!settings.is_read_only());
        settings.begin_transaction();
        assert!(settings.is_read_only());
    }

    #[test]
    fn what_is_set_for_a_transaction_ends_with_it() {
        let mut settings = Settings::new("postgres");
        let shown = |settings: &Settings| settings.show("work_mem").expect("known");
        settings.set_local("work_mem", Some("8MB")).expect("valid");
        settings.set_local("app.user", Some("7")).expect("valid");
        assert_eq!(shown(&settings), "8MB");
        settings.end_transaction();
        assert_eq!(
            (shown(&settings), settings.show("app.user")),
            ("4MB".into(), Ok(String::new()))
        );
        settings.set_local("work_mem", Some("8MB")).expect("valid");
        settings.set("work_mem", Some("9MB")).expect("valid");
        settings.set_local("work_mem", Some("10MB")).expect("valid");
        assert_eq!(shown(&settings), "10MB");
        settings.end_transaction();
        assert_eq!(shown(&settings), "9MB");
        settings.set_local("DateStyle", Some("German")).expect("valid");
        assert_eq!(settings.format().date_output, DateOutput::German);
        settings.end_transaction();
        assert_eq!(settings.format().date_output, DateOutput::Iso);
    }

    #[test]
    fn some_modes_are_set_before_the_first_query() {
        let mut settings = Settings::new("postgres");
        settings.begin_transaction();
        settings.set("transaction_read_only", Some("on")).expect("before");
        settings.begin_query();
        for (name, value) in [
            ("transaction_read_only", "off"),
            ("transaction_isolation", "read uncommitted"),
            ("transaction_deferrable", "off"),
        ] {
            let error = settings.set(name, Some(value)).expect_err("late");
            assert_eq!(error.sqlstate, sqlstate::ACTIVE_SQL_TRANSACTION, "{name}");
        }
        settings.set("transaction_read_only", Some("on")).expect("no change");
        settings.set("transaction_isolation", Some("read committed")).expect("no change");
        settings.set("transaction_deferrable", None).expect("a RESET");
        settings.begin_transaction();
        settings.set("transaction_deferrable", Some("on")).expect("before");
    }

    #[test]
    fn a_setting_that_only_postgresql_has_is_not_unknown() {
        let mut settings = Settings::new("postgres");
        for name in ["max_connections", "Geqo_Threshold"] {
            let error = settings.set(name, Some("1")).expect_err("absent");
            assert_eq!(error.sqlstate, sqlstate::FEATURE_NOT_SUPPORTED, "{name}");
        }
        for name in ["a.1b", "a b.c", ".a", "a.", "a..b"] {
            let error = settings.set(name, Some("1")).expect_err("no name");
            assert_eq!(error.sqlstate, sqlstate::INVALID_NAME, "{name}");
        }
        settings.set("app.user_id", Some("7")).expect("a name");
    }

    #[test]
    fn a_session_has_the_role_that_it_began_with() {
        let mut settings = Settings::new("ada");
        assert_eq!(settings.show("role"), Ok("none".into()));
        settings.set("role", Some("ada")).expect("its own");
        assert_eq!(settings.show("role"), Ok("ada".into()));
        for name in ["role", "session_authorization"] {
            let error = settings.set(name, Some("bob")).expect_err("there is no other");
            assert_eq!(error.sqlstate, sqlstate::INVALID_PARAMETER_VALUE, "{name}");
            assert_eq!(error.message, "role \"bob\" does not exist");
        }
        settings.set("role", Some("none")).expect("back");
        settings.set("session_authorization", None).expect("back");
        let shown = ["role", "session_authorization"].map(|name| settings.show(name));
        assert_eq!(shown, [Ok("none".into()), Ok("ada".into())]);
        assert!(settings.show_all().iter().all(|(name, _)| *name != "role"));
    }

    #[test]
    fn a_switch_without_another_side_stays_off() {
        let mut settings = Settings::new("postgres");
        settings.set("default_with_oids", Some("false")).expect("it is off");
        let error = settings.set("default_with_oids", Some("true")).expect_err("absent");
        assert_eq!(error.sqlstate, sqlstate::FEATURE_NOT_SUPPORTED);
        assert_eq!(settings.show("default_with_oids"), Ok("off".into()));
    }

    #[test]
    fn what_would_change_answers_is_refused() {
        let mut settings = Settings::new("postgres");
        let code = |result: Result<()>| result.expect_err("refused").sqlstate;
        assert_eq!(
            code(settings.set("client_encoding", Some("LATIN1"))),
            sqlstate::FEATURE_NOT_SUPPORTED
        );
        assert_eq!(code(settings.set("nonsense", Some("1"))), sqlstate::UNDEFINED_OBJECT);
        assert_eq!(
            code(settings.set("server_version", Some("1"))),
            sqlstate::CANT_CHANGE_RUNTIME_PARAM
        );
        assert_eq!(code(settings.set("DateStyle", Some("odd"))), sqlstate::INVALID_PARAMETER_VALUE);
        for name in ["utf-8", "'UTF-8'", "Unicode"] {
            settings.set("client_encoding", Some(name)).expect("the one there is");
        }
    }

    #[test]
    fn reset_goes_back_to_the_startup_packet() {
        let mut settings = Settings::new("postgres");
        settings.set_at_startup("application_name", "psql").expect("valid");
        settings.set("application_name", Some("other")).expect("valid");
        settings.set("DateStyle", Some("German, DMY")).expect("valid");
        assert_eq!(settings.format().date_output, DateOutput::German);
        settings.reset_all();
        assert_eq!(settings.show("application_name"), Ok("psql".into()));
        assert_eq!(settings.show("datestyle"), Ok("ISO, MDY".into()));
    }
}
