//! Which rows of a column are NULL: one bit a row, and no memory while none is.

/// A growing list of bits, 1 for NULL. The words stay empty until the first NULL.
#[derive(Clone, Debug, Default)]
pub struct Nulls {
    words: Vec<u64>,
    len: usize,
}

const BITS: usize = 64;

impl Nulls {
    /// `len` rows, none of them NULL.
    pub fn none(len: usize) -> Self {
        Self { words: Vec::new(), len }
    }

    /// `len` rows, all of them NULL.
    pub fn all(len: usize) -> Self {
        let mut nulls = Self { words: vec![u64::MAX; len.div_ceil(BITS)], len };
        nulls.clear_tail();
        nulls
    }

    /// NULL where either is: what a strict operator returns. Both have the same length.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        assert_eq!(self.len, other.len, "columns of one batch are equally long");
        if other.words.is_empty() {
            return self.clone();
        }
        let mut out = other.clone();
        for (to, from) in out.words.iter_mut().zip(&self.words) {
            *to |= from;
        }
        out
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether some row is NULL.
    pub fn any(&self) -> bool {
        self.words.iter().any(|&word| word != 0)
    }

    /// Rows that are NULL.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the row is NULL.
    #[inline]
    pub fn get(&self, row: usize) -> bool {
        debug_assert!(row < self.len, "row {row} of {}", self.len);
        self.words.get(row / BITS).is_some_and(|word| word >> (row % BITS) & 1 == 1)
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, null: bool) {
        let row = self.len;
        self.len += 1;
        if null {
            self.set(row);
        } else if !self.words.is_empty() && row.is_multiple_of(BITS) {
            self.words.push(0);
        }
    }

    /// Makes a row NULL.
    pub fn set(&mut self, row: usize) {
        assert!(row < self.len, "row {row} of {}", self.len);
        self.words.resize(self.len.div_ceil(BITS), 0);
        self.words[row / BITS] |= 1 << (row % BITS);
    }

    /// Appends `count` rows that are not NULL.
    pub fn push_valid(&mut self, count: usize) {
        self.len += count;
        if !self.words.is_empty() {
            self.words.resize(self.len.div_ceil(BITS), 0);
        }
    }

    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }

    /// Bytes of memory.
    pub fn size_bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    fn clear_tail(&mut self) {
        if let (Some(last), used @ 1..) = (self.words.last_mut(), self.len % BITS) {
            *last &= (1 << used) - 1;
        }
    }
}

impl PartialEq for Nulls {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (0..self.len).all(|row| self.get(row) == other.get(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_they_were_pushed() {
        let pattern = |row: usize| row % 7 == 3 || row == 128;
        let mut nulls = Nulls::none(0);
        for row in 0..200 {
            nulls.push(pattern(row));
        }
        assert!((0..200).all(|row| nulls.get(row) == pattern(row)));
        assert_eq!(nulls.count(), (0..200).filter(|&row| pattern(row)).count());
        let mut other = Nulls::none(200);
        assert_eq!(nulls.union(&other), nulls);
        other.set(0);
        assert!(nulls.union(&other).get(0) && other.union(&nulls).get(3));
        assert_eq!(Nulls::all(70).count(), 70);
    }
}
