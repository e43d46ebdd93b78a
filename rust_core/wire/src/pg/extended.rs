//! The extended protocol: Parse, Bind, Describe, Execute, Close, and the write that waits for Sync.

use std::collections::VecDeque;

use phantom_base::sync::Arc;
use phantom_base::{Error, Result, sqlstate};
use phantom_sql::statement::{Body, Prepared};
use phantom_types::{Datum, EvalContext, NO_TYPMOD, TypeId, format};

use super::codec::{self, Bind, Frontend, Target};
use super::message::{Outcome, Request};
use super::portal::{Portal, PortalState, Statement};
use super::session::{Activity, Deferred, PgSession};

/// Named statements that one session keeps: leaks of pools end here (53400).
const STATEMENTS_MAX: usize = 4_096;
/// Portals that one session keeps.
const PORTALS_MAX: usize = 256;
/// Messages that may wait behind a deferred write.
const HELD_MAX: usize = 64;

impl PgSession {
    pub(super) fn parse_message(&mut self, name: String, text: String, parameter_types: Vec<u32>) {
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            let error = Error::new(sqlstate::DUPLICATE_PREPARED_STATEMENT, message);
            self.fail_extended(&error.with_routine("StorePreparedStatement"));
            return;
        }
        if self.statements.len() >= STATEMENTS_MAX {
            let message =
                format!("a session can keep at most {STATEMENTS_MAX} prepared statements");
            self.fail_extended(&Error::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message));
            return;
        }
        if name.is_empty() {
            self.statements.remove("");
        }
        let request = Request::Prepare { text: Arc::from(text), parameter_types };
        self.ask(request, Activity::Parsing { name });
    }

    pub(super) fn parse_outcome(&mut self, name: String, outcome: Outcome) {
        match outcome {
            Outcome::Prepared(prepared, catalog_version) => {
                self.statements.insert(name, Statement { prepared, catalog_version });
                codec::write_message(&mut self.out, b'1', |_| {});
            }
            Outcome::Failed(error) => self.fail_extended(&error),
            outcome => panic!("Parse was answered with {outcome:?}"),
        }
    }

    /// Whether the catalog has changed since a statement was last looked at. As in PostgreSQL what
    /// has become of its tables is told at Bind and at Describe, before anything is promised.
    fn is_old(&self, statement: &str) -> bool {
        let statement = self.statements.get(statement);
        statement.is_some_and(|statement| statement.catalog_version != self.catalog_version)
    }

    /// Has a statement looked at before a message that names it is worked on.
    fn renew(&mut self, name: String, message: Frontend) {
        let statement = self.statements.get(&name).expect("the caller looked it up");
        let request = Request::Renew(statement.prepared.clone());
        self.ask(request, Activity::Renewing { name, message });
    }

    pub(super) fn renew_outcome(&mut self, name: String, message: Frontend, outcome: Outcome) {
        match outcome {
            Outcome::Prepared(prepared, catalog_version) => {
                let described = matches!(message, Frontend::Describe(..)).then(|| prepared.clone());
                self.statements.insert(name, Statement { prepared, catalog_version });
                match described {
                    Some(statement) => self.row_description(&statement, &[]),
                    // If the catalog has changed once more, it is looked at once more.
                    None => self.replay.push_front(message),
                }
            }
            Outcome::Failed(error) => self.fail_extended(&error),
            outcome => panic!("a look at a statement was answered with {outcome:?}"),
        }
    }

    pub(super) fn bind_message(&mut self, bind: Bind) {
        let bound = self.bound_portal(&bind);
        if bound.is_ok() && self.is_old(&bind.statement) {
            self.renew(bind.statement.clone(), Frontend::Bind(bind));
            return;
        }
        let planned = bound.and_then(|bound| match &bound.statement.plan_error {
            Some(error) => Err(error.clone()),
            None => Ok(bound),
        });
        match planned {
            Ok(bound) => {
                let replaced = self.portals.insert(bind.portal, bound);
                if replaced.is_some_and(|portal| portal.is_suspended()) {
                    self.tell(Request::Stop); // It was the unnamed one: nobody asks for its rest.
                }
                codec::write_message(&mut self.out, b'2', |_| {});
            }
            Err(error) => self.fail_extended(&error),
        }
    }

    fn bound_portal(&self, bind: &Bind) -> Result<Portal> {
        let Bind { portal, statement: name, formats, values, result_formats } = bind;
        let statement = self.statement(name)?.clone();
        if !portal.is_empty() && self.portals.contains_key(portal) {
            let message = format!("cursor \"{portal}\" already exists");
            return Err(Error::new(sqlstate::DUPLICATE_CURSOR, message));
        }
        if self.portals.len() >= PORTALS_MAX {
            let message = format!("a session can keep at most {PORTALS_MAX} portals");
            return Err(Error::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message));
        }
        let wanted = statement.parameters.len();
        if values.len() != wanted {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{name}\" requires {wanted}",
                values.len()
            );
            return Err(Error::new(sqlstate::PROTOCOL_VIOLATION, message));
        }
        if formats.len() > 1 && formats.len() != wanted {
            let message = format!(
                "bind message has {} parameter formats but {wanted} parameters",
                formats.len()
            );
            return Err(Error::new(sqlstate::PROTOCOL_VIOLATION, message));
        }
        let columns = statement.columns.len();
        if result_formats.len() > 1 && result_formats.len() != columns {
            let message = format!(
                "bind message has {} result formats but query has {columns} columns",
                result_formats.len()
            );
            return Err(Error::new(sqlstate::PROTOCOL_VIOLATION, message));
        }
        // Once for all values: it owns copies of the session's formats and names.
        let eval = self.eval();
        let mut parameters = Vec::with_capacity(wanted);
        for (at, (ty, value)) in statement.parameters.iter().zip(values).enumerate() {
            let is_binary = format_of(formats, at) == 1;
            parameters.push(parameter(*ty, value.as_deref(), is_binary, at, &eval)?);
        }
        let result_formats = result_formats.clone();
        let state = PortalState::New;
        Ok(Portal { statement, parameters, result_formats, state, sent: 0, sent_before: 0 })
    }

    fn statement(&self, name: &str) -> Result<&Arc<Prepared>> {
        self.statements.get(name).map(|statement| &statement.prepared).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Error::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message)
                .with_routine("FetchPreparedStatement")
        })
    }

    pub(super) fn describe(&mut self, target: Target, name: &str) {
        match target {
            Target::Statement => match self.statement(name).cloned() {
                Ok(statement) => {
                    // Parameters keep their types, whatever becomes of the tables.
                    self.parameter_description(&statement);
                    if self.is_old(name) {
                        self.renew(name.to_owned(), Frontend::Describe(target, name.to_owned()));
                    } else {
                        self.row_description(&statement, &[]);
                    }
                }
                Err(error) => self.fail_extended(&error),
            },
            Target::Portal => match self.portals.get(name) {
                Some(portal) => {
                    let (statement, formats) =
                        (portal.statement.clone(), portal.result_formats.clone());
                    self.row_description(&statement, &formats);
                }
                None => self.fail_extended(&no_portal(name)),
            },
        }
    }

    pub(super) fn close(&mut self, target: Target, name: &str) {
        match target {
            Target::Statement => {
                self.statements.remove(name);
            }
            Target::Portal => {
                if self.portals.remove(name).is_some_and(|portal| portal.is_suspended()) {
                    self.tell(Request::Stop);
                }
            }
        }
        codec::write_message(&mut self.out, b'3', |_| {});
    }

    pub(super) fn execute(&mut self, name: String, rows_max: u32) {
        let Some(portal) = self.portals.get_mut(&name) else {
            self.fail_extended(&no_portal(&name));
            return;
        };
        let statement = portal.statement.clone();
        portal.sent_before = portal.sent;
        match std::mem::replace(&mut portal.state, PortalState::Done) {
            PortalState::Done => self.command_complete(&statement, 0),
            PortalState::Suspended { batch, sent } => {
                self.send_rows(name, &batch, sent, rows_max);
            }
            PortalState::New => {
                portal.state = PortalState::New;
                if let Some(error) = self.refusal(&statement) {
                    self.fail_extended(&error);
                } else if self.portals.values().any(Portal::is_suspended) {
                    let what = "a second portal while another is suspended";
                    self.fail_extended(&Error::unsupported(what));
                } else if statement.is_write() {
                    let held = VecDeque::new();
                    self.deferred = Some(Deferred { portal: name, rows_max, held });
                } else {
                    self.start(name, rows_max);
                }
            }
        }
    }

    /// Runs a new portal.
    fn start(&mut self, name: String, rows_max: u32) {
        let portal = self.portals.get_mut(&name).expect("the caller looked it up");
        portal.state = PortalState::Done;
        let (statement, formats) = (portal.statement.clone(), portal.result_formats.clone());
        match &statement.body {
            Body::Empty => codec::write_message(&mut self.out, b'I', |_| {}),
            Body::Utility(utility) => match self.run_utility(utility) {
                Ok(rows) => {
                    for row in &rows {
                        self.text_row(row, &formats);
                    }
                    self.command_complete(&statement, rows.len() as u64);
                }
                Err(error) => self.fail_extended(&error),
            },
            _ => {
                self.settings.begin_query();
                let portal = self.portals.get(&name).expect("the caller looked it up");
                let parameters = portal.parameters.clone();
                let request = Request::Run { statement, parameters };
                self.ask(request, Activity::Executing { portal: name, rows_max });
            }
        }
    }

    pub(super) fn execute_outcome(&mut self, name: String, rows_max: u32, outcome: Outcome) {
        match outcome {
            Outcome::Rows(batch) => self.send_rows(name, &batch, 0, rows_max),
            Outcome::Done { rows, notices } => {
                self.notices(&notices);
                let portal = self.portals.get(&name).expect("portals outlive their runs");
                let statement = portal.statement.clone();
                let before = if statement.is_write() { 0 } else { portal.sent_before };
                self.command_complete(&statement, rows - before);
            }
            Outcome::Failed(error) => self.fail_extended(&error),
            outcome => panic!("Execute was answered with {outcome:?}"),
        }
    }

    /// Sends rows of a batch up to the limit, then asks for more or suspends the portal.
    fn send_rows(
        &mut self,
        name: String,
        batch: &phantom_types::Batch,
        sent: usize,
        rows_max: u32,
    ) {
        let portal = self.portals.get(&name).expect("portals outlive their runs");
        let (statement, formats) = (portal.statement.clone(), portal.result_formats.clone());
        let left = batch.len() - sent;
        let limit = if rows_max == 0 { left } else { left.min(rows_max as usize) };
        self.data_row_range(batch, sent..sent + limit, &formats, &statement);
        let now_sent = sent + limit;
        let portal = self.portals.get_mut(&name).expect("portals outlive their runs");
        portal.sent += limit as u64;
        let limit = u32::try_from(limit).expect("a batch is small");
        if rows_max != 0 && limit == rows_max {
            portal.state = PortalState::Suspended { batch: batch.clone(), sent: now_sent };
            codec::write_message(&mut self.out, b's', |_| {});
            return;
        }
        let rows_max = if rows_max == 0 { 0 } else { rows_max - limit };
        self.ask(Request::More, Activity::Executing { portal: name, rows_max });
    }

    /// Holds what follows a write until its Sync, or finds out that it is not alone. Flush asks for
    /// an answer that is not known before the Sync: who waits for it would wait for ever.
    pub(super) fn hold(&mut self, message: Frontend) {
        let deferred = self.deferred.as_mut().expect("the caller looked");
        let is_harmless = matches!(
            message,
            Frontend::Parse { .. }
                | Frontend::Bind(_)
                | Frontend::Describe(..)
                | Frontend::Close(..)
        );
        if is_harmless && deferred.held.len() < HELD_MAX {
            deferred.held.push_back(message);
            return;
        }
        self.deferred = None;
        self.fail_extended(&Self::not_alone());
        if let Frontend::Query(_) = message {
            // A Query has a ReadyForQuery of its own, Sync or not.
            self.ready();
        }
    }

    /// The Sync came: runs the write, then what was held, then the Sync itself.
    pub(super) fn run_deferred(&mut self) {
        let deferred = self.deferred.take().expect("the caller looked");
        self.replay = deferred.held;
        self.replay.push_back(Frontend::Sync);
        self.start(deferred.portal, deferred.rows_max);
    }
}

/// The format code of a value: none is text, one is for all.
pub(super) fn format_of(formats: &[i16], at: usize) -> i16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(at).copied().unwrap_or(0),
    }
}

/// The value of parameter `at` (0-based).
fn parameter(
    ty: TypeId,
    value: Option<&[u8]>,
    is_binary: bool,
    at: usize,
    eval: &EvalContext,
) -> Result<Datum> {
    let Some(bytes) = value else { return Ok(Datum::Null) };
    if is_binary {
        return format::read_binary(ty, NO_TYPMOD, bytes, at + 1);
    }
    format::read_text(ty, NO_TYPMOD, format::validate_utf8(bytes)?, eval)
}

fn no_portal(name: &str) -> Error {
    Error::new(sqlstate::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
