//! The memory account of one fragment: operators reserve before they keep.

use phantom_base::{Error, Result, sqlstate};

/// Columns and tables number rows in 32 bits and texts by 32-bit ends, so no account is larger.
const LIMIT_BYTES_MAX: usize = 2 << 30;

/// What a fragment holds and may hold, in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    used: usize,
    limit: usize,
}

/// What one operator holds.
#[derive(Debug)]
pub(super) struct Reservation {
    operator: &'static str,
    held: usize,
}

impl Memory {
    /// An account of `limit` bytes, none of them held.
    pub fn new(limit: usize) -> Self {
        Self { used: 0, limit: limit.min(LIMIT_BYTES_MAX) }
    }

    /// Bytes that are not held.
    pub fn free(&self) -> usize {
        self.limit - self.used
    }

    /// Lets a reservation be of `bytes`, more or fewer than before.
    ///
    /// # Errors
    /// `53200` beyond the limit; the reservation stays as it was.
    pub fn resize(&mut self, reservation: &mut Reservation, bytes: usize) -> Result<()> {
        let others = self.used - reservation.held;
        if bytes > self.limit - others {
            let (operator, limit) = (reservation.operator, self.limit);
            return Err(Error::new(sqlstate::OUT_OF_MEMORY, "out of memory")
                .with_detail(format!("{operator} needs more than the {limit} bytes of a query."))
                .with_hint("Select fewer rows or columns, or raise the memory of a query."));
        }
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
    use super::*;

    #[test]
    fn an_account_refuses_what_is_beyond_its_limit_and_keeps_what_it_had() {
        let mut memory = Memory::new(100);
        let (mut sort, mut join) = (Reservation::new("Sort"), Reservation::new("HashJoin"));
        memory.add(&mut sort, 60).unwrap();
        memory.resize(&mut join, 40).unwrap();
        let error = memory.add(&mut sort, 1).unwrap_err();
        assert_eq!(error.sqlstate, sqlstate::OUT_OF_MEMORY);
        assert!(error.detail.contains("Sort") && error.detail.contains("100"), "{}", error.detail);
        memory.resize(&mut join, 10).unwrap();
        memory.add(&mut sort, 30).unwrap();
    }
}
