//! The inline runtime: everything that could be done now, one item at a time, by a seeded choice.

use std::sync::Arc;

use phantom_base::sync::{AtomicBool, Mutex, Ordering};
use phantom_base::{Random, SeededRandom, Spawner};

use super::queue::{JobQueue, ParseQueue};
use super::threads::Alive;
use super::{Job, Mailbox, Pool, Service, Steps, one_step};
use crate::runtime::Bell;

/// The service that writes and syncs the log.
const LOG: &str = "log";

/// One source of items.
#[derive(Clone)]
enum Source {
    Jobs(Arc<JobQueue>),
    Service(&'static str, Arc<dyn Service>),
}

impl Source {
    fn step(&self) -> bool {
        match self {
            Self::Jobs(queue) => queue.try_pop().map(|job| job()).is_some(),
            Self::Service(_, service) => service.step(),
        }
    }

    fn is_the_log(&self) -> bool {
        matches!(self, Self::Service(name, _) if *name == LOG)
    }
}

/// A runtime without threads of its own.
pub struct Inline {
    spawner: Arc<dyn Spawner>,
    alive: Arc<Alive>,
    random: Mutex<SeededRandom>,
    sql: Arc<JobQueue>,
    background: Arc<JobQueue>,
    services: Mutex<Vec<Source>>,
    parse: Mutex<Option<Arc<ParseQueue>>>,
    /// Whether jobs of the SQL pool wait, as behind one that takes long.
    sql_waits: AtomicBool,
    /// Whether the log's worker waits, as in a sync that takes long.
    log_waits: AtomicBool,
}

impl Inline {
    pub fn new(spawner: Arc<dyn Spawner>, random: SeededRandom) -> Self {
        Self {
            spawner,
            alive: Arc::default(),
            random: Mutex::new(random),
            sql: Arc::default(),
            background: Arc::default(),
            services: Mutex::default(),
            parse: Mutex::default(),
            sql_waits: AtomicBool::new(false),
            log_waits: AtomicBool::new(false),
        }
    }

    pub fn submit(&self, pool: Pool, job: Job) {
        match pool {
            Pool::Sql => self.sql.push(job),
            Pool::Background => self.background.push(job),
            Pool::Parse => self.parse_and_wait(one_step(job)),
        }
    }

    pub fn serve(&self, name: &'static str, service: Arc<dyn Service>) {
        self.services.lock().push(Source::Service(name, service));
    }

    pub fn let_sql_wait(&self, waits: bool) {
        self.sql_waits.store(waits, Ordering::Relaxed);
    }

    pub fn let_log_wait(&self, waits: bool) {
        self.log_waits.store(waits, Ordering::Relaxed);
    }

    /// Asks all sources in a drawn order and stops at the first that did something.
    pub fn step(&self) -> bool {
        let mut sources = self.services.lock().clone();
        if self.log_waits.load(Ordering::Relaxed) {
            sources.retain(|source| !source.is_the_log());
        }
        if !self.sql_waits.load(Ordering::Relaxed) {
            sources.push(Source::Jobs(Arc::clone(&self.sql)));
        }
        sources.push(Source::Jobs(Arc::clone(&self.background)));
        while !sources.is_empty() {
            let drawn = self.random.lock().below(sources.len() as u64) as usize;
            if sources.swap_remove(drawn).step() {
                return true;
            }
        }
        false
    }

    pub fn parse_and_wait(&self, mut steps: Steps) {
        let queue = Arc::clone(self.parse.lock().get_or_insert_with(|| self.parse_workers()));
        let done = Mailbox::new(Bell::silent());
        let (ended, post) = (Arc::new(super::Doorbell::default()), done.clone());
        let ring = Arc::clone(&ended);
        let all = move || {
            while steps() {}
            post.post(());
            ring.ring();
        };
        queue.push(one_step(Box::new(all)), false);
        while done.take().is_empty() {
            ended.wait(std::time::Duration::from_secs(1));
        }
    }

    fn parse_workers(&self) -> Arc<ParseQueue> {
        let queue = Arc::<ParseQueue>::default();
        self.alive.parse(&*self.spawner, &queue);
        queue
    }

    /// Jobs that were not stepped are dropped: a simulated node stops where it stands.
    pub fn close(&self) {
        self.services.lock().clear();
        if let Some(queue) = &*self.parse.lock() {
            queue.close();
        }
        self.alive.wait();
    }
}

impl Drop for Inline {
    fn drop(&mut self) {
        self.close();
    }
}
