//! The simple protocol: a text of statements, run one after the other.

use std::collections::VecDeque;

use phantom_base::Error;
use phantom_base::sync::Arc;
use phantom_sql::statement::{Body, Prepared};

use super::codec;
use super::message::{Outcome, Piece, Request};
use super::session::{Activity, PgSession};

impl PgSession {
    pub(super) fn simple_query(&mut self, text: String) {
        self.statements.remove("");
        self.drop_portals(); // They would end with this query's transaction, and none can be used.
        self.ask(Request::Split(Arc::from(text)), Activity::Splitting);
    }

    pub(super) fn simple_outcome(&mut self, activity: Activity, outcome: Outcome) {
        match (activity, outcome) {
            (Activity::Preparing { offset, .. }, Outcome::Failed(error)) => {
                self.fail_simple(&error, offset);
            }
            (_, Outcome::Failed(error)) => self.fail_simple(&error, 0),
            (Activity::Splitting, Outcome::Text(pieces)) => self.begin_pieces(pieces),
            (Activity::Preparing { rest, .. }, Outcome::Prepared(statement, _)) => {
                self.run_piece(statement, rest);
            }
            (Activity::Running { statement, rest }, Outcome::Rows(batch)) => {
                self.data_rows(&batch, &[], &statement);
                self.ask(Request::More, Activity::Running { statement, rest });
            }
            (Activity::Running { statement, rest }, Outcome::Done { rows, notices }) => {
                self.notices(&notices);
                self.command_complete(&statement, rows);
                self.next_piece(rest);
            }
            (activity, outcome) => panic!("{activity:?} was answered with {outcome:?}"),
        }
    }

    fn begin_pieces(&mut self, pieces: Vec<Piece>) {
        if pieces.is_empty() {
            codec::write_message(&mut self.out, b'I', |_| {});
            self.ready();
            return;
        }
        let last = pieces.len() - 1;
        if pieces.iter().take(last).any(|piece| piece.is_write) {
            self.fail_simple(&Self::not_alone(), 0);
            return;
        }
        self.transaction.in_block = last > 0;
        self.next_piece(VecDeque::from(pieces));
    }

    fn next_piece(&mut self, mut pieces: VecDeque<Piece>) {
        let Some(piece) = pieces.pop_front() else {
            self.ready();
            return;
        };
        if let Some(statement) = piece.prepared {
            self.run_piece(statement, pieces);
            return;
        }
        let request = Request::Prepare { text: piece.text, parameter_types: Vec::new() };
        self.ask(request, Activity::Preparing { offset: piece.offset, rest: pieces });
    }

    fn run_piece(&mut self, statement: Arc<Prepared>, rest: VecDeque<Piece>) {
        if let Some(error) = self.refusal(&statement) {
            self.fail_simple(&error, 0);
            return;
        }
        if !statement.parameters.is_empty() {
            let error =
                Error::new(phantom_base::sqlstate::UNDEFINED_PARAMETER, "there is no parameter $1");
            self.fail_simple(&error, 0);
            return;
        }
        if let Some(error) = &statement.plan_error {
            self.fail_simple(error, 0);
            return;
        }
        if statement.returns_rows() {
            self.row_description(&statement, &[]);
        }
        match &statement.body {
            Body::Empty => {
                codec::write_message(&mut self.out, b'I', |_| {});
                self.next_piece(rest);
            }
            Body::Utility(utility) => match self.run_utility(utility) {
                Ok(rows) => {
                    for row in &rows {
                        self.text_row(row, &[]);
                    }
                    self.command_complete(&statement, rows.len() as u64);
                    self.next_piece(rest);
                }
                Err(error) => self.fail_simple(&error, 0),
            },
            _ => {
                self.settings.begin_query();
                let request = Request::Run { statement: statement.clone(), parameters: Vec::new() };
                self.ask(request, Activity::Running { statement, rest });
            }
        }
    }

    /// An error ends the whole query string.
    fn fail_simple(&mut self, error: &Error, offset: u32) {
        let mut error = error.clone();
        if error.position != 0 {
            let position = error.position + offset;
            error = error.with_position(position);
        }
        self.undo_settings();
        codec::write_error(&mut self.out, &error);
        self.ready();
    }
}
