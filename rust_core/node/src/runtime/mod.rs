//! Who does a node's work: threads, or one job at a time under a seed.
//!
//! The rest of the node speaks of *jobs* (run once, on a pool) and *services* (asked for their next
//! item again and again: the log's writes and syncs, apply, flushes). `Threads` gives each service a
//! thread or more and each pool its workers. `Inline` makes no thread: `step` runs one item of a
//! seeded choice among the ready, so that a simulation runs the shipped code in an order that the
//! seed repeats. The parse pool is the exception: a pure function that needs a deep stack, it has
//! its threads in both, and inline `submit` waits for it.
//!
//! What a worker has to say goes into a `Mailbox` and rings one eventfd; no worker calls into the
//! node's state.

mod inline;
mod mailbox;
mod queue;
pub mod real;
mod threads;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use phantom_base::{SeededRandom, Spawner};

pub use mailbox::{Bell, Mailbox};
pub use queue::Doorbell;

use inline::Inline;
use threads::Threads;

/// The stack of a parse worker: PostgreSQL's grammar recurses as deep as the text does.
const PARSE_STACK_BYTES: usize = phantom_sql::parse::STACK_BYTES;

/// The stack of a SQL worker: it compiles and evaluates what was bound, as deep as that may be.
const SQL_STACK_BYTES: usize = phantom_sql::bound::depth::STACK_BYTES;

/// How many parse workers there are: parsing is rare. Only the first takes long texts.
const PARSE_WORKERS: usize = 2;

/// Work that is run once.
pub type Job = Box<dyn FnOnce() + Send>;

/// Work that is done step by step; false once there is none left.
pub type Steps = Box<dyn FnMut() -> bool + Send>;

/// Where a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Steps of fragments; a worker a core.
    Sql,
    /// Parse and bind, short texts; workers with deep stacks.
    Parse,
    /// File work beside flushes: removal of log segments.
    Background,
}

/// Work that comes by itself. Shared by all threads that serve it.
pub trait Service: Send + Sync {
    /// Does one item; false if there was none.
    fn step(&self) -> bool;

    /// Waits until there may be an item, at most `timeout`; false once there never will be.
    fn wait(&self, timeout: Duration) -> bool;
}

/// The workers of one node.
pub struct Runtime {
    mode: Mode,
    bell: Bell,
}

enum Mode {
    Threads(Threads),
    Inline(Inline),
}

impl Runtime {
    /// Real workers; `cores` SQL workers, at least one.
    pub fn threads(spawner: Arc<dyn Spawner>, cores: usize) -> std::io::Result<Self> {
        let bell = Bell::with_eventfd()?;
        Ok(Self { mode: Mode::Threads(Threads::new(spawner, cores.max(1))), bell })
    }

    /// No workers: `step` does everything, in an order that `random` draws. `spawner` makes the
    /// parse pool's threads when the first text is parsed.
    pub fn inline(spawner: Arc<dyn Spawner>, random: SeededRandom) -> Self {
        Self { mode: Mode::Inline(Inline::new(spawner, random)), bell: Bell::silent() }
    }

    /// Whether `step` must be called.
    pub fn is_inline(&self) -> bool {
        matches!(self.mode, Mode::Inline(_))
    }

    /// Inline: whether jobs of the SQL pool wait, as they do behind one that takes long.
    pub fn let_sql_wait(&self, waits: bool) {
        if let Mode::Inline(inline) = &self.mode {
            inline.let_sql_wait(waits);
        }
    }

    /// Inline: whether the log's worker waits, as it does in a sync that takes long.
    pub fn let_log_wait(&self, waits: bool) {
        if let Mode::Inline(inline) = &self.mode {
            inline.let_log_wait(waits);
        }
    }

    /// Hands a job to a pool. Inline, a job for the parse pool has ended when this returns.
    pub fn submit(&self, pool: Pool, job: Job) {
        match &self.mode {
            Mode::Threads(threads) => threads.submit(pool, job),
            Mode::Inline(inline) => inline.submit(pool, job),
        }
    }

    /// Hands work to the parse pool, which does its steps in turn with those of others. What is long
    /// holds up no short. Inline, it has ended when this returns.
    pub fn submit_steps(&self, steps: Steps, is_long: bool) {
        match &self.mode {
            Mode::Threads(threads) => threads.parse(steps, is_long),
            Mode::Inline(inline) => inline.parse_and_wait(steps),
        }
    }

    /// Serves `service` from now on, with as many threads as `workers` says.
    pub fn serve(&self, name: &'static str, workers: usize, service: Arc<dyn Service>) {
        match &self.mode {
            Mode::Threads(threads) => threads.serve(name, workers, &service),
            Mode::Inline(inline) => inline.serve(name, service),
        }
    }

    /// Runs one ready item; false if none was ready. Inline only: with threads nothing is left
    /// to do here.
    pub fn step(&self) -> bool {
        match &self.mode {
            Mode::Threads(_) => false,
            Mode::Inline(inline) => inline.step(),
        }
    }

    /// A queue into which workers post and from which the node takes.
    pub fn mailbox<T: Send>(&self) -> Mailbox<T> {
        Mailbox::new(self.bell.clone())
    }

    /// Readable while something was posted and not taken; `None` inline.
    pub fn wakefd(&self) -> Option<BorrowedFd<'_>> {
        self.bell.fd()
    }

    /// Makes `wakefd` unreadable; whoever it has woken calls this, and then has all taken.
    pub fn heard(&self) {
        self.bell.empty();
    }

    /// Lets the bell ring again. Call it before the mailboxes are emptied.
    pub fn hush(&self) -> bool {
        self.bell.hush()
    }

    /// Whether something was posted since the bell was hushed.
    pub fn has_rung(&self) -> bool {
        self.bell.has_rung()
    }

    /// Runs a job on a thread of its own and waits for it, `patience` at most; `None` if it has not
    /// ended by then: it goes on, and nobody waits for it any more. Inline it is run here.
    pub fn run_apart<T: Send + 'static>(
        &self,
        name: &'static str,
        patience: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match &self.mode {
            Mode::Threads(threads) => threads.run_apart(name, patience, job),
            Mode::Inline(_) => Some(job()),
        }
    }

    /// Waits until all services have ended (their `wait` said so) and all jobs are done.
    pub fn close(&self) {
        match &self.mode {
            Mode::Threads(threads) => threads.close(),
            Mode::Inline(inline) => inline.close(),
        }
    }
}

/// A job as its only step.
fn one_step(job: Job) -> Steps {
    let mut job = Some(job);
    Box::new(move || {
        if let Some(job) = job.take() {
            job();
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use phantom_base::sync::{AtomicUsize, Mutex, Ordering};

    use super::real::RealSpawner;
    use super::*;

    struct Countdown(AtomicUsize, Mailbox<usize>);

    impl Service for Countdown {
        fn step(&self) -> bool {
            let take = |left: usize| left.checked_sub(1);
            let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            left.map(|left| self.1.post(left)).is_ok()
        }

        fn wait(&self, _: Duration) -> bool {
            self.0.load(Ordering::SeqCst) > 0
        }
    }

    #[test]
    fn threads_run_all_jobs_and_services_before_close_returns() {
        let runtime = Runtime::threads(Arc::new(RealSpawner), 2).unwrap();
        let mailbox = runtime.mailbox();
        let service = Countdown(AtomicUsize::new(50), mailbox.clone());
        runtime.serve("countdown", 2, Arc::new(service));
        for n in 100..150 {
            let mailbox = mailbox.clone();
            let pool = [Pool::Sql, Pool::Parse, Pool::Background][n % 3];
            runtime.submit(pool, Box::new(move || mailbox.post(n)));
        }
        runtime.close();
        let mut posted = mailbox.take();
        posted.sort_unstable();
        assert_eq!(posted, (1..=50).chain(100..150).collect::<Vec<_>>());
        assert!(runtime.hush(), "the bell rang");
        assert!(!runtime.hush(), "once");
    }

    #[test]
    fn what_hangs_apart_is_not_waited_for() {
        let runtime = Runtime::threads(Arc::new(RealSpawner), 1).unwrap();
        let long = Duration::from_secs(600);
        assert_eq!(runtime.run_apart("quick", long, || 7), Some(7));
        let stuck = Arc::new(Doorbell::default());
        let held = Arc::clone(&stuck);
        let hang = move || held.wait(long);
        assert_eq!(runtime.run_apart("slow", Duration::from_millis(1), hang), None);
        stuck.close();
        runtime.close();
    }

    #[test]
    fn a_seed_repeats_the_order_and_another_changes_it() {
        let order = |seed| {
            let runtime = Runtime::inline(Arc::new(RealSpawner), SeededRandom::new(seed));
            let mailbox = runtime.mailbox();
            let service = Countdown(AtomicUsize::new(9), mailbox.clone());
            runtime.serve("countdown", 1, Arc::new(service));
            for n in 100..110 {
                let mailbox = mailbox.clone();
                let pool = [Pool::Sql, Pool::Background][n % 2];
                runtime.submit(pool, Box::new(move || mailbox.post(n)));
            }
            while runtime.step() {}
            mailbox.take()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert_eq!(order(3).len(), 19);
    }

    #[test]
    fn long_texts_take_turns_and_hold_no_short_one_up() {
        let runtime = Runtime::threads(Arc::new(RealSpawner), 1).unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        let (mailbox, bell) = (runtime.mailbox(), Arc::new(Doorbell::default()));
        // None of them ends before all short ones are done.
        for long in 0..8 {
            let (done, mailbox) = (Arc::clone(&done), mailbox.clone());
            let steps = move || {
                let is_over = done.load(Ordering::SeqCst) == 50;
                if is_over {
                    mailbox.post(long);
                }
                !is_over
            };
            runtime.submit_steps(Box::new(steps), true);
        }
        for _ in 0..50 {
            let (done, bell) = (Arc::clone(&done), Arc::clone(&bell));
            let short = move || {
                done.fetch_add(1, Ordering::SeqCst);
                bell.ring();
            };
            runtime.submit(Pool::Parse, Box::new(short));
        }
        while done.load(Ordering::SeqCst) < 50 {
            bell.wait(Duration::from_secs(1));
        }
        runtime.close();
        let mut ended = mailbox.take();
        ended.sort_unstable();
        assert_eq!(ended, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn inline_parsing_has_ended_when_submit_returns_and_has_a_deep_stack() {
        fn deep(n: u32) -> u32 {
            let room = std::hint::black_box([n; 64]);
            if n == 0 { room[0] } else { deep(n - 1) + 1 }
        }
        let runtime = Runtime::inline(Arc::new(RealSpawner), SeededRandom::new(1));
        let answer = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&answer);
        runtime.submit(Pool::Parse, Box::new(move || *seen.lock() = deep(60_000)));
        assert_eq!(*answer.lock(), 60_000);
        runtime.close();
    }
}
