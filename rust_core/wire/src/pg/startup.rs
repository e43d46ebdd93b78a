//! The beginning of a session: encryption declined, parameters checked, settings told.
//!
//! Whoever owns the connection encrypts it, before a byte comes here, and says whom the client may be
//! (`Admission`): anyone, where it is trusted, or the role that it has proved to be. There is one database.

use phantom_base::{Error, Result, Severity, sqlstate};
use phantom_sql::settings::Settings;

use super::codec::{self, Startup};
use super::message::Request;
use super::session::{PgSession, Phase};

const DATABASE: &str = "postgres";

/// Whom a client may be, as far as its connection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is trusted.
    Anyone,
    /// It has proved to be this role.
    Role(String),
    /// It begins no session, and is told why. It may still cancel what it knows the secret of.
    Nobody(Error),
}

impl PgSession {
    pub(super) fn startup(&mut self, startup: Startup, plaintext_follows: bool) -> Result<()> {
        match startup {
            Startup::Encrypt => {
                // Bytes behind the question were not encrypted and must not be read as if they
                // were asked for later (CVE-2021-23214).
                if plaintext_follows {
                    let message = "received unencrypted data after SSL request";
                    return Err(fatal(sqlstate::PROTOCOL_VIOLATION, message));
                }
                self.out.push(b'N');
                self.sendable = self.out.len();
            }
            Startup::Cancel { pid, secret } => {
                self.tell(Request::Cancel { pid, secret });
                self.phase = Phase::Closing;
            }
            Startup::Begin { minor, parameters } => self.begin(minor, &parameters)?,
        }
        Ok(())
    }

    fn begin(&mut self, minor: u16, parameters: &[(String, String)]) -> Result<()> {
        let find = |name: &str| {
            parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let role = find("user").filter(|role| !role.is_empty()).ok_or_else(|| {
            let message = "no PostgreSQL user name specified in startup packet";
            fatal(sqlstate::INVALID_AUTHORIZATION_SPECIFICATION, message)
        })?;
        match &self.admission {
            Admission::Anyone => {}
            Admission::Role(proved) if proved == role => {}
            Admission::Role(proved) => {
                let message = format!("certificate authentication failed for user \"{role}\"");
                return Err(fatal(sqlstate::INVALID_AUTHORIZATION_SPECIFICATION, message)
                    .with_hint(format!("The certificate is for role \"{proved}\".")));
            }
            Admission::Nobody(why) => return Err(why.clone()),
        }
        let database = find("database").filter(|name| !name.is_empty()).unwrap_or(role);
        if database != DATABASE {
            let message = format!("database \"{database}\" does not exist");
            return Err(fatal(sqlstate::INVALID_CATALOG_NAME, message)
                .with_hint("There is one database so far: postgres."));
        }
        if find("replication").is_some_and(|value| !matches!(value, "0" | "false" | "off" | "no")) {
            return Err(fatal(sqlstate::FEATURE_NOT_SUPPORTED, "replication is not supported"));
        }
        role.clone_into(&mut self.role);
        self.settings = Settings::new(role);
        let mut unknown_options = Vec::new();
        for (name, value) in parameters {
            match name.as_str() {
                "user" | "database" | "replication" => {}
                "options" => self.startup_options(value)?,
                option if option.starts_with("_pq_.") => unknown_options.push(option.to_owned()),
                name => self.settings.set_at_startup(name, value).map_err(make_fatal)?,
            }
        }
        if minor > 0 || !unknown_options.is_empty() {
            self.negotiate(&unknown_options);
        }
        self.greet();
        self.phase = Phase::Ready;
        Ok(())
    }

    /// `-c name=value` and `--name=value` of the `options` parameter; a backslash keeps a blank.
    fn startup_options(&mut self, options: &str) -> Result<()> {
        let mut words: Vec<String> = Vec::new();
        let mut word = String::new();
        let mut characters = options.chars();
        while let Some(c) = characters.next() {
            match c {
                '\\' => word.extend(characters.next()),
                c if c.is_ascii_whitespace() => {
                    if !word.is_empty() {
                        words.push(std::mem::take(&mut word));
                    }
                }
                c => word.push(c),
            }
        }
        if !word.is_empty() {
            words.push(word);
        }
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let assignment = match word.as_str() {
                "-c" => words.next(),
                other => {
                    other.strip_prefix("--").or_else(|| other.strip_prefix("-c")).map(str::to_owned)
                }
            };
            let pair = assignment.as_deref().and_then(|text| text.split_once('='));
            let Some((name, value)) = pair else {
                let message = format!("invalid command-line argument for server process: {word}");
                return Err(fatal(sqlstate::SYNTAX_ERROR, message));
            };
            let name = name.replace('-', "_");
            self.settings.set_at_startup(&name, value).map_err(make_fatal)?;
        }
        Ok(())
    }

    /// Tells a newer client that it is 3.0 that we speak.
    fn negotiate(&mut self, unknown_options: &[String]) {
        codec::write_message(&mut self.out, b'v', |out| {
            out.extend_from_slice(&(3_u32 << 16).to_be_bytes());
            let count = u32::try_from(unknown_options.len()).expect("a startup packet is short");
            out.extend_from_slice(&count.to_be_bytes());
            for option in unknown_options {
                codec::write_text(out, option);
            }
        });
    }

    fn greet(&mut self) {
        codec::write_message(&mut self.out, b'R', |out| {
            out.extend_from_slice(&0_u32.to_be_bytes());
        });
        for (name, value) in self.settings.reported() {
            self.parameter_status(name, &value);
        }
        let identity = self.identity;
        codec::write_message(&mut self.out, b'K', |out| {
            out.extend_from_slice(&identity.pid.to_be_bytes());
            out.extend_from_slice(&identity.secret.to_be_bytes());
        });
        self.ready();
    }

    pub(super) fn parameter_status(&mut self, name: &str, value: &str) {
        codec::write_message(&mut self.out, b'S', |out| {
            codec::write_text(out, name);
            codec::write_text(out, value);
        });
    }
}

#[track_caller]
fn fatal(code: phantom_base::SqlState, message: impl Into<String>) -> Error {
    Error::new(code, message).with_severity(Severity::Fatal)
}

fn make_fatal(error: Error) -> Error {
    error.with_severity(Severity::Fatal)
}

#[cfg(test)]
mod tests {
    use phantom_base::sqlstate;

    use super::*;
    use crate::pg::{Identity, Progress};

    const CANCEL: &[u8] = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09";

    fn nobody() -> Admission {
        let code = sqlstate::INVALID_AUTHORIZATION_SPECIFICATION;
        Admission::Nobody(fatal(code, "a client from elsewhere must show a certificate"))
    }

    /// What a client hears that begins as `role`.
    fn heard(admission: Admission, role: &str) -> String {
        let mut session = PgSession::new(Identity { pid: 1, secret: 2 });
        session.admit(admission);
        let parameters = format!("user\0{role}\0database\0postgres\0\0");
        let length = u32::try_from(parameters.len() + 8).unwrap();
        let packet = [&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters.as_bytes()].concat();
        session.feed(&packet);
        let progress = session.step(0);
        assert_eq!(progress == Progress::Closing, session.role().is_empty());
        String::from_utf8_lossy(&session.take_out(1 << 20).unwrap()).into_owned()
    }

    #[test]
    fn a_client_is_whom_its_connection_lets_it_be() {
        assert!(heard(Admission::Anyone, "alice").starts_with('R'));
        assert!(heard(Admission::Role("alice".to_owned()), "alice").starts_with('R'));
        let other = heard(Admission::Role("alice".to_owned()), "bob");
        assert!(other.contains("C28000\0") && other.contains("for user \"bob\""), "{other}");
        assert!(heard(nobody(), "alice").contains("must show a certificate"));
    }

    #[test]
    fn a_cancellation_proves_itself_whoever_sends_it() {
        let mut session = PgSession::new(Identity { pid: 1, secret: 2 });
        session.admit(nobody());
        session.feed(CANCEL);
        assert_eq!(session.step(0), Progress::Closing);
        let asked = session.next_request();
        assert!(matches!(asked, Some(Request::Cancel { pid: 7, secret: 9 })), "{asked:?}");
        assert_eq!(session.take_out(1 << 20), None);
    }
}
