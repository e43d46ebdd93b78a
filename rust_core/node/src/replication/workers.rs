//! The log worker and the flush and compaction workers, as services of the runtime.

use std::sync::Arc;
use std::time::Duration;

use phantom_base::mark;
use phantom_log::Log;
use phantom_lsm::Engine;

use crate::runtime::{Doorbell, Mailbox, Service};

/// The log was idle for so long: an idle record follows what was written last.
const IDLE_AFTER: Duration = Duration::from_millis(100);

/// Writes and syncs what is queued.
pub struct LogWorker {
    log: Arc<Log>,
    /// Rung when more is durable, or the log has failed; the node looks for itself.
    mailbox: Mailbox<()>,
}

impl LogWorker {
    /// The worker of `log`.
    pub fn new(log: Arc<Log>, mailbox: Mailbox<()>) -> Self {
        Self { log, mailbox }
    }
}

impl Service for LogWorker {
    fn step(&self) -> bool {
        if !self.log.pause().is_zero() {
            return false;
        }
        let Some(mut work) = self.log.work() else { return false };
        let is_sync = work.is_sync();
        let result = work.run();
        let tell = is_sync || result.is_err();
        self.log.done(work, result);
        if tell {
            self.mailbox.post(());
        }
        true
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.log.rest(self.log.pause());
        let before = self.log.end();
        let more = self.log.wait_for_work(timeout);
        if more && timeout >= IDLE_AFTER && self.log.end() == before {
            // A failure here is the log's own and is found by whoever pushes next.
            let _ = self.log.push_idle();
        }
        more
    }
}

/// Flushes and compacts.
pub struct EngineWorker {
    engine: Arc<Engine>,
    doorbell: Doorbell,
}

impl EngineWorker {
    /// A worker of `engine`; several threads may serve it.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, doorbell: Doorbell::default() }
    }

    /// There may be work: something was applied.
    pub fn ring(&self) {
        self.doorbell.ring();
    }

    /// There will be no more work.
    pub fn close(&self) {
        self.doorbell.close();
    }
}

impl Service for EngineWorker {
    fn step(&self) -> bool {
        let Some(job) = self.engine.next_job() else { return false };
        // A failed job is undone and offered again; the next look comes after a wait. What
        // poisons the engine surfaces where entries are applied.
        let done = job.run().is_ok();
        if !done {
            mark!("background_job_failed");
        }
        done
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.doorbell.wait(timeout)
    }
}
