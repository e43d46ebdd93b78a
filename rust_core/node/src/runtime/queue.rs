//! What workers wait on: a queue of jobs, the two lanes of the parse pool, and a doorbell.

use std::collections::VecDeque;
use std::time::Duration;

use phantom_base::sync::{Condvar, Mutex};

use super::{Job, Steps};

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Jobs of one pool, first in, first out.
#[derive(Default)]
pub struct JobQueue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl JobQueue {
    pub fn push(&self, job: Job) {
        let mut waiting = self.waiting.lock();
        assert!(!waiting.closed, "a job after the runtime was closed");
        waiting.jobs.push_back(job);
        self.arrived.notify_one();
    }

    /// The next job, without waiting.
    pub fn try_pop(&self) -> Option<Job> {
        self.waiting.lock().jobs.pop_front()
    }

    /// The next job; `None` once the queue is closed and empty.
    pub fn pop(&self) -> Option<Job> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            self.arrived.wait(&mut waiting);
        }
    }

    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.arrived.notify_all();
    }
}

#[derive(Default)]
struct Lanes {
    short: VecDeque<Steps>,
    long: VecDeque<Steps>,
    closed: bool,
}

/// Jobs of the parse pool. Short ones have a worker that takes no others, so that nobody's long texts
/// hold up all; long ones do a step at a time, in turn.
#[derive(Default)]
pub struct ParseQueue {
    lanes: Mutex<Lanes>,
    arrived: Condvar,
}

impl ParseQueue {
    pub fn push(&self, steps: Steps, is_long: bool) {
        let mut lanes = self.lanes.lock();
        assert!(!lanes.closed, "a job after the runtime was closed");
        if is_long { &mut lanes.long } else { &mut lanes.short }.push_back(steps);
        // Not every worker takes every job.
        self.arrived.notify_all();
    }

    /// Works until the queue is closed and empty.
    pub fn work(&self, takes_long: bool) {
        while let Some((mut steps, is_long)) = self.pop(takes_long) {
            if steps() {
                let mut lanes = self.lanes.lock();
                if is_long { &mut lanes.long } else { &mut lanes.short }.push_back(steps);
            }
        }
    }

    fn pop(&self, takes_long: bool) -> Option<(Steps, bool)> {
        let mut lanes = self.lanes.lock();
        loop {
            if takes_long && let Some(steps) = lanes.long.pop_front() {
                return Some((steps, true));
            }
            if let Some(steps) = lanes.short.pop_front() {
                return Some((steps, false));
            }
            if lanes.closed {
                return None;
            }
            self.arrived.wait(&mut lanes);
        }
    }

    pub fn close(&self) {
        self.lanes.lock().closed = true;
        self.arrived.notify_all();
    }
}

#[derive(Default)]
struct Rung {
    rung: bool,
    closed: bool,
}

/// Tells a service's threads that there may be an item.
#[derive(Default)]
pub struct Doorbell {
    state: Mutex<Rung>,
    changed: Condvar,
}

impl Doorbell {
    /// There may be an item.
    pub fn ring(&self) {
        self.state.lock().rung = true;
        self.changed.notify_one();
    }

    /// There will be no more items.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for a ring, at most `timeout`; false once closed.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.rung && !state.closed {
            self.changed.wait_for(&mut state, timeout);
        }
        state.rung = false;
        !state.closed
    }
}
