//! The 64 bytes at the head of every framed file.
//!
//! ```text
//! magic 8 | format u16 | flags u16 | 0 u32 | database 16 B | file u64 | base_lsn u64 | 0 12 B | crc32c u32
//! ```
//!
//! Little endian; the crc covers the 60 bytes before it.

use phantom_base::Lsn;
use phantom_base::bytes::{Reader, Truncated};

/// Bytes of a file header.
pub const FILE_HEADER: u64 = 64;
/// The format that this release writes, and the newest it reads.
pub const FORMAT: u16 = 1;

/// A file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What kind of file it is.
    pub magic: [u8; 8],
    /// The format of what follows.
    pub format: u16,
    /// The database that it belongs to.
    pub database: [u8; 16],
    /// The file's number.
    pub file: u64,
    /// The address of its first byte.
    pub base: Lsn,
}

impl FileHeader {
    /// The bytes on disk.
    pub fn encode(&self) -> [u8; FILE_HEADER as usize] {
        let mut out = [0; FILE_HEADER as usize];
        out[..8].copy_from_slice(&self.magic);
        out[8..10].copy_from_slice(&self.format.to_le_bytes());
        out[16..32].copy_from_slice(&self.database);
        out[32..40].copy_from_slice(&self.file.to_le_bytes());
        out[40..48].copy_from_slice(&self.base.0.to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header; `None` unless it is whole and of the kind `magic`.
    pub fn decode(bytes: &[u8], magic: [u8; 8]) -> Option<Self> {
        let (covered, crc) = bytes.get(..FILE_HEADER as usize)?.split_at_checked(60)?;
        if crc32c::crc32c(covered).to_le_bytes() != crc {
            return None;
        }
        Self::fields(covered).ok().filter(|header| header.magic == magic)
    }

    fn fields(covered: &[u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(covered);
        let (magic, format) = (reader.array()?, reader.u16()?);
        reader.take(6)?;
        let (database, file, base) = (reader.array()?, reader.u64()?, Lsn(reader.u64()?));
        Ok(Self { magic, format, database, file, base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_every_byte_of_it_is_covered() {
        let magic = *b"PHTESTFL";
        let header =
            FileHeader { magic, format: FORMAT, database: [3; 16], file: 9, base: Lsn(77) };
        let mut bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes, magic), Some(header));
        assert_eq!(FileHeader::decode(&bytes, *b"PHOTHERF"), None);
        for i in 0..bytes.len() {
            bytes[i] ^= 4;
            assert_eq!(FileHeader::decode(&bytes, magic), None, "byte {i}");
            bytes[i] ^= 4;
        }
        assert_eq!(FileHeader::decode(&bytes[..63], magic), None);
    }
}
