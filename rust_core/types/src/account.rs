//! What all statements of a node hold of its memory, together: one account, drawn on by shares.
//!
//! - A share is given back when it is dropped, so that errors, cancels, panics and lost links leave
//!   nothing behind: what is held goes with its share.
//! - What does not fit is refused at once (53200). Nobody waits for another's share, so none waits for
//!   ever.
//! - Queries draw in steps (`cover`), so that the account is not on the path of each row.
//! - The last quarter of what queries may have is for the eldest of them. Else many that grow side by
//!   side would each be refused before one is through.
//! - The last sixteenth is for small shares: half of it for queries over few rows, all of it for what
//!   is drawn at once (`resize`). So statements by key go on beside queries that have taken the rest.
//! - What has happened cannot be refused, as the rows that a commit returns. It is counted (`count`),
//!   beyond the limit if need be; whoever does so says what bounds it.
//!
//! It knows neither queries nor threads, and shares may be dropped on any.

use phantom_base::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering};
use phantom_base::{Error, Result, Set, sqlstate};

/// The largest share that may draw on what is kept for small ones, in bytes.
const SMALL_BYTES: usize = 64 << 10;
/// One part in so many is kept for them.
const KEPT: usize = 16;
/// Of what queries may have, one part in so many is kept for the eldest.
const ELDEST: usize = 4;
/// A query draws an eighth more than it needs, between these, in bytes.
const STEP_BYTES_MIN: usize = 64 << 10;
const STEP_BYTES_MAX: usize = 1 << 20;

/// The account of a node.
#[derive(Debug)]
pub struct Account {
    limit: usize,
    held: AtomicUsize,
    /// The most that was held since somebody last asked.
    peak: AtomicUsize,
    refused: AtomicU64,
    line: Mutex<Line>,
}

/// Queries that hold more than a little, in the order in which they came.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    places: Set<u64>,
}

/// What one holder has drawn. The default is of no account, and never refused.
#[derive(Debug, Default)]
pub struct Share {
    account: Option<Arc<Account>>,
    held: usize,
    /// Its place among queries.
    place: Option<u64>,
}

/// What a query may hold: a bound of its own, and the account that it draws on.
#[derive(Clone, Debug)]
pub struct QueryMemory {
    /// Bytes of one query.
    pub bytes: usize,
    /// The account; none where nobody shares, as in tests of one query.
    pub account: Option<Arc<Account>>,
}

impl Account {
    /// An account of `limit` bytes, none of them held.
    pub fn new(limit: usize) -> Arc<Self> {
        let (held, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (refused, line) = (AtomicU64::new(0), Mutex::new(Line::default()));
        Arc::new(Self { limit, held, peak, refused, line })
    }

    /// Bytes that can be held.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How often bytes were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether much less is held than at most since this last said so: `bytes` at least have come
    /// back, and less than an eighth of that peak is left.
    pub fn has_fallen_by(&self, bytes: usize) -> bool {
        let (peak, held) = (self.peak.load(Ordering::Relaxed), self.held());
        let has_fallen = peak >= bytes && held < peak / 8;
        if has_fallen {
            self.peak.store(held, Ordering::Relaxed);
        }
        has_fallen
    }

    /// A share that holds nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { account: Some(self.clone()), held: 0, place: None }
    }

    /// Draws bytes if less than `most` are held then.
    fn draw(&self, bytes: usize, most: usize) -> bool {
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        // The numbers guard no other memory, so their order with other accesses does not matter.
        let drawn = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if let Ok(before) = drawn {
            self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        }
        drawn.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        let before = self.held.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "{bytes} bytes come back, and {before} were held");
    }

    /// Draws bytes for a query; whether it got them.
    fn draw_in_line(&self, bytes: usize, place: Option<u64>) -> bool {
        let most = self.limit - self.limit / KEPT;
        let is_eldest = |place| self.line.lock().places.first() == Some(&place);
        self.draw(bytes, most - most / ELDEST)
            || (place.is_some_and(is_eldest) && self.draw(bytes, most))
    }

    #[cold]
    fn take_place(&self) -> u64 {
        let mut line = self.line.lock();
        line.next += 1;
        let place = line.next;
        line.places.insert(place);
        place
    }

    #[cold]
    fn refuse(&self, bytes: usize) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let (held, limit) = (self.held(), self.limit);
        let detail = format!(
            "Statements hold {held} of the {limit} bytes that --sql-memory gives to this node, and \
             this one needs {bytes} more."
        );
        Error::new(sqlstate::OUT_OF_MEMORY, "out of memory").with_detail(detail).with_hint(
            "Try again when fewer statements run, select fewer rows, or raise --sql-memory.",
        )
    }
}

impl Share {
    /// Bytes that are drawn.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Holds `bytes`, more or fewer than before.
    ///
    /// # Errors
    /// `53200` where the account has not so many; the share stays as it was.
    pub fn resize(&mut self, bytes: usize) -> Result<()> {
        if let Some(account) = &self.account {
            let kept = if bytes <= SMALL_BYTES { 0 } else { account.limit / KEPT };
            let more = bytes.saturating_sub(self.held);
            if more > 0 && !account.draw(more, account.limit - kept) {
                return Err(account.refuse(more));
            }
            account.give_back(self.held.saturating_sub(bytes));
        }
        self.held = bytes;
        Ok(())
    }

    /// Holds so many bytes more.
    ///
    /// # Errors
    /// As `resize`.
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        self.resize(self.held.saturating_add(bytes))
    }

    /// Holds `bytes` and something to go on with, so that it is seldom asked; for a query that grows.
    ///
    /// # Errors
    /// As `resize`.
    pub fn cover(&mut self, bytes: usize) -> Result<()> {
        let step = (bytes / 8).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX);
        let wanted = if bytes == 0 { 0 } else { bytes.saturating_add(step) };
        let is_enough = self.held >= bytes && self.held <= wanted.saturating_add(step);
        if bytes > 0 && is_enough {
            return Ok(());
        }
        if let Some(account) = self.account.as_ref().filter(|_| wanted > self.held) {
            if wanted > 2 * STEP_BYTES_MIN && self.place.is_none() {
                self.place = Some(account.take_place());
            }
            let steps = [wanted, bytes].into_iter().filter(|wanted| *wanted >= self.held);
            for wanted in steps {
                if account.draw_in_line(wanted - self.held, self.place) {
                    self.held = wanted;
                    return Ok(());
                }
            }
            let for_small = account.limit - account.limit / KEPT / 2;
            if bytes <= SMALL_BYTES && account.draw(bytes.saturating_sub(self.held), for_small) {
                self.held = self.held.max(bytes);
                return Ok(());
            }
            return Err(account.refuse(bytes.saturating_sub(self.held)));
        }
        self.resize(wanted)
    }

    /// Holds `bytes`, whether or not they fit.
    pub fn count(&mut self, bytes: usize) {
        if let Some(account) = &self.account {
            let is_drawn = account.draw(bytes.saturating_sub(self.held), usize::MAX);
            assert!(is_drawn, "no process holds as many bytes as there are addresses");
            account.give_back(self.held.saturating_sub(bytes));
        }
        self.held = bytes;
    }

    /// Holds nothing.
    pub fn release(&mut self) {
        self.count(0);
        if let (Some(place), Some(account)) = (self.place.take(), &self.account) {
            account.line.lock().places.remove(&place);
        }
    }

    /// A share of the same account that holds nothing yet.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { account: self.account.clone(), held: 0, place: None }
    }

    /// Whether it is of an account.
    pub fn is_counted(&self) -> bool {
        self.account.is_some()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

impl QueryMemory {
    /// A bound without an account.
    pub fn alone(bytes: usize) -> Self {
        Self { bytes, account: None }
    }

    /// A share that holds nothing yet.
    pub fn share(&self) -> Share {
        self.account.as_ref().map(Account::share).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 16 << 20;
    const KEPT_BYTES: usize = LIMIT / KEPT;

    #[test]
    fn what_is_dropped_comes_back_and_what_is_refused_changes_nothing() {
        let account = Account::new(LIMIT);
        let (mut first, mut second) = (account.share(), account.share());
        first.resize(LIMIT - KEPT_BYTES).unwrap();
        let error = second.resize(SMALL_BYTES + 1).unwrap_err();
        assert_eq!(error.sqlstate, sqlstate::OUT_OF_MEMORY);
        assert!(error.detail.contains(&LIMIT.to_string()), "{}", error.detail);
        assert!(error.hint.contains("--sql-memory"), "{}", error.hint);
        assert_eq!((account.held(), account.refused()), (LIMIT - KEPT_BYTES, 1));
        first.resize(1).unwrap();
        second.grow(SMALL_BYTES + 1).unwrap();
        drop(first);
        assert_eq!(account.held(), second.held());
        drop(second);
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn small_shares_find_room_where_queries_have_taken_all() {
        let account = Account::new(LIMIT);
        let mut query = account.share();
        while query.cover(query.held() + 1).is_ok() {}
        assert!(query.held() <= LIMIT - KEPT_BYTES, "{}", query.held());
        assert!(account.share().cover(SMALL_BYTES + 1).is_err(), "a large one finds nothing");
        let fill = |hold: fn(&mut Share) -> Result<()>| {
            let mut small: Vec<Share> = Vec::new();
            loop {
                let mut share = account.share();
                if hold(&mut share).is_err() {
                    return small;
                }
                small.push(share);
            }
        };
        let queries = fill(|share| share.cover(SMALL_BYTES));
        assert_eq!(queries.len(), KEPT_BYTES / SMALL_BYTES / 2);
        let by_key = fill(|share| share.resize(SMALL_BYTES));
        assert_eq!(by_key.len(), KEPT_BYTES / SMALL_BYTES / 2);
        drop((query, queries, by_key));
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn a_query_draws_in_steps_and_gives_back_what_it_has_no_use_for() {
        let account = Account::new(LIMIT);
        let mut share = account.share();
        let mut draws = 0;
        for bytes in (1..=4 << 20).step_by(1 << 10) {
            let before = share.held();
            share.cover(bytes).unwrap();
            assert!(share.held() >= bytes && share.held() <= bytes + 2 * STEP_BYTES_MAX);
            draws += usize::from(share.held() != before);
        }
        assert!(draws < 64, "{draws} draws of 4,096");
        share.cover(1).unwrap();
        assert!(share.held() <= 2 * STEP_BYTES_MIN, "{}", share.held());
        share.cover(0).unwrap();
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn of_queries_that_grow_side_by_side_the_eldest_comes_through() {
        let account = Account::new(LIMIT);
        let mut queries: Vec<Share> = (0..8).map(|_| account.share()).collect();
        let wanted = LIMIT - KEPT_BYTES;
        for bytes in (1..=wanted).step_by(16 << 10).chain([wanted]) {
            // The youngest asks first.
            for query in queries.iter_mut().rev() {
                if query.held() > 0 || bytes == 1 {
                    let _ = query.cover(bytes).inspect_err(|_| query.release());
                }
            }
        }
        let held: Vec<usize> = queries.iter().map(Share::held).collect();
        assert_eq!(held.iter().filter(|held| **held == wanted).count(), 1, "{held:?}");
        drop(queries);
        assert_eq!((account.held(), account.line.lock().places.len()), (0, 0));
    }

    #[test]
    fn what_has_happened_is_counted_beyond_the_limit() {
        let account = Account::new(LIMIT);
        let mut share = account.share();
        share.count(2 * LIMIT);
        assert_eq!(account.held(), 2 * LIMIT);
        assert!(account.share().resize(1).is_err());
        share.count(1);
        assert_eq!(account.held(), 1);
    }

    #[test]
    fn threads_that_draw_and_drop_leave_nothing_and_never_pass_the_limit() {
        let account = Account::new(LIMIT);
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let account = &account;
                scope.spawn(move || {
                    for round in 0..2_000_usize {
                        let mut share = account.share();
                        let _ = share.cover((thread + 1) * round * 997 % LIMIT);
                        assert!(account.held() <= LIMIT);
                        let _ = share.resize(round * 31 % LIMIT);
                    }
                });
            }
        });
        assert_eq!((account.held(), account.line.lock().places.len()), (0, 0));
        assert!(account.has_fallen_by(1 << 20) && !account.has_fallen_by(1 << 20));
    }
}
