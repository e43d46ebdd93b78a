//! Many texts in one allocation: offsets and bytes.

/// Texts one behind the other. Text `i` is `bytes[ends[i - 1]..ends[i]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextVector {
    bytes: String,
    ends: Vec<u32>,
}

impl TextVector {
    /// Room for `rows` texts.
    pub fn with_capacity(rows: usize) -> Self {
        Self { bytes: String::new(), ends: Vec::with_capacity(rows) }
    }

    /// How many texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Text `row`.
    #[inline]
    pub fn get(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.bytes[start..self.ends[row] as usize]
    }

    /// Appends a text.
    #[inline]
    pub fn push(&mut self, text: &str) {
        self.push_with(|bytes| bytes.push_str(text));
    }

    /// Appends the text that `write` appends to the bytes; it may do nothing else to them.
    #[inline]
    pub fn push_with<R>(&mut self, write: impl FnOnce(&mut String) -> R) -> R {
        let before = self.bytes.len();
        let result = write(&mut self.bytes);
        let end = self.bytes.len();
        assert!(end >= before, "text was taken away");
        self.ends.push(u32::try_from(end).expect("a column of a batch stays below 4 GiB"));
        result
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Forgets all texts, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes of memory.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<u32>()
    }
}

impl<'a> FromIterator<&'a str> for TextVector {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut out = Self::default();
        for text in texts {
            out.push(text);
        }
        out
    }
}
