//! What an evaluation may still spend: steps of work, bytes of values, and whether it is wanted.
//!
//! - A *step* is about a nanosecond. Kernels whose cost is not linear in what they are given and
//!   return tell it in their loops, others are charged by the call; so nothing runs for long without
//!   looking here, and a cancelled statement ends in the middle of a kernel.
//! - *Bytes* are those of values whose size varies. Whoever makes values takes them (`grow`), or asks
//!   before it makes a large one (`afford`); whoever lets values go settles what is left.
//! - The meter of a query draws what it holds on its node's account, in steps, until the next `begin`.
//! - Running out is no answer to a client where the meter is `brief`: the evaluation is pure, and is
//!   done again with the query's own meter where nobody waits for the thread. `ran_out` tells.
//!
//! It belongs to one evaluation and one thread at a time. It knows neither clocks nor threads.

use std::cell::{Cell, RefCell};

use phantom_base::sync::{Arc, AtomicBool, Ordering};
use phantom_base::{Error, Result, sqlstate};

use crate::account::{QueryMemory, Share};

/// Steps of what is evaluated where others wait for the thread: a millisecond or two.
const BRIEF_STEPS: u64 = 1_500_000;
/// Bytes that such an evaluation may hold.
const BRIEF_BYTES: usize = 4 << 20;
/// Steps that the constants of one statement may cost while it is bound.
const FOLD_STEPS: u64 = 1_000_000;
/// Bytes of the largest constant that is made of others: plans are kept, and many of them.
const FOLD_BYTES: usize = 8 << 10;
/// How many steps a loop takes before it looks at the meter again.
const PACE_STEPS: usize = 1 << 16;

/// See the module.
#[derive(Debug)]
pub struct Meter {
    /// Steps that are left.
    steps: Cell<u64>,
    /// Bytes that values may take.
    room: Cell<usize>,
    /// Bytes of it that need not be asked for: all, or as many as are drawn on the account.
    granted: Cell<usize>,
    /// Bytes that they take.
    held: Cell<usize>,
    share: RefCell<Share>,
    ran_out: Cell<bool>,
    cancelled: Option<Arc<AtomicBool>>,
}

impl Clone for Meter {
    /// Of the same bounds and the same account, and holding nothing.
    fn clone(&self) -> Self {
        let share = self.share.borrow().another();
        Self::of(self.steps.get(), self.room.get(), share, self.cancelled.clone())
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::of(u64::MAX, usize::MAX, Share::default(), None)
    }
}

impl Meter {
    /// For what is evaluated where others wait for the thread.
    pub fn brief() -> Self {
        Self::of(BRIEF_STEPS, BRIEF_BYTES, Share::default(), None)
    }

    /// For constants that are made of constants while a statement is bound.
    pub fn folding() -> Self {
        Self::of(FOLD_STEPS, FOLD_BYTES, Share::default(), None)
    }

    /// For a query on a worker: it ends when the flag is set, and may hold what the query may.
    pub fn of_query(memory: &QueryMemory, cancelled: Arc<AtomicBool>) -> Self {
        Self::of(u64::MAX, memory.bytes, memory.share(), Some(cancelled))
    }

    fn of(steps: u64, room: usize, share: Share, cancelled: Option<Arc<AtomicBool>>) -> Self {
        let meter = Self {
            steps: Cell::new(steps),
            room: Cell::new(0),
            granted: Cell::new(0),
            held: Cell::new(0),
            share: RefCell::new(share),
            ran_out: Cell::new(false),
            cancelled,
        };
        meter.begin(room);
        meter
    }

    /// Takes steps.
    ///
    /// # Errors
    /// `57014` once the statement is cancelled; any other where they are not left.
    #[inline]
    pub fn spend(&self, steps: usize) -> Result<()> {
        match self.steps.get().checked_sub(steps as u64) {
            Some(left) if !self.is_cancelled() => {
                self.steps.set(left);
                Ok(())
            }
            _ => Err(self.refuse_steps()),
        }
    }

    /// Whether `bytes` more can be held; they are not taken, but drawn on the account.
    ///
    /// # Errors
    /// `53200` where they cannot.
    #[inline]
    pub fn afford(&self, bytes: usize) -> Result<()> {
        match self.held.get().checked_add(bytes) {
            Some(held) if held <= self.granted.get() => Ok(()),
            Some(held) if held <= self.room.get() => self.draw(held),
            _ => Err(self.refuse_bytes()),
        }
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// `53200` beyond the room.
    #[inline]
    pub fn grow(&self, bytes: usize) -> Result<()> {
        self.afford(bytes)?;
        self.held.set(self.held.get() + bytes);
        Ok(())
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.held.get()
    }

    /// Says how many bytes are held now that values are gone.
    pub fn settle(&self, held: usize) {
        self.held.set(held);
    }

    /// Lets go of all that is held beyond `held`, and holds `bytes` instead.
    ///
    /// # Errors
    /// `53200` beyond the room.
    #[inline]
    pub fn keep(&self, held: usize, bytes: usize) -> Result<()> {
        self.held.set(held);
        self.grow(bytes)
    }

    /// Holds nothing, and may hold `room` bytes. What was drawn on the account goes back.
    pub fn begin(&self, room: usize) {
        let mut share = self.share.borrow_mut();
        share.release();
        self.granted.set(if share.is_counted() { 0 } else { room });
        self.room.set(room);
        self.held.set(0);
    }

    #[cold]
    fn draw(&self, held: usize) -> Result<()> {
        let mut share = self.share.borrow_mut();
        share.cover(held).inspect_err(|_| self.ran_out.set(true))?;
        self.granted.set(share.held().min(self.room.get()));
        Ok(())
    }

    /// Whether steps or bytes were refused.
    pub fn ran_out(&self) -> bool {
        self.ran_out.get()
    }

    /// For a loop that takes many steps.
    pub fn pace(&self) -> Pace<'_> {
        Pace { meter: self, due: 0 }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    #[cold]
    fn refuse_steps(&self) -> Error {
        if self.is_cancelled() {
            let message = "canceling statement due to user request";
            return Error::new(sqlstate::QUERY_CANCELED, message);
        }
        self.ran_out.set(true);
        Error::internal("an evaluation was left to a worker, and no worker took it")
    }

    #[cold]
    fn refuse_bytes(&self) -> Error {
        self.ran_out.set(true);
        let room = self.room.get();
        Error::new(sqlstate::OUT_OF_MEMORY, "out of memory")
            .with_detail(format!("An expression needs more than the {room} bytes left to a query."))
            .with_hint("Select fewer rows or columns, or raise the memory of a query.")
    }
}

/// Steps of a loop, told to its meter now and then.
#[derive(Debug)]
pub struct Pace<'a> {
    meter: &'a Meter,
    due: usize,
}

impl Pace<'_> {
    /// The loop takes so many steps.
    ///
    /// # Errors
    /// As `Meter::spend`.
    #[inline]
    pub fn step(&mut self, steps: usize) -> Result<()> {
        self.due += steps;
        if self.due < PACE_STEPS {
            return Ok(());
        }
        self.meter.spend(std::mem::take(&mut self.due))
    }

    /// The loop has ended.
    ///
    /// # Errors
    /// As `Meter::spend`.
    #[inline]
    pub fn end(self) -> Result<()> {
        self.meter.spend(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Account;

    #[test]
    fn what_is_refused_is_not_taken() {
        let meter = Meter::brief();
        meter.grow(BRIEF_BYTES - 1).unwrap();
        assert_eq!(meter.grow(2).unwrap_err().sqlstate, sqlstate::OUT_OF_MEMORY);
        assert!(meter.ran_out());
        meter.grow(1).unwrap();
        meter.keep(1, BRIEF_BYTES - 1).unwrap();
        assert_eq!(meter.held(), BRIEF_BYTES);
        assert!(meter.grow(usize::MAX).is_err());
    }

    #[test]
    fn the_meter_of_a_query_draws_on_the_account_and_gives_back_with_the_next_step() {
        let account = Account::new(1 << 20);
        let memory = QueryMemory { bytes: 100 << 20, account: Some(account.clone()) };
        let meter = Meter::of_query(&memory, Arc::new(AtomicBool::new(false)));
        assert_eq!(account.held(), 0, "a meter that made nothing holds nothing");
        meter.grow(100 << 10).unwrap();
        assert!(account.held() >= 100 << 10);
        let another = meter.clone();
        another.grow(10).unwrap();
        let error = meter.afford(2 << 20).unwrap_err();
        assert!(error.hint.contains("--sql-memory"), "{}", error.hint);
        drop(another);
        meter.begin(50);
        assert_eq!((account.held(), meter.held()), (0, 0));
        assert!(meter.grow(51).unwrap_err().detail.contains("left to a query"));
        meter.grow(50).unwrap();
        drop(meter);
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn a_cancelled_statement_spends_no_more_and_has_not_run_out() {
        let flag = Arc::new(AtomicBool::new(false));
        let meter = Meter::of_query(&QueryMemory::alone(100), flag.clone());
        meter.spend(usize::MAX).unwrap();
        flag.store(true, Ordering::Relaxed);
        let mut pace = meter.pace();
        pace.step(PACE_STEPS - 1).unwrap();
        assert_eq!(pace.step(1).unwrap_err().sqlstate, sqlstate::QUERY_CANCELED);
        assert!(!meter.ran_out());
    }
}
