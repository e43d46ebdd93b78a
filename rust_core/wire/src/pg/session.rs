//! The session object: its state, and the loop that turns messages into answers.

use std::collections::VecDeque;

use phantom_base::sync::Arc;
use phantom_base::{Error, Map, Severity, sqlstate};
use phantom_sql::settings::Settings;
use phantom_sql::statement::Prepared;

use phantom_types::EvalContext;

use super::codec::{self, Frontend};
use super::message::{Outcome, Piece, Progress, Request};
use super::portal::{Portal, Statement};
use super::startup::Admission;
use super::utility::Transaction;

/// Output beyond which a step stops until some is taken, in bytes.
const OUT_BYTES_MAX: usize = 256 << 10;
/// Output of an unfinished statement that may leave early, in bytes.
const EARLY_BYTES: usize = 64 << 10;
/// Input that is held before `feed` refuses more, beyond one whole message, in bytes.
const INPUT_SLACK_BYTES: usize = 64 << 10;
/// Messages that one step works through: others want their turn.
const MESSAGES_A_STEP: u32 = 64;

/// Who a session is to a client that wants to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Names node and session.
    pub pid: u32,
    /// Proves that the client was told the pid by us.
    pub secret: u32,
}

/// One client's session.
pub struct PgSession {
    pub(super) identity: Identity,
    pub(super) admission: Admission,
    pub(super) phase: Phase,
    pub(super) role: String,
    pub(super) settings: Settings,
    input: Vec<u8>,
    consumed: usize,
    /// Whether the client has said that it sends no more.
    input_ended: bool,
    pub(super) out: Vec<u8>,
    /// Up to where `out` may leave.
    pub(super) sendable: usize,
    /// Up to where it has left; what has is dropped now and then.
    taken: usize,
    pub(super) activity: Activity,
    requests: VecDeque<Request>,
    awaiting: bool,
    outcome: Option<Outcome>,
    pub(super) skipping: bool,
    /// An Execute of a write that waits for its Sync, and what came after it.
    pub(super) deferred: Option<Deferred>,
    pub(super) replay: VecDeque<Frontend>,
    pub(super) statements: Map<String, Statement>,
    /// The newest version of the catalog, as the driver has it.
    pub(super) catalog_version: u64,
    pub(super) portals: Map<String, Portal>,
    cancelled: Option<Error>,
    /// Microseconds since 2000-01-01 UTC, as of the last step.
    now: i64,
    /// When the message came that is worked on.
    statement_time: i64,
    /// When the first message came since the client was last told that a transaction may begin.
    transaction_time: Option<i64>,
    pub(super) transaction: Transaction,
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for the startup packet.
    Startup,
    /// Serves messages.
    Ready,
    /// Sends what is left, then ends.
    Closing,
}

/// What waits for an outcome.
#[derive(Debug)]
pub(super) enum Activity {
    /// Nothing.
    None,
    /// A simple query that is split into statements.
    Splitting,
    /// A statement of a simple query that is bound.
    Preparing {
        /// Its offset in the text, in characters.
        offset: u32,
        /// The statements after it.
        rest: VecDeque<Piece>,
    },
    /// A statement of a simple query that runs.
    Running {
        /// The statement.
        statement: Arc<Prepared>,
        /// The statements after it.
        rest: VecDeque<Piece>,
    },
    /// A Parse message.
    Parsing {
        /// The name that the statement will have.
        name: String,
    },
    /// A statement that is looked at again before the message that names it.
    Renewing {
        /// Its name.
        name: String,
        /// The message.
        message: Frontend,
    },
    /// An Execute message.
    Executing {
        /// Its portal.
        portal: String,
        /// How many rows more it may send; 0 is all.
        rows_max: u32,
    },
}

/// An Execute of a write that waits to learn whether it is the last before its Sync.
#[derive(Debug)]
pub(super) struct Deferred {
    pub portal: String,
    pub rows_max: u32,
    pub held: VecDeque<Frontend>,
}

impl PgSession {
    /// A session that waits for its startup packet.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            admission: Admission::Anyone,
            phase: Phase::Startup,
            role: String::new(),
            settings: Settings::new(""),
            input: Vec::new(),
            consumed: 0,
            input_ended: false,
            out: Vec::new(),
            sendable: 0,
            taken: 0,
            activity: Activity::None,
            requests: VecDeque::new(),
            awaiting: false,
            outcome: None,
            skipping: false,
            deferred: None,
            replay: VecDeque::new(),
            statements: Map::new(),
            catalog_version: 0,
            portals: Map::new(),
            cancelled: None,
            now: 0,
            statement_time: 0,
            transaction_time: None,
            transaction: Transaction::default(),
        }
    }

    /// Says whom the client may be.
    pub fn admit(&mut self, admission: Admission) {
        self.admission = admission;
    }

    /// Who it is to a client that wants to cancel it.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The role that it runs as; empty before it has begun.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes input and returns how many bytes; fewer than given means: step, then feed the rest.
    /// No bytes are the end of the input: what came before is answered, then the session ends.
    pub fn feed(&mut self, input: &[u8]) -> usize {
        self.input_ended |= input.is_empty();
        if self.phase == Phase::Closing {
            return input.len();
        }
        if self.consumed > 0 && self.consumed >= self.input.len() / 2 {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
        let held = self.input.len() - self.consumed;
        // One whole message must fit, whatever its size; its length was checked or will be.
        let wanted = self.next_message_bytes().max(INPUT_SLACK_BYTES);
        let taken = input.len().min(wanted.saturating_sub(held).max(usize::from(held == 0)));
        self.input.extend_from_slice(input.get(..taken).unwrap_or_default());
        taken
    }

    /// Bytes of a message that has not come whole, or waits for the end of what runs; 0 while there is
    /// no more than any session may have.
    pub fn arriving_bytes(&self) -> usize {
        Some(self.unread().len()).filter(|bytes| *bytes > INPUT_SLACK_BYTES).unwrap_or(0)
    }

    /// How long the message at the front of the input says that it is.
    fn next_message_bytes(&self) -> usize {
        let at = usize::from(self.phase != Phase::Startup);
        let bytes = self.unread().get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        let Some(length) = bytes.map(u32::from_be_bytes) else { return 0 };
        (length as usize).min(codec::MESSAGE_BYTES_MAX) + at
    }

    fn unread(&self) -> &[u8] {
        self.input.get(self.consumed..).unwrap_or_default()
    }

    /// Tells which version of the catalog is the newest: before a statement of an older one is bound
    /// or described it is looked at again.
    pub fn catalog_is(&mut self, version: u64) {
        self.catalog_version = version;
    }

    /// What expressions of its next statement may know.
    pub fn eval(&self) -> EvalContext {
        EvalContext {
            transaction_time: self.transaction_time.unwrap_or(self.now),
            statement_time: self.statement_time,
            format: self.settings.format().clone(),
            database: Arc::from("postgres"),
            server_version: Arc::from(phantom_sql::settings::version_text()),
            meter: phantom_types::Meter::default(),
        }
    }

    /// Works until it needs input, an outcome, or room for output, or its turn is over. `now` is
    /// the wall clock in microseconds since 2000-01-01 UTC.
    pub fn step(&mut self, now: i64) -> Progress {
        self.now = now;
        for _ in 0..MESSAGES_A_STEP {
            if self.phase == Phase::Closing {
                self.sendable = self.out.len();
                return Progress::Closing;
            }
            // Before rows that have come, too: who does not read gets no more of them.
            if self.out.len() - self.taken > OUT_BYTES_MAX {
                self.sendable = self.out.len();
                return Progress::Flooded;
            }
            if self.awaiting {
                match self.outcome.take() {
                    None => return Progress::Waiting,
                    Some(outcome) => {
                        self.awaiting = false;
                        self.outcome(outcome);
                        continue;
                    }
                }
            }
            match self.next_message() {
                Ok(true) => {}
                Ok(false) if self.input_ended => self.phase = Phase::Closing,
                Ok(false) => return Progress::Idle,
                Err(error) => self.end(&error),
            }
        }
        Progress::More
    }

    /// Handles the next message, if one is whole. Errors end the session.
    fn next_message(&mut self) -> Result<bool, Error> {
        if self.phase == Phase::Startup {
            let Some((startup, length)) = codec::read_startup(self.unread())? else {
                return Ok(false);
            };
            self.consumed += length;
            let plaintext_follows = !self.unread().is_empty();
            self.startup(startup, plaintext_follows)?;
            return Ok(true);
        }
        if let Some(message) = self.replay.pop_front() {
            self.message(message);
            return Ok(true);
        }
        let Some((message, length)) = codec::read_message(self.unread())? else { return Ok(false) };
        self.consumed += length;
        if self.consumed == self.input.len() {
            self.input.clear();
            self.input.shrink_to(INPUT_SLACK_BYTES); // A large message's memory is not kept.
            self.consumed = 0;
        }
        self.message(message);
        Ok(true)
    }

    fn message(&mut self, message: Frontend) {
        let is_work = matches!(
            message,
            Frontend::Query(_)
                | Frontend::Parse { .. }
                | Frontend::Bind(_)
                | Frontend::Execute { .. }
        );
        if is_work && !self.skipping {
            self.statement_time = self.now;
            if self.transaction_time.is_none() {
                self.transaction_time = Some(self.now);
                self.settings.begin_transaction();
            }
        }
        match message {
            Frontend::Terminate => self.phase = Phase::Closing,
            Frontend::Sync if self.deferred.is_some() => self.run_deferred(),
            Frontend::Sync => self.sync(),
            // It ends the skipping like any Sync.
            Frontend::Wrong { error, is_sync: true, .. } => self.wrong(&error, false),
            _ if self.skipping => {}
            Frontend::Wrong { error, is_extended, .. } => self.wrong(&error, is_extended),
            message if self.deferred.is_some() => self.hold(message),
            Frontend::Query(text) => self.simple_query(text),
            Frontend::Parse { name, text, parameter_types } => {
                self.parse_message(name, text, parameter_types);
            }
            Frontend::Bind(bind) => self.bind_message(bind),
            Frontend::Describe(target, name) => self.describe(target, &name),
            Frontend::Execute { portal, rows_max } => self.execute(portal, rows_max),
            Frontend::Close(target, name) => self.close(target, &name),
            Frontend::Flush => self.sendable = self.out.len(),
            // PostgreSQL ignores COPY messages outside of COPY, which a client sends after an error.
            Frontend::Copy => {}
        }
    }

    /// The answer to the request that is out.
    pub fn resume(&mut self, outcome: Outcome) {
        if !self.awaiting {
            return; // The session gave the statement up in the meantime.
        }
        assert!(self.outcome.is_none(), "a request is answered once");
        self.outcome = Some(outcome);
    }

    fn outcome(&mut self, outcome: Outcome) {
        let outcome = match self.cancelled.take() {
            Some(error) => Outcome::Failed(error),
            None => outcome,
        };
        match std::mem::replace(&mut self.activity, Activity::None) {
            Activity::None => unreachable!("an outcome belongs to an activity"),
            activity @ (Activity::Splitting
            | Activity::Preparing { .. }
            | Activity::Running { .. }) => self.simple_outcome(activity, outcome),
            Activity::Parsing { name } => self.parse_outcome(name, outcome),
            Activity::Renewing { name, message } => self.renew_outcome(name, message, outcome),
            Activity::Executing { portal, rows_max } => {
                self.execute_outcome(portal, rows_max, outcome);
            }
        }
        if self.out.len() - self.taken > EARLY_BYTES {
            self.sendable = self.out.len();
        }
    }

    /// Asks for something and waits.
    pub(super) fn ask(&mut self, request: Request, activity: Activity) {
        assert!(!self.awaiting, "one request at a time");
        self.awaiting = true;
        self.activity = activity;
        self.requests.push_back(request);
    }

    /// Tells something that has no answer.
    pub(super) fn tell(&mut self, request: Request) {
        self.requests.push_back(request);
    }

    /// The next request of the session.
    pub fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Takes output that may be sent, at most so many bytes.
    pub fn take_out(&mut self, bytes_max: usize) -> Option<Vec<u8>> {
        let end = self.sendable.min(self.taken.saturating_add(bytes_max));
        let bytes = self.out.get(self.taken..end).filter(|bytes| !bytes.is_empty())?.to_vec();
        self.taken = end;
        // What is moved is never more than what has left since the last time.
        if self.taken >= self.out.len() / 2 {
            self.out.drain(..self.taken);
            self.sendable -= self.taken;
            self.taken = 0;
            if self.out.is_empty() {
                self.out = Vec::new(); // A large answer's memory is not kept.
            }
        }
        Some(bytes)
    }

    /// Whether it still waits for a whole startup packet.
    pub fn is_starting(&self) -> bool {
        self.phase == Phase::Startup
    }

    /// Whether no statement runs and none has been begun.
    pub fn is_idle(&self) -> bool {
        matches!(self.activity, Activity::None) && self.deferred.is_none() && !self.awaiting
    }

    /// Whether the client was told that a transaction may begin, and has begun none.
    pub fn is_between_transactions(&self) -> bool {
        self.phase == Phase::Ready && self.transaction_time.is_none() && self.is_idle()
    }

    /// Ends the running statement with an error (57014, 57P01); without one it does nothing, but a
    /// FATAL error ends the session in any case.
    pub fn cancel(&mut self, error: Error) {
        if error.severity == Severity::Fatal {
            self.end(&error);
        } else if self.awaiting {
            self.tell(Request::Stop);
            self.outcome = Some(Outcome::Failed(error.clone()));
            self.cancelled = Some(error);
        }
    }

    /// Writes a FATAL error and ends the session, which ends once: nothing is said after it.
    pub(super) fn end(&mut self, error: &Error) {
        if self.phase == Phase::Closing {
            return;
        }
        let fatal = error.clone().with_severity(Severity::Fatal);
        codec::write_error(&mut self.out, &fatal);
        if matches!(self.activity, Activity::Running { .. } | Activity::Executing { .. }) {
            self.tell(Request::Stop);
        }
        self.awaiting = false;
        self.activity = Activity::None;
        self.phase = Phase::Closing;
        self.sendable = self.out.len();
    }

    /// Writes an error of the current message; in the extended protocol what follows is skipped.
    /// It leaves at once: there are clients that send Sync only when they have seen it.
    pub(super) fn fail_extended(&mut self, error: &Error) {
        self.undo_settings();
        codec::write_error(&mut self.out, error);
        self.sendable = self.out.len();
        self.skipping = true;
    }

    /// Ends the implicit transaction and says that the next may begin.
    pub(super) fn ready(&mut self) {
        self.skipping = false;
        self.transaction_time = None;
        self.drop_portals();
        self.end_settings();
        codec::write_message(&mut self.out, b'Z', |out| out.push(b'I'));
        self.sendable = self.out.len();
    }

    /// A message is not what it should be; where it begins and ends is not in doubt.
    fn wrong(&mut self, error: &Error, is_extended: bool) {
        // A write that waits for its Sync is not run: its transaction has failed.
        self.deferred = None;
        self.fail_extended(error);
        if !is_extended {
            self.ready();
        }
    }

    /// Forgets all portals, and gives up what one of them has not sent.
    pub(super) fn drop_portals(&mut self) {
        if self.portals.values().any(Portal::is_suspended) {
            self.tell(Request::Stop);
        }
        self.portals.clear();
    }

    fn sync(&mut self) {
        self.ready();
    }

    /// The error for a second statement beside a write.
    pub(super) fn not_alone() -> Error {
        Error::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "a write together with other statements in one transaction is not supported",
        )
        .with_detail("Each statement commits by itself; nothing of this one was done.")
        .with_hint("Send a write as the last statement of its query string or before its Sync.")
    }
}

#[cfg(test)]
mod tests {
    use phantom_sql::bind::{Context, prepare};
    use phantom_sql::catalog::CatalogSnapshot;
    use phantom_types::{Batch, Column, Datum, TypeId};

    use super::super::Piece;
    use super::*;

    /// A session that has begun.
    fn started() -> PgSession {
        let mut session = PgSession::new(Identity { pid: 1, secret: 2 });
        let body = b"\0\x03\0\0user\0demo\0database\0postgres\0\0";
        session.feed(&(body.len() as u32 + 4).to_be_bytes());
        session.feed(body);
        assert_eq!(session.step(0), Progress::Idle);
        session
    }

    fn prepared(session: &PgSession, text: &str) -> Arc<Prepared> {
        let (catalog, eval) = (CatalogSnapshot::default(), session.eval());
        let (settings, role) = (session.settings(), session.role());
        let context = Context { catalog: &catalog, settings, role, eval: &eval };
        Arc::new(prepare(text, &[], context).expect("it binds"))
    }

    /// A session that has asked for the rows of `SELECT 'x'`.
    fn selecting() -> PgSession {
        let mut session = started();
        session.feed(b"Q\0\0\0\x0fSELECT 'x'\0");
        assert_eq!(session.step(0), Progress::Waiting);
        let Some(Request::Split(text)) = session.next_request() else { panic!("a text is split") };

        let prepared = Some(prepared(&session, &text));
        session.resume(Outcome::Text(vec![Piece { text, offset: 0, is_write: false, prepared }]));
        assert_eq!(session.step(0), Progress::Waiting);
        assert!(matches!(session.next_request(), Some(Request::Run { .. })));
        session
    }

    #[test]
    fn a_client_that_sends_no_more_is_answered_before_its_session_ends() {
        let mut session = selecting();
        session.feed(b"");
        assert_eq!(session.step(0), Progress::Waiting, "for its rows");
        session.resume(Outcome::Done { rows: 0, notices: Vec::new() });
        assert_eq!(session.step(0), Progress::Closing);
        let out = session.take_out(1 << 20).expect("an answer");
        assert!(out.ends_with(b"Z\0\0\0\x05I"), "{out:?}");
    }

    #[test]
    fn a_text_can_be_cancelled_before_any_of_its_statements_runs() {
        for message in [&b"Q\0\0\0\x0fSELECT 'x'\0"[..], b"P\0\0\0\x12\0SELECT 'x'\0\0\0"] {
            let mut session = started();
            session.feed(message);
            assert_eq!(session.step(0), Progress::Waiting);
            let asked = session.next_request();
            assert!(matches!(asked, Some(Request::Split(_) | Request::Prepare { .. })));
            session.cancel(Error::new(sqlstate::QUERY_CANCELED, "canceling statement"));
            assert!(
                matches!(session.next_request(), Some(Request::Stop)),
                "the pool need not go on"
            );
            assert_eq!(session.step(0), Progress::Idle);
            let out = session.take_out(1 << 20).expect("an error");
            assert!(out.windows(7).any(|bytes| bytes == b"C57014\0"), "{out:?}");
        }
    }

    #[test]
    fn a_message_whose_rest_never_comes_ends_its_session() {
        let mut session = PgSession::new(Identity { pid: 1, secret: 2 });
        session.feed(b"\0\0\0\x20\0\x03");
        assert_eq!(session.step(0), Progress::Idle);
        session.feed(b"");
        assert_eq!(session.step(0), Progress::Closing);
    }

    #[test]
    fn time_stands_still_until_the_next_transaction_may_begin() {
        let mut session = started();
        let mut times = |message: &[u8], now: i64| {
            session.feed(message);
            session.step(now);
            let eval = session.eval();
            (eval.transaction_time, eval.statement_time)
        };
        assert_eq!(times(b"B\0\0\0\x10\0none\0\0\0\0\0\0\0", 5), (5, 5));
        assert_eq!(times(b"S\0\0\0\x04", 6).0, 6, "after an error");
        assert_eq!(times(b"Q\0\0\0\x0dSELECT 1\0", 7), (7, 7));
        assert_eq!(times(b"", 8), (7, 7), "while it is split, bound and run");
    }

    #[test]
    fn a_named_statement_leaves_the_unnamed_one() {
        let mut session = started();
        for parse in [&b"P\0\0\0\x10\0SELECT 1\0\0\0"[..], b"P\0\0\0\x11n\0SELECT 1\0\0\0"] {
            session.feed(parse);
            assert_eq!(session.step(0), Progress::Waiting);
            let Some(Request::Prepare { text, .. }) = session.next_request() else { panic!() };
            let statement = prepared(&session, &text);
            session.resume(Outcome::Prepared(statement, 0));
        }
        session.feed(b"B\0\0\0\x0c\0\0\0\0\0\0\0\0");
        assert_eq!(session.step(0), Progress::Idle);
        assert!(session.out.ends_with(b"1\0\0\0\x041\0\0\0\x042\0\0\0\x04"), "{:?}", session.out);
    }

    #[test]
    fn rows_without_columns_are_described() {
        let mut session = started();
        for text in ["SELECT", "SELECT WHERE false"] {
            session.out.clear();
            let statement = prepared(&session, text);
            session.row_description(&statement, &[]);
            assert_eq!(session.out, b"T\0\0\0\x06\0\0", "{text}");
        }
        session.out.clear();
        let statement = prepared(&session, "SET TimeZone = 'UTC'");
        session.row_description(&statement, &[]);
        assert_eq!(session.out, b"n\0\0\0\x04");
    }

    #[test]
    fn what_cannot_be_planned_is_prepared_and_described_but_not_bound() {
        let mut session = started();
        session.out.clear();
        session.feed(b"P\0\0\0\x14\0SELECT 1 / 0\0\0\0");
        session.step(0);
        let Some(Request::Prepare { text, .. }) = session.next_request() else { panic!() };
        let statement = prepared(&session, &text);
        session.resume(Outcome::Prepared(statement, 0));
        session.feed(b"D\0\0\0\x06S\0");
        session.step(0);
        assert!(session.out.starts_with(b"1\0\0\0\x04t\0\0\0\x06\0\0T"), "{:?}", session.out);
        session.out.clear();
        session.feed(b"B\0\0\0\x0c\0\0\0\0\0\0\0\0");
        assert_eq!(session.step(0), Progress::Idle);
        assert!(session.out.starts_with(b"E"), "{:?}", session.out);
        assert!(session.out.windows(6).any(|part| part == b"C22012"), "{:?}", session.out);
    }

    #[test]
    fn output_leaves_in_order_whatever_the_pieces() {
        let mut session = selecting();
        session.resume(Outcome::Done { rows: 0, notices: Vec::new() });
        session.step(0);
        let mut expected = session.out.clone();
        let mut got = Vec::new();
        for (at, piece) in [1, 7, 2, 30, 1, 1, 1_000].into_iter().enumerate() {
            got.extend(session.take_out(piece).unwrap_or_default());
            if at < 5 {
                // More comes while some of it is on its way.
                let more = Error::internal("more");
                codec::write_error(&mut session.out, &more);
                session.sendable = session.out.len();
                codec::write_error(&mut expected, &more);
            }
        }
        assert_eq!(got, expected);
        assert_eq!((session.take_out(1), session.out.capacity()), (None, 0));
    }

    #[test]
    fn a_session_ends_once() {
        let mut session = started();
        session.out.clear();
        let end = Error::new(sqlstate::ADMIN_SHUTDOWN, "an end").with_severity(Severity::Fatal);
        session.cancel(end.clone());
        let written = session.out.clone();
        assert!(written.starts_with(b"E"));
        session.cancel(end.clone());
        session.end(&end);
        assert_eq!(session.out, written);
    }

    #[test]
    fn a_client_that_does_not_read_is_sent_no_more_rows() {
        let mut session = selecting();
        let text = Datum::text(&"x".repeat(100_000));
        let column = Column::constant(TypeId::TEXT, &text, 3);
        let rows = || Outcome::Rows(Batch::new(vec![column.clone()], 3));
        session.resume(rows());
        session.step(0);
        assert!(matches!(session.next_request(), Some(Request::More)));
        let written = session.out.len();
        assert!(written > 300_000);
        // More rows have come. They wait, however often it is stepped.
        session.resume(rows());
        for _ in 0..3 {
            assert_eq!(session.step(0), Progress::Flooded);
            assert_eq!((session.out.len(), session.requests.len()), (written, 0));
        }
        while session.take_out(1 << 18).is_some() {}
        assert_eq!(session.step(0), Progress::Flooded, "by the rows that waited");
        assert!(matches!(session.next_request(), Some(Request::More)));
        assert!(session.out.len() > 300_000);
    }
}
