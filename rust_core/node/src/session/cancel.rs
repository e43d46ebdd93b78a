//! The end of statements that a client, or the time that it gave them, wants ended.
//!
//! A read ends at once: nobody will miss what it does not find. What changes something may be past the
//! point of no return, and only who carries it out knows: the leader for rows, the control plane for
//! schemas. They are asked, and their answer is the statement's: the error that the client expects where
//! nothing was done, else what has happened. Who does not tell within two seconds, since a disk hangs
//! or a leader is gone, is waited for no longer: the outcome is unknown (40003).

use phantom_base::{Error, Nanos, Severity, sqlstate};
use phantom_sql::statement::Body;
use phantom_wire::pg::Identity;

use super::state::Running;
use super::{Below, SessionEvent, SessionId, Sessions};
use crate::gateway::{Input, Owner};

/// How long is waited for what has become of a change that was asked to end.
const TOLD_NS: Nanos = 2_000_000_000;

impl Sessions {
    /// Ends the running statement with an error; a FATAL one ends the session.
    pub fn cancel(&mut self, below: &mut Below<'_>, id: SessionId, error: Error) {
        let Some(session) = self.live.get_mut(&id) else { return };
        // Who asks again waits no longer for it.
        let is_asked = session.running.as_ref().is_some_and(|running| running.cancelled.is_some());
        if error.severity != Severity::Fatal
            && let Some(running) = session.running.as_mut()
            && running.is_given
            && below.gateway.is_write_at_leader(Owner::Session(id, running.number))
        {
            below.tell(Input::AskToCancel(Owner::Session(id, running.number)));
            // It may be too late: how it ends is told as what it was.
            running.cancelled.get_or_insert(error);
            self.wait_to_be_told(id, below.now, is_asked);
            return;
        }
        if error.severity != Severity::Fatal && self.withdraw(id, &error) {
            self.wait_to_be_told(id, below.now, is_asked);
            return;
        }
        let Some(session) = self.live.get_mut(&id) else { return };
        session.pg.cancel(error);
        self.advance(below, id);
    }

    /// Ends a session with 57P01 if no statement runs in it.
    pub fn end_if_idle(&mut self, below: &mut Below<'_>, id: SessionId) {
        if self.live.get(&id).is_some_and(|session| session.pg.is_idle()) {
            let message = "terminating connection due to administrator command";
            let error = Error::new(sqlstate::ADMIN_SHUTDOWN, message);
            self.cancel(below, id, error.with_severity(Severity::Fatal));
        }
    }

    /// Ends the running statement of the session with that pid, if the secret is right.
    pub fn cancel_by_key(&mut self, below: &mut Below<'_>, pid: u32, secret: u32) -> bool {
        let wanted = Identity { pid, secret };
        let Some(id) = self.by_pid.get(&pid).copied() else { return false };
        if self.live.get(&id).is_none_or(|session| session.pg.identity() != wanted) {
            return false;
        }
        let message = "canceling statement due to user request";
        let error = Error::new(sqlstate::QUERY_CANCELED, message);
        self.cancel(below, id, error.with_routine("ProcessInterrupts"));
        true
    }

    /// Asks the control plane to give a schema change up; whether it has one. It answers in any case.
    fn withdraw(&mut self, id: SessionId, why: &Error) -> bool {
        let Some(session) = self.live.get_mut(&id) else { return false };
        let (Some(running), Some(asked)) = (session.running.as_mut(), session.asked) else {
            return false;
        };
        let changes = matches!(running.statement.body, Body::CreateTable(_) | Body::DropTable(_));
        if !changes || session.event.is_some() {
            return false; // Nobody has begun with it.
        }
        running.cancelled = Some(why.clone());
        let mut body = Vec::new();
        minicbor::Encoder::new(&mut body).u64(asked).expect("a Vec takes every write");
        session.event = Some(SessionEvent { id: self.next_event, kind: "withdraw", body });
        self.next_event += 1;
        self.notify.insert(id);
        true
    }

    /// Waits for what has become of a change, but not for ever.
    fn wait_to_be_told(&mut self, id: SessionId, now: Nanos, waits: bool) {
        if waits {
            return;
        }
        let Some(session) = self.live.get_mut(&id) else { return };
        let Some(running) = session.running.as_mut() else { return };
        if let Some(deadline) = running.deadline.replace(now + TOLD_NS) {
            self.deadlines.remove(&(deadline, id));
        }
        self.deadlines.insert((now + TOLD_NS, id));
    }

    /// Nobody has told what has become of a change that was asked to end.
    fn was_not_told(&mut self, below: &mut Below<'_>, id: SessionId, why: &Error) {
        phantom_base::mark!("a_cancelled_write_was_not_told");
        let message = format!("{}, and what has become of it is unknown", why.message);
        let error = Error::new(sqlstate::STATEMENT_COMPLETION_UNKNOWN, message)
            .with_hint("Look whether it took effect before you send it again.");
        let Some(session) = self.live.get_mut(&id) else { return };
        session.pg.cancel(error);
        self.advance(below, id);
    }

    /// When the next statement has used up its time.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Sets `idle_session_timeout` going for a session whose client was told that it may begin.
    pub(super) fn watch_idleness(&mut self, now: Nanos, id: SessionId) {
        let Some(session) = self.live.get_mut(&id) else { return };
        let timeout = session.pg.settings().idle_session_timeout_ms();
        if timeout == 0 || session.idle_until.is_some() || !session.pg.is_between_transactions() {
            return;
        }
        let end = now + timeout * 1_000_000;
        session.idle_until = Some(end);
        self.deadlines.insert((end, id));
    }

    fn end_idle(&mut self, below: &mut Below<'_>, id: SessionId) {
        let message = "terminating connection due to idle-session timeout";
        let error = Error::new(sqlstate::IDLE_SESSION_TIMEOUT, message);
        let Some(session) = self.live.get_mut(&id) else { return };
        session.idle_until = None;
        session.pg.cancel(error.with_severity(Severity::Fatal).with_routine("ProcessInterrupts"));
        self.advance(below, id);
    }

    pub(super) fn pass_deadlines(&mut self, below: &mut Below<'_>) {
        while let Some((deadline, id)) = self.deadlines.first().copied() {
            if deadline > below.now {
                break;
            }
            self.deadlines.remove(&(deadline, id));
            if self.live.get(&id).is_some_and(|session| session.idle_until == Some(deadline)) {
                self.end_idle(below, id);
                continue;
            }
            let running = self.live.get(&id).and_then(|session| session.running.as_ref());
            if let Some(why) = running.and_then(|running| running.cancelled.clone()) {
                self.was_not_told(below, id, &why);
                continue;
            }
            let message = "canceling statement due to statement timeout";
            let error = Error::new(sqlstate::QUERY_CANCELED, message);
            self.cancel(below, id, error.with_routine("ProcessInterrupts"));
        }
    }
}

impl Running {
    /// What a client is told of a failure: the reason of a cancellation, if it was in time.
    pub(super) fn failure(&mut self, error: Error) -> Error {
        match self.cancelled.take() {
            Some(why) if error.sqlstate == sqlstate::QUERY_CANCELED => why,
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::SeededRandom;
    use phantom_base::sync::Arc;

    use super::*;
    use crate::catalog::Catalog;
    use crate::runtime::Runtime;
    use crate::runtime::real::RealSpawner;
    use crate::session::{Door, SLOTS};

    #[test]
    fn a_session_keeps_its_pid_for_itself_when_pids_come_round() {
        let runtime = Runtime::inline(Arc::new(RealSpawner), SeededRandom::new(1));
        let mut sessions = Sessions::new(3, 100, Catalog::default(), Arc::new(runtime));
        let first = sessions.open(Door::Pg, 7).expect("there is room");
        sessions.next = first + SLOTS as u64;
        let second = sessions.open(Door::Pg, 7).expect("there is room");
        let pid = |id| sessions.live.get(&id).expect("it is open").pg.identity().pid;
        assert_ne!(pid(first), pid(second));
        for id in [first, second] {
            assert_eq!(sessions.by_pid.get(&pid(id)), Some(&id));
        }
    }
}
