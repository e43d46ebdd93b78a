//! The settings of a session: names, types, ranges, defaults, and what each does here.
//!
//! A setting is *in effect* or *recorded*. Recorded ones are kept and shown because clients set
//! them, and are only such as cannot change an answer: planner switches, memory hints, timeouts of
//! things that do not exist yet. A value that would have to change an answer and cannot is refused.

use phantom_base::{Error, Map, Result, sqlstate};
use phantom_types::{DateOrder, DateOutput, SessionFormat, TimeZone};

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

enum Kind {
    Bool,
    /// Whole numbers from..=to, and the unit that a bare number has.
    Integer(i64, i64, Unit),
    Real,
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    DateStyle,
    TimeZone,
    /// Shown, never set.
    Fixed,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    None,
    Milliseconds,
    Kilobytes,
    Pages,
}

struct Setting {
    /// As SHOW ALL prints it.
    name: &'static str,
    kind: Kind,
    default: &'static str,
    /// Whether a change is told with ParameterStatus.
    reported: bool,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting { name, kind, default, reported: false }
}

const fn reported(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting { name, kind, default, reported: true }
}

const INT_MAX: i64 = i32::MAX as i64;

#[rustfmt::skip] // A line a setting, in the order of SHOW ALL.
static SETTINGS: &[Setting] = &[
    reported("application_name", Kind::Text, ""),
    setting("backslash_quote", Kind::Word(&["safe_encoding", "on"]), "safe_encoding"),
    setting("bytea_output", Kind::Word(&["hex", "escape"]), "hex"),
    reported("client_encoding", Kind::Word(&["UTF8"]), "UTF8"),
    setting("client_min_messages", Kind::Word(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]), "notice"),
    reported("DateStyle", Kind::DateStyle, "ISO, MDY"),
    setting("default_transaction_deferrable", Kind::Bool, "off"),
    setting("default_transaction_isolation", Kind::Word(&["read committed", "read uncommitted"]), "read committed"),
    reported("default_transaction_read_only", Kind::Bool, "off"),
    setting("effective_cache_size", Kind::Integer(1, INT_MAX, Unit::Pages), "524288"),
    setting("enable_bitmapscan", Kind::Bool, "on"),
    setting("enable_hashagg", Kind::Bool, "on"),
    setting("enable_hashjoin", Kind::Bool, "on"),
    setting("enable_indexonlyscan", Kind::Bool, "on"),
    setting("enable_indexscan", Kind::Bool, "on"),
    setting("enable_material", Kind::Bool, "on"),
    setting("enable_mergejoin", Kind::Bool, "on"),
    setting("enable_nestloop", Kind::Bool, "on"),
    setting("enable_seqscan", Kind::Bool, "on"),
    setting("enable_sort", Kind::Bool, "on"),
    setting("escape_string_warning", Kind::Bool, "on"),
    setting("extra_float_digits", Kind::Integer(-15, 3, Unit::None), "1"),
    setting("idle_in_transaction_session_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    setting("idle_session_timeout", Kind::Integer(0, 0, Unit::Milliseconds), "0"),
    reported("in_hot_standby", Kind::Fixed, "off"),
    reported("integer_datetimes", Kind::Fixed, "on"),
    reported("IntervalStyle", Kind::Word(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]), "postgres"),
    reported("is_superuser", Kind::Fixed, "on"),
    setting("jit", Kind::Bool, "on"),
    setting("lc_collate", Kind::Fixed, "C"),
    setting("lc_ctype", Kind::Fixed, "C.UTF-8"),
    setting("lc_messages", Kind::Text, "C"),
    setting("lc_monetary", Kind::Text, "C"),
    setting("lc_numeric", Kind::Text, "C"),
    setting("lc_time", Kind::Text, "C"),
    setting("lock_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    setting("maintenance_work_mem", Kind::Integer(1024, INT_MAX, Unit::Kilobytes), "65536"),
    setting("max_identifier_length", Kind::Fixed, "63"),
    setting("max_parallel_workers_per_gather", Kind::Integer(0, 1024, Unit::None), "2"),
    setting("random_page_cost", Kind::Real, "4"),
    setting("row_security", Kind::Bool, "on"),
    setting("search_path", Kind::Text, "\"$user\", public"),
    reported("server_encoding", Kind::Fixed, "UTF8"),
    reported("server_version", Kind::Fixed, ""),
    setting("server_version_num", Kind::Fixed, "150014"),
    reported("session_authorization", Kind::Fixed, ""),
    reported("standard_conforming_strings", Kind::Word(&["on"]), "on"),
    setting("statement_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    setting("synchronous_commit", Kind::Word(&["on", "remote_apply", "remote_write", "local"]), "on"),
    setting("tcp_keepalives_idle", Kind::Integer(0, INT_MAX, Unit::None), "0"),
    setting("tcp_user_timeout", Kind::Integer(0, INT_MAX, Unit::Milliseconds), "0"),
    reported("TimeZone", Kind::TimeZone, "UTC"),
    setting("transaction_deferrable", Kind::Fixed, "off"),
    setting("transaction_isolation", Kind::Word(&["read committed", "read uncommitted"]), "read committed"),
    setting("transaction_read_only", Kind::Fixed, "off"),
    setting("work_mem", Kind::Integer(64, INT_MAX, Unit::Kilobytes), "4096"),
    setting("xmloption", Kind::Word(&["content", "document"]), "content"),
];

/// The values of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Values that differ from the built-in defaults, by lower-case name.
    values: Map<String, String>,
    /// What RESET goes back to: the values of the startup packet.
    startup: Map<String, String>,
    /// Those that say how values look, ready for use.
    format: SessionFormat,
}

impl Settings {
    /// The settings of a new session of a role.
    pub fn new(role: &str) -> Self {
        let mut values = Map::new();
        values.insert("server_version".into(), server_version());
        values.insert("session_authorization".into(), role.to_owned());
        Self { startup: values.clone(), values, format: SessionFormat::default() }
    }

    /// The value of a setting, as SHOW prints it.
    ///
    /// # Errors
    /// `42704` for an unknown name.
    pub fn show(&self, name: &str) -> Result<String> {
        let lower = name.to_ascii_lowercase();
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
            let start = || self.startup.get(&lower).cloned().unwrap_or_default();
            let value = value.map_or_else(start, str::to_owned);
            self.values.insert(lower, value);
            return Ok(());
        };
        if matches!(known.kind, Kind::Fixed) {
            let message = format!("parameter \"{}\" cannot be changed", known.name);
            return Err(Error::new(sqlstate::CANT_CHANGE_RUNTIME_PARAM, message));
        }
        let value = match value {
            Some(value) => self.checked(known, value)?,
            None => self.startup.get(&lower).cloned().unwrap_or_else(|| known.default.to_owned()),
        };
        self.values.insert(lower, value);
        self.format = self.read_format();
        Ok(())
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
        let given = std::mem::replace(&mut self.values, self.startup.clone());
        // A name with a dot stays known once it was set.
        for name in given.into_keys().filter(|name| name.contains('.')) {
            self.values.entry(name).or_default();
        }
        self.format = self.read_format();
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
        self.values.get("statement_timeout").and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Whether writes are refused (25006).
    pub fn is_read_only(&self) -> bool {
        self.values.get("default_transaction_read_only").is_some_and(|value| value == "on")
    }

    /// What a plan depends on, as text: part of the key of a plan cache.
    pub fn plan_key(&self) -> String {
        let parts = ["datestyle", "timezone", "extra_float_digits"];
        let values = parts.map(|name| self.values.get(name).map_or("", String::as_str));
        values.join("|")
    }

    fn checked(&self, known: &Setting, value: &str) -> Result<String> {
        match &known.kind {
            Kind::Bool => boolean(known, value),
            Kind::Integer(from, to, unit) => integer(known, value, *from, *to, *unit),
            Kind::Real => match value.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(value.trim().to_owned()),
                _ => Err(invalid(known, value)),
            },
            Kind::Text => Ok(value.to_owned()),
            Kind::Word(words) => word(known, words, value),
            Kind::DateStyle => {
                let (output, order) = date_style(value, &self.format)
                    .map_err(|word| invalid(known, value).with_detail(word))?;
                Ok(date_style_text(output, order))
            }
            Kind::TimeZone => {
                if value.eq_ignore_ascii_case("default") || value.eq_ignore_ascii_case("local") {
                    return Ok(known.default.to_owned());
                }
                let zone = TimeZone::from_setting(value).ok_or_else(|| {
                    match value.trim_start().parse::<f64>() {
                        Ok(_) => invalid(known, value)
                            .with_detail("UTC timezone offset is out of range."),
                        Err(_) => invalid(known, value),
                    }
                })?;
                if !zone.has_whole_minutes() {
                    let message = format!("time zone \"{value}\" appears to use leap seconds");
                    return Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message)
                        .with_detail("PostgreSQL does not support leap seconds."));
                }
                Ok(zone.name().to_owned())
            }
            Kind::Fixed => unreachable!("the caller refuses fixed settings"),
        }
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

fn find(lower: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|known| known.name.eq_ignore_ascii_case(lower))
}

fn unknown(name: &str) -> Error {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    Error::new(sqlstate::UNDEFINED_OBJECT, message)
}

fn invalid(known: &Setting, value: &str) -> Error {
    let message = format!("invalid value for parameter \"{}\": \"{value}\"", known.name);
    Error::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

fn boolean(known: &Setting, value: &str) -> Result<String> {
    let lower = value.trim().to_ascii_lowercase();
    let is = |word: &str, shortest: usize| lower.len() >= shortest && word.starts_with(&lower);
    if is("true", 1) || is("yes", 1) || lower == "on" || lower == "1" {
        Ok("on".into())
    } else if is("false", 1) || is("no", 1) || is("off", 2) || lower == "0" {
        Ok("off".into())
    } else {
        let message = format!("parameter \"{}\" requires a Boolean value", known.name);
        Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message))
    }
}

fn integer(known: &Setting, value: &str, from: i64, to: i64, unit: Unit) -> Result<String> {
    let text = value.trim();
    let digits =
        text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '+').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| invalid(known, value))?;
    let factor = match (unit, suffix.trim()) {
        (_, "") | (Unit::Milliseconds, "ms") | (Unit::Kilobytes, "kB") => Some((1, 1)),
        (Unit::Milliseconds, "us") => Some((1, 1_000)),
        (Unit::Milliseconds, "s") => Some((1_000, 1)),
        (Unit::Milliseconds, "min") => Some((60_000, 1)),
        (Unit::Milliseconds, "h") => Some((3_600_000, 1)),
        (Unit::Milliseconds, "d") => Some((86_400_000, 1)),
        (Unit::Kilobytes, "MB") => Some((1 << 10, 1)),
        (Unit::Kilobytes, "GB") => Some((1 << 20, 1)),
        (Unit::Kilobytes, "TB") => Some((1 << 30, 1)),
        (Unit::Pages, "kB") => Some((1, 8)),
        (Unit::Pages, "MB") => Some((128, 1)),
        (Unit::Pages, "GB") => Some((131_072, 1)),
        _ => None,
    };
    let Some((times, per)) = factor else {
        let hint = match unit {
            Unit::Milliseconds => {
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
            }
            Unit::Kilobytes | Unit::Pages => {
                "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
            }
            Unit::None => "",
        };
        return Err(invalid(known, value).with_hint(hint));
    };
    let number = number.saturating_mul(times) / per;
    if !(from..=to).contains(&number) {
        let shown = match unit {
            Unit::Milliseconds => " ms",
            Unit::Kilobytes => " kB",
            Unit::Pages | Unit::None => "",
        };
        let message = format!(
            "{number}{shown} is outside the valid range for parameter \"{}\" ({from} .. {to})",
            known.name
        );
        return Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message));
    }
    Ok(number.to_string())
}

fn word(known: &Setting, words: &[&str], value: &str) -> Result<String> {
    let wanted = value.trim();
    // PostgreSQL looks at letters and digits of an encoding's name only; asyncpg sends quotes.
    let plain = |text: &str| text.to_ascii_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let found = words.iter().find(|word| {
        word.eq_ignore_ascii_case(wanted)
            || (known.name == "client_encoding"
                && matches!(plain(wanted).as_str(), "utf8" | "unicode"))
            || (known.name == "standard_conforming_strings"
                && matches!(plain(wanted).as_str(), "true" | "yes" | "1"))
    });
    if let Some(found) = found {
        return Ok((*found).to_owned());
    }
    // These are values that PostgreSQL takes and that would change what statements mean.
    let absent = matches!(
        known.name,
        "client_encoding"
            | "default_transaction_isolation"
            | "transaction_isolation"
            | "standard_conforming_strings"
            | "synchronous_commit"
    );
    if absent {
        return Err(Error::unsupported(format!("{} = '{wanted}'", known.name)));
    }
    Err(invalid(known, value))
}

/// Reads a `DateStyle`; the error is the detail of what is wrong.
fn date_style(
    value: &str,
    current: &SessionFormat,
) -> std::result::Result<(DateOutput, DateOrder), String> {
    let (mut output, mut order) = (current.date_output, current.date_order);
    // German dates have their day first, unless another order is asked for.
    if value.to_ascii_lowercase().contains("german") {
        order = DateOrder::Dmy;
    }
    for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "iso" => output = DateOutput::Iso,
            "sql" => output = DateOutput::Sql,
            "postgres" => output = DateOutput::Postgres,
            "german" => output = DateOutput::German,
            "mdy" | "us" | "noneuro" | "noneuropean" => order = DateOrder::Mdy,
            "dmy" | "euro" | "european" => order = DateOrder::Dmy,
            "ymd" => order = DateOrder::Ymd,
            "default" => (output, order) = (DateOutput::Iso, DateOrder::Mdy),
            unknown => return Err(format!("Unrecognized key word: \"{unknown}\".")),
        }
    }
    Ok((output, order))
}

fn date_style_text(output: DateOutput, order: DateOrder) -> String {
    let output = match output {
        DateOutput::Iso => "ISO",
        DateOutput::Sql => "SQL",
        DateOutput::Postgres => "Postgres",
        DateOutput::German => "German",
    };
    let order = match order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    };
    format!("{output}, {order}")
}

/// A value as SHOW prints it: whole units where they divide it.
fn printed(known: &Setting, value: &str) -> String {
    let Kind::Integer(_, _, unit) = known.kind else { return value.to_owned() };
    let Ok(number) = value.parse::<i64>() else { return value.to_owned() };
    let units: &[(i64, &str)] = match unit {
        Unit::None => return value.to_owned(),
        Unit::Milliseconds => {
            &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")]
        }
        Unit::Kilobytes => &[(1 << 30, "TB"), (1 << 20, "GB"), (1 << 10, "MB"), (1, "kB")],
        Unit::Pages => &[(131_072, "GB"), (128, "MB")],
    };
    if number == 0 {
        return "0".into();
    }
    match units.iter().find(|(size, _)| number % size == 0) {
        Some((size, name)) => format!("{}{name}", number / size),
        None => format!("{}kB", number * 8),
    }
}

#[cfg(test)]
mod tests {
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
