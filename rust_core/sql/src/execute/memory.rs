//! The memory account of one fragment: operators reserve before they keep. What they reserve is drawn
//! on the node's account, in steps, and goes back with the fragment.

use phantom_base::{Error, Result, sqlstate};
use phantom_types::{QueryMemory, Share};

/// Columns and tables number rows in 32 bits and texts by 32-bit ends, so no account is larger.
const LIMIT_BYTES_MAX: usize = 2 << 30;

/// What a fragment holds and may hold, in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    used: usize,
    limit: usize,
    share: Share,
}

/// What one operator holds.
#[derive(Debug)]
pub(super) struct Reservation {
    operator: &'static str,
    held: usize,
}

impl Memory {
    /// What a query may hold, none of it held.
    pub fn new(memory: &QueryMemory) -> Self {
        Self { used: 0, limit: memory.bytes.min(LIMIT_BYTES_MAX), share: memory.share() }
    }

    /// Bytes that are not held.
    pub fn free(&self) -> usize {
        self.limit - self.used
    }

    /// Lets a reservation be of `bytes`, more or fewer than before.
    ///
    /// # Errors
    /// `53200` beyond the limit, or where the node's account has no more; the reservation stays as it
    /// was.
    pub fn resize(&mut self, reservation: &mut Reservation, bytes: usize) -> Result<()> {
        let others = self.used - reservation.held;
        if bytes > self.limit - others {
            let (operator, limit) = (reservation.operator, self.limit);
            return Err(Error::new(sqlstate::OUT_OF_MEMORY, "out of memory")
                .with_detail(format!("{operator} needs more than the {limit} bytes of a query."))
                .with_hint("Select fewer rows or columns, or raise the memory of a query."));
        }
        self.share.cover(others + bytes)?;
        self.used = others + bytes;
        reservation.held = bytes;
        Ok(())
    }

    /// Adds to a reservation.
    ///
    /// # Errors
    /// As `resize`.
    pub fn add(&mut self, reservation: &mut Reservation, bytes: usize) -> Result<()> {
        self.resize(reservation, reservation.held.saturating_add(bytes))
    }
}

impl Reservation {
    /// Nothing yet, for an operator that errors name so.
    pub fn new(operator: &'static str) -> Self {
        Self { operator, held: 0 }
    }
}

#[cfg(test)]
mod tests {
    use phantom_types::Account;

    use super::*;

    #[test]
    fn an_account_refuses_what_is_beyond_its_limit_and_keeps_what_it_had() {
        let mut memory = Memory::new(&QueryMemory::alone(100));
        let (mut sort, mut join) = (Reservation::new("Sort"), Reservation::new("HashJoin"));
        memory.add(&mut sort, 60).unwrap();
        memory.resize(&mut join, 40).unwrap();
        let error = memory.add(&mut sort, 1).unwrap_err();
        assert_eq!(error.sqlstate, sqlstate::OUT_OF_MEMORY);
        assert!(error.detail.contains("Sort") && error.detail.contains("100"), "{}", error.detail);
        memory.resize(&mut join, 10).unwrap();
        memory.add(&mut sort, 30).unwrap();
    }
    #[test]
    fn what_operators_reserve_is_drawn_on_the_nodes_account() {
        let account = Account::new(1 << 20);
        let query = QueryMemory { bytes: usize::MAX, account: Some(account.clone()) };
        let (mut one, mut other) = (Memory::new(&query), Memory::new(&query));
        let (mut sort, mut join) = (Reservation::new("Sort"), Reservation::new("HashJoin"));
        one.resize(&mut sort, 600 << 10).unwrap();
        let error = other.resize(&mut join, 600 << 10).unwrap_err();
        assert!(error.hint.contains("--sql-memory"), "{}", error.hint);
        one.resize(&mut sort, 0).unwrap();
        other.resize(&mut join, 600 << 10).unwrap();
        drop((one, other));
        assert_eq!(account.held(), 0);
    }
}
