//! The end of a table file: properties and footer.
//!
//! ```text
//! footer 64 B   magic 8 | format u16 | flags u16 | filter_len u32 | filter_at u64 | index_at u64 |
//!               index_len u32 | properties_len u32 | properties_at u64 | file u64 | 0 u32 | crc32c u32
//! properties    keyspace u16 | flags u8 (1: versioned) | entries u64 | superseded u64 |
//!               superseded_by u64 | newest u64 | max_seq u64 |
//!               smallest (len u32, bytes) | largest (len u32, bytes)
//! ```
//!
//! Little endian. Lengths are those on disk, trailers included. `newest` is the newest timestamp of a
//! versioned table; `superseded` counts versions that have a newer one beside them, and
//! `superseded_by` is the newest timestamp among those newer ones: once garbage is collected below
//! it, that many entries can go.

use phantom_base::bytes::{Reader, Truncated};

/// Bytes of a footer.
pub(crate) const FOOTER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"PHANTTBL";
const FORMAT: u16 = 1;

/// Where the parts of a table lie: offset and length on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub file: u64,
    pub filter: (u64, u32),
    pub index: (u64, u32),
    pub properties: (u64, u32),
}

/// What is known of a table as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub keyspace: u16,
    pub versioned: bool,
    pub entries: u64,
    pub superseded: u64,
    pub superseded_by: u64,
    pub newest: u64,
    pub max_seq: u64,
    /// The first and the last user key.
    pub smallest: Vec<u8>,
    pub largest: Vec<u8>,
}

impl Footer {
    pub fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut out = [0; FOOTER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &FORMAT.to_le_bytes());
        put(12, &self.filter.1.to_le_bytes());
        put(16, &self.filter.0.to_le_bytes());
        put(24, &self.index.0.to_le_bytes());
        put(32, &self.index.1.to_le_bytes());
        put(36, &self.properties.1.to_le_bytes());
        put(40, &self.properties.0.to_le_bytes());
        put(48, &self.file.to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a footer; `Err` is a failed check, `Ok(None)` a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let Some((covered, crc)) = bytes.split_at_checked(60) else { return Err("a short footer") };
        if crc32c::crc32c(covered).to_le_bytes() != crc {
            return Err("the footer's checksum");
        }
        Self::fields(covered).map_err(|_| "the footer's fields")
    }

    fn fields(covered: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(covered);
        let magic: [u8; 8] = reader.array()?;
        let format = reader.u16()?;
        reader.u16()?;
        let filter_len = reader.u32()?;
        let filter = (reader.u64()?, filter_len);
        let index_at = reader.u64()?;
        let index = (index_at, reader.u32()?);
        let properties_len = reader.u32()?;
        let properties = (reader.u64()?, properties_len);
        let footer = Self { file: reader.u64()?, filter, index, properties };
        Ok((magic == MAGIC && format <= FORMAT).then_some(footer))
    }
}

impl Properties {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.keyspace.to_le_bytes().to_vec();
        out.push(u8::from(self.versioned));
        for number in [self.entries, self.superseded, self.superseded_by, self.newest, self.max_seq]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for key in [&self.smallest, &self.largest] {
            out.extend_from_slice(&(key.len() as u32).to_le_bytes());
            out.extend_from_slice(key);
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(bytes);
        let (keyspace, versioned) = (reader.u16()?, reader.u8()? & 1 == 1);
        let (entries, superseded, superseded_by) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (newest, max_seq) = (reader.u64()?, reader.u64()?);
        let mut key = || {
            let len = reader.u32()?;
            Ok(reader.take(len as usize)?.to_vec())
        };
        let (smallest, largest) = (key()?, key()?);
        Ok(Self {
            keyspace,
            versioned,
            entries,
            superseded,
            superseded_by,
            newest,
            max_seq,
            smallest,
            largest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footer_and_properties_come_back_and_short_ones_are_refused() {
        let footer = Footer { file: 3, filter: (10, 20), index: (30, 40), properties: (50, 60) };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes), Ok(Some(footer)));
        for i in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[i] ^= 2;
            assert!(Footer::decode(&damaged).is_err(), "byte {i}");
        }
        let properties = Properties {
            keyspace: 1,
            versioned: true,
            entries: 7,
            newest: 9,
            smallest: b"a".to_vec(),
            largest: b"zz".to_vec(),
            ..Properties::default()
        };
        let bytes = properties.encode();
        assert_eq!(Properties::decode(&bytes), Ok(properties));
        assert!((0..bytes.len()).all(|cut| Properties::decode(&bytes[..cut]).is_err()));
    }
}
