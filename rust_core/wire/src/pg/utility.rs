//! Statements that work on the session alone, and what a session refuses before it asks anybody.

use phantom_base::{Error, Result, Severity, sqlstate};
use phantom_sql::settings::Settings;
use phantom_sql::statement::{Discard, Prepared, Utility};

use super::session::PgSession;

/// What settings depend on of the transaction that a session is in.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// The settings as it found them; `None` until it changes one.
    settings_before: Option<Box<Settings>>,
    /// Whether it is that of several statements in one text: PostgreSQL takes it for a block.
    pub in_block: bool,
}

impl PgSession {
    /// Why a statement may not run in this session, if so.
    pub(super) fn refusal(&self, statement: &Prepared) -> Option<Error> {
        if !(statement.is_write() && self.settings.is_read_only()) {
            return None;
        }
        let tag = statement.tag(0);
        let name = tag.split(' ').next().unwrap_or_default();
        let name = if name == "CREATE" || name == "DROP" { tag.as_str() } else { name };
        let message = format!("cannot execute {name} in a read-only transaction");
        Some(Error::new(sqlstate::READ_ONLY_SQL_TRANSACTION, message))
    }

    /// Carries a utility out; returns the rows of text that it shows.
    pub(super) fn run_utility(&mut self, utility: &Utility) -> Result<Vec<Vec<String>>> {
        match utility {
            Utility::Set { name, value, local } => {
                if *local {
                    self.warn_outside_block("SET LOCAL");
                }
                if value.is_none() {
                    self.warn_of_reset(name);
                }
                self.change_settings(|settings| {
                    if *local {
                        settings.set_local(name, value.as_deref())
                    } else {
                        settings.set(name, value.as_deref())
                    }
                })?;
            }
            Utility::SetModes { session, modes } => self.set_modes(*session, modes)?,
            Utility::Show(Some(name)) => return Ok(vec![vec![self.settings.show(name)?]]),
            Utility::Show(None) => {
                let all = self.settings.show_all();
                return Ok(all
                    .into_iter()
                    .map(|(name, value)| vec![name.to_owned(), value, String::new()])
                    .collect());
            }
            Utility::Reset(Some(name)) => {
                self.warn_of_reset(name);
                self.change_settings(|settings| settings.set(name, None))?;
            }
            Utility::Reset(None) => self.reset_settings(false)?,
            Utility::Discard(Discard::All) if self.transaction.in_block => {
                let message = "DISCARD ALL cannot run inside a transaction block";
                return Err(Error::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
            }
            Utility::Discard(Discard::All) => {
                self.statements.clear();
                self.portals.retain(|_, portal| !portal.is_suspended());
                self.reset_settings(true)?;
            }
            Utility::Discard(Discard::Plans | Discard::Sequences | Discard::Temp) => {}
            Utility::Deallocate(None) => self.statements.clear(),
            Utility::Deallocate(Some(name)) => {
                if self.statements.remove(name).is_none() {
                    let message = format!("prepared statement \"{name}\" does not exist");
                    return Err(Error::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message)
                        .with_routine("FetchPreparedStatement"));
                }
            }
        }
        Ok(Vec::new())
    }

    fn set_modes(&mut self, session: bool, modes: &[(String, String)]) -> Result<()> {
        if !session {
            self.warn_outside_block("SET TRANSACTION");
        }
        self.change_settings(|settings| {
            modes.iter().try_for_each(|(name, value)| {
                if session {
                    settings.set(&format!("default_{name}"), Some(value))
                } else {
                    settings.set(name, Some(value))
                }
            })
        })
    }

    fn warn_of_reset(&mut self, name: &str) {
        if name == "transaction_isolation" {
            self.warn_outside_block("RESET TRANSACTION");
        }
    }

    /// Says that a statement is about a transaction that ends with it.
    fn warn_outside_block(&mut self, statement: &str) {
        if self.transaction.in_block {
            return;
        }
        let message = format!("{statement} can only be used in transaction blocks");
        let warning = Error::new(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message);
        self.notices(&[warning.with_severity(Severity::Warning)]);
    }

    /// DISCARD ALL gives the role back as well, which RESET ALL leaves.
    fn reset_settings(&mut self, with_role: bool) -> Result<()> {
        self.change_settings(|settings| {
            if with_role {
                settings.set("role", None)?;
            }
            settings.reset_all();
            Ok(())
        })
    }

    /// Changes settings, for as long as the transaction does not fail.
    fn change_settings(&mut self, change: impl FnOnce(&mut Settings) -> Result<()>) -> Result<()> {
        if self.transaction.settings_before.is_none() {
            self.transaction.settings_before = Some(Box::new(self.settings.clone()));
        }
        let path = self.settings.search_path_text().to_owned();
        change(&mut self.settings)?;
        self.look_up_again(&path);
        Ok(())
    }

    /// The transaction fails: no change of a setting was made.
    pub(super) fn undo_settings(&mut self) {
        let Some(before) = self.transaction.settings_before.take() else { return };
        let path = self.settings.search_path_text().to_owned();
        self.settings = *before;
        self.look_up_again(&path);
    }

    /// The transaction ends: changes last, but for those that were for it alone. The client is told
    /// of what it follows.
    pub(super) fn end_settings(&mut self) {
        self.transaction.in_block = false;
        let Some(before) = self.transaction.settings_before.take() else { return };
        let path = self.settings.search_path_text().to_owned();
        self.settings.end_transaction();
        self.look_up_again(&path);
        for (old, new) in before.reported().into_iter().zip(self.settings.reported()) {
            if old != new {
                self.parameter_status(new.0, &new.1);
            }
        }
    }

    /// Where the path was another, names may mean other tables now: what was prepared is looked at
    /// again.
    fn look_up_again(&mut self, path: &str) {
        if path != self.settings.search_path_text() {
            for statement in self.statements.values_mut() {
                statement.catalog_version = u64::MAX;
            }
        }
    }
}
