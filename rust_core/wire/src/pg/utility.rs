//! Statements that work on the session alone, and what a session refuses before it asks anybody.

use phantom_base::{Error, Result, Severity, sqlstate};
use phantom_sql::statement::{Discard, Prepared, Utility};

use super::codec;
use super::session::PgSession;

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
                    let warning = Error::new(
                        phantom_base::SqlState(*b"25P01"),
                        "SET LOCAL can only be used in transaction blocks",
                    );
                    let warning = warning.with_severity(Severity::Warning);
                    codec::write_error(&mut self.out, &warning);
                    // It would end with this statement; what is wrong with it is still said.
                    self.settings.clone().set(name, value.as_deref())?;
                } else {
                    self.change_settings(|settings| settings.set(name, value.as_deref()))?;
                }
            }
            Utility::Show(Some(name)) => return Ok(vec![vec![self.settings.show(name)?]]),
            Utility::Show(None) => {
                let all = self.settings.show_all();
                return Ok(all
                    .into_iter()
                    .map(|(name, value)| vec![name.to_owned(), value, String::new()])
                    .collect());
            }
            Utility::Reset(Some(name)) => {
                self.change_settings(|settings| settings.set(name, None))?;
            }
            Utility::Reset(None) => self.reset_settings()?,
            Utility::Discard(Discard::All) => {
                self.statements.clear();
                self.portals.retain(|_, portal| !portal.is_suspended());
                self.reset_settings()?;
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

    fn reset_settings(&mut self) -> Result<()> {
        self.change_settings(|settings| {
            settings.reset_all();
            Ok(())
        })
    }

    /// Changes settings and tells the client of those that it follows.
    fn change_settings(
        &mut self,
        change: impl FnOnce(&mut phantom_sql::settings::Settings) -> Result<()>,
    ) -> Result<()> {
        let before = self.settings.reported();
        let path = self.settings.search_path_text().to_owned();
        change(&mut self.settings)?;
        if path != self.settings.search_path_text() {
            // Names may mean other tables now: what was prepared is looked at again.
            for statement in self.statements.values_mut() {
                statement.catalog_version = u64::MAX;
            }
        }
        for (old, new) in before.iter().zip(self.settings.reported()) {
            if *old != new {
                self.parameter_status(new.0, &new.1);
            }
        }
        Ok(())
    }
}
