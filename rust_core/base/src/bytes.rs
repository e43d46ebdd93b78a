//! Reading fixed-width integers and counted bytes from a slice, without a panic on short input.
//!
//! Little endian is the default (our files and frames); the `_be` forms are for keys that must
//! sort and for PostgreSQL's wire.

/// The input ended before the value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input ends {missing} bytes early at offset {at}")]
pub struct Truncated {
    /// Where the read began, in bytes from the start of the slice.
    pub at: usize,
    /// How many bytes more it needed.
    pub missing: usize,
}

/// A cursor over bytes of somebody else; every read may fail, none panics.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
}

macro_rules! integers {
    ($($le:ident $be:ident $ty:ty),+) => { $(
        /// The next integer, little endian.
        pub fn $le(&mut self) -> Result<$ty, Truncated> {
            self.array().map(<$ty>::from_le_bytes)
        }

        /// The next integer, big endian.
        pub fn $be(&mut self) -> Result<$ty, Truncated> {
            self.array().map(<$ty>::from_be_bytes)
        }
    )+ };
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `whole`.
    pub fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// What is left, unread.
    pub fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let rest = self.rest();
        let taken =
            rest.get(..n).ok_or_else(|| Truncated { at: self.at, missing: n - rest.len() })?;
        self.at += n;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        self.take(N).map(|bytes| bytes.try_into().expect("take returns as many bytes as asked"))
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    integers!(u16 u16_be u16, u32 u32_be u32, u64 u64_be u64, i16 i16_be i16, i32 i32_be i32, i64 i64_be i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_names_what_is_missing() {
        let mut reader = Reader::new(&[1, 2, 0, 0, 3, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u16_be(), Ok(3));
        assert_eq!(reader.u32(), Err(Truncated { at: 5, missing: 3 }));
        assert_eq!(reader.rest(), &[9]);
    }
}
