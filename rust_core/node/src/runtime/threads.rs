//! The threaded runtime: a thread or more a service, workers a pool, a count of who still runs.

use std::sync::Arc;
use std::time::Duration;

use phantom_base::Spawner;
use phantom_base::sync::{Condvar, Mutex};

use super::queue::{JobQueue, ParseQueue};
use super::{
    Job, PARSE_STACK_BYTES, PARSE_WORKERS, Pool, SQL_STACK_BYTES, Service, Steps, one_step,
};

/// How long a service sleeps at most before it looks again: what it waits on may have no bell.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Threads that have started and not ended.
#[derive(Default)]
pub struct Alive {
    count: Mutex<usize>,
    ended: Condvar,
}

impl Alive {
    /// Starts a thread and counts it until its body has ended, by a panic too.
    pub fn spawn(
        self: &Arc<Self>,
        spawner: &dyn Spawner,
        name: &str,
        stack_bytes: usize,
        body: impl FnOnce() + Send + 'static,
    ) {
        struct Ended(Arc<Alive>);
        impl Drop for Ended {
            fn drop(&mut self) {
                *self.0.count.lock() -= 1;
                self.0.ended.notify_all();
            }
        }
        *self.count.lock() += 1;
        let ended = Ended(Arc::clone(self));
        let body = move || {
            let _ended = ended;
            body();
        };
        spawner.spawn(name, stack_bytes, Box::new(body));
    }

    /// Starts the workers of the parse pool.
    pub fn parse(self: &Arc<Self>, spawner: &dyn Spawner, queue: &Arc<ParseQueue>) {
        for n in 0..PARSE_WORKERS {
            let queue = Arc::clone(queue);
            let body = move || queue.work(n == 0);
            self.spawn(spawner, &format!("parse-{n}"), PARSE_STACK_BYTES, body);
        }
    }

    /// Waits until all have ended.
    pub fn wait(&self) {
        let mut count = self.count.lock();
        while *count > 0 {
            self.ended.wait(&mut count);
        }
    }
}

/// Real workers.
pub struct Threads {
    spawner: Arc<dyn Spawner>,
    alive: Arc<Alive>,
    sql: Arc<JobQueue>,
    parse: Arc<ParseQueue>,
    background: Arc<JobQueue>,
}

impl Threads {
    pub fn new(spawner: Arc<dyn Spawner>, cores: usize) -> Self {
        let queue = Arc::<JobQueue>::default;
        let threads = Self {
            spawner,
            alive: Arc::default(),
            sql: queue(),
            parse: Arc::default(),
            background: queue(),
        };
        threads.work_off("sql", cores, SQL_STACK_BYTES, &threads.sql);
        threads.alive.parse(&*threads.spawner, &threads.parse);
        threads.work_off("background", 1, 0, &threads.background);
        threads
    }

    fn work_off(&self, name: &str, workers: usize, stack_bytes: usize, queue: &Arc<JobQueue>) {
        for n in 0..workers {
            let queue = Arc::clone(queue);
            let body = move || {
                while let Some(job) = queue.pop() {
                    job();
                }
            };
            self.alive.spawn(&*self.spawner, &format!("{name}-{n}"), stack_bytes, body);
        }
    }

    pub fn submit(&self, pool: Pool, job: Job) {
        match pool {
            Pool::Sql => self.sql.push(job),
            Pool::Parse => self.parse(one_step(job), false),
            Pool::Background => self.background.push(job),
        }
    }

    pub fn parse(&self, steps: Steps, is_long: bool) {
        self.parse.push(steps, is_long);
    }

    pub fn serve(&self, name: &str, workers: usize, service: &Arc<dyn Service>) {
        for n in 0..workers {
            let service = Arc::clone(service);
            let body = move || {
                loop {
                    while service.step() {}
                    if !service.wait(LOOK_AGAIN) {
                        // What arrived before the end is still done.
                        while service.step() {}
                        break;
                    }
                }
            };
            self.alive.spawn(&*self.spawner, &format!("{name}-{n}"), 0, body);
        }
    }

    /// Runs a job on a thread that `close` does not wait for.
    pub fn run_apart<T: Send + 'static>(
        &self,
        name: &str,
        patience: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let done = Arc::new((Mutex::new(None), Condvar::new()));
        let told = Arc::clone(&done);
        let body = move || {
            let outcome = job();
            *told.0.lock() = Some(outcome);
            told.1.notify_all();
        };
        self.spawner.spawn(name, 0, Box::new(body));
        let mut outcome = done.0.lock();
        if outcome.is_none() {
            done.1.wait_for(&mut outcome, patience);
        }
        outcome.take()
    }

    /// Waits for all workers. Services must have been told to end.
    pub fn close(&self) {
        self.close_queues();
        self.alive.wait();
    }

    fn close_queues(&self) {
        self.parse.close();
        for queue in [&self.sql, &self.background] {
            queue.close();
        }
    }
}

impl Drop for Threads {
    /// Lets the workers go, but does not wait: services may be served still.
    fn drop(&mut self) {
        self.close_queues();
    }
}
