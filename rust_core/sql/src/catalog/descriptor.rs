//! A table as the catalog describes it: the row of the system group, and its CBOR form.
//!
//! The form is an array, its fields in the order of the struct, led by a format number; a newer
//! node may append fields, which an older one skips. Python reads the same bytes
//! (`phantomdb/catalog/descriptors.py`).

use minicbor::decode::Error as DecodeError;
use minicbor::{Decoder, Encoder};
use phantom_base::{Error, sqlstate};
use phantom_types::TypeId;

use super::Collation;

/// The format number that this release writes.
const FORMAT: u32 = 1;

/// OIDs of user objects begin here, as PostgreSQL's do.
pub const FIRST_USER_OID: u32 = 16_384;

/// Where a table is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// Statements may use it.
    Public,
    /// DROP TABLE has begun; no new statement finds it.
    Dropping,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, folded as PostgreSQL folds.
    pub name: String,
    /// Its type.
    pub ty: TypeId,
    /// Its type's modifier; -1 is none.
    pub typmod: i32,
    /// Whether NULL is refused (23502).
    pub not_null: bool,
    /// The collation of its texts.
    pub collation: Collation,
}

impl Column {
    /// Writes it: an array whose last field, the collation's name, is left out for the database's.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn write<W: minicbor::encode::Write>(
        &self,
        out: &mut Encoder<W>,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let has_own = self.collation != Collation::Default;
        out.array(if has_own { 5 } else { 4 })?;
        out.str(&self.name)?.u32(self.ty.0)?.i32(self.typmod)?.bool(self.not_null)?;
        if has_own {
            out.str(self.collation.name())?;
        }
        Ok(())
    }

    fn read(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let fields = counted(input)?;
        let name = input.str()?.to_owned();
        let oid = input.u32()?;
        let ty = TypeId::from_oid(oid)
            .ok_or_else(|| DecodeError::message(format!("{oid} is no type of this release")))?;
        let (typmod, not_null) = (input.i32()?, input.bool()?);
        let mut collation = Collation::Default;
        if fields >= 5 {
            let name = input.str()?;
            collation = Collation::known(name).ok_or_else(|| {
                DecodeError::message(format!("{name} is no collation of this release"))
            })?;
        }
        skip(input, fields, 5)?;
        Ok(Self { name, ty, typmod, not_null, collation })
    }
}

/// A table. Column numbers (`attnum`) are 1-based positions in `columns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its OID; never reused.
    pub oid: u32,
    /// Raised by each change; write batches name the version they were bound to.
    pub version: u32,
    /// The relation number of its data keys; differs from the OID, for TRUNCATE changes it.
    pub storage_id: u32,
    /// The colocation set whose groups hold its rows.
    pub colocation: u32,
    /// Where it is in its life.
    pub state: TableState,
    /// The schema that it is in; `public` so far.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Column numbers of the primary key in key order; empty: a hidden row id is the key.
    pub primary_key: Vec<u16>,
    /// The name of the primary key's constraint; empty without one.
    pub primary_key_name: String,
}

impl Table {
    /// The column of a 1-based number.
    pub fn column(&self, attnum: u16) -> Option<&Column> {
        self.columns.get(usize::from(attnum).checked_sub(1)?)
    }

    /// The 1-based number of a named column.
    pub fn attnum(&self, name: &str) -> Option<u16> {
        let at = self.columns.iter().position(|column| column.name == name)?;
        u16::try_from(at + 1).ok()
    }

    /// Its CBOR form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut Encoder::new(&mut out)).expect("a Vec takes every write");
        out
    }

    fn write(
        &self,
        out: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        out.array(11)?.u32(FORMAT)?.u32(self.oid)?.u32(self.version)?.u32(self.storage_id)?;
        out.u32(self.colocation)?.u8(match self.state {
            TableState::Public => 0,
            TableState::Dropping => 1,
        })?;
        out.str(&self.schema)?.str(&self.name)?;
        out.array(self.columns.len() as u64)?;
        for column in &self.columns {
            column.write(out)?;
        }
        out.array(self.primary_key.len() as u64)?;
        for attnum in &self.primary_key {
            out.u16(*attnum)?;
        }
        out.str(&self.primary_key_name)?;
        Ok(())
    }

    /// Reads the CBOR form.
    ///
    /// # Errors
    /// `0A000` for a newer format, `XX001` for bytes that are not a descriptor.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Decoder::new(bytes);
        Self::read(&mut input).map_err(|error| {
            Error::new(
                sqlstate::DATA_CORRUPTED,
                format!("table descriptor does not decode: {error}"),
            )
        })?
    }

    fn read(input: &mut Decoder<'_>) -> Result<Result<Self, Error>, DecodeError> {
        let fields = counted(input)?;
        let format = input.u32()?;
        if format > FORMAT {
            let what =
                format!("table descriptor of format {format}; this release reads {FORMAT}, it");
            return Ok(Err(Error::unsupported(what)));
        }
        let (oid, version, storage_id) = (input.u32()?, input.u32()?, input.u32()?);
        let colocation = input.u32()?;
        let state = match input.u8()? {
            0 => TableState::Public,
            1 => TableState::Dropping,
            other => return Err(DecodeError::message(format!("{other} is no table state"))),
        };
        let (schema, name) = (input.str()?.to_owned(), input.str()?.to_owned());
        let mut columns = Vec::new();
        for _ in 0..counted(input)? {
            columns.push(Column::read(input)?);
        }
        let mut primary_key = Vec::new();
        for _ in 0..counted(input)? {
            primary_key.push(input.u16()?);
        }
        let primary_key_name = input.str()?.to_owned();
        skip(input, fields, 11)?;
        if !primary_key.iter().all(|at| (1..=columns.len()).contains(&usize::from(*at))) {
            return Err(DecodeError::message("primary key names a column that is not there"));
        }
        let table = Self {
            oid,
            version,
            storage_id,
            colocation,
            state,
            schema,
            name,
            columns,
            primary_key,
            primary_key_name,
        };
        Ok(Ok(table))
    }
}

/// The length of the array that begins here; indefinite ones are not written and not read.
fn counted(input: &mut Decoder<'_>) -> Result<u64, DecodeError> {
    input.array()?.ok_or_else(|| DecodeError::message("array of unknown length"))
}

/// Passes over fields that a newer release appended.
fn skip(input: &mut Decoder<'_>, fields: u64, known: u64) -> Result<(), DecodeError> {
    for _ in known..fields {
        input.skip()?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn flights() -> Table {
        let column = |name: &str, ty, not_null| Column {
            name: name.into(),
            ty,
            typmod: -1,
            not_null,
            collation: Collation::Default,
        };
        Table {
            oid: 16_385,
            version: 1,
            storage_id: 16_386,
            colocation: 1,
            state: TableState::Public,
            schema: "public".into(),
            name: "flights".into(),
            columns: vec![
                column("carrier", TypeId::TEXT, true),
                column("flight", TypeId::INT4, true),
                column("delay", TypeId::FLOAT8, false),
            ],
            primary_key: vec![1, 2],
            primary_key_name: "flights_pkey".into(),
        }
    }

    #[test]
    fn a_descriptor_round_trips() {
        let table = flights();
        assert_eq!(Table::decode(&table.encode()), Ok(table));
    }

    #[test]
    fn a_collation_of_its_own_is_kept() {
        let mut table = flights();
        table.columns[0].collation = Collation::Posix;
        assert_eq!(Table::decode(&table.encode()), Ok(table));
    }

    #[test]
    fn the_bytes_are_those_of_the_python_half() {
        let golden = include_str!("../../../../tests/unit/catalog/flights.hex").trim();
        let hex =
            flights().encode().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(hex, golden);
    }

    #[test]
    fn fields_of_a_newer_release_are_passed_over() {
        let mut bytes = flights().encode();
        assert_eq!(bytes[0], 0x8B, "an array of 11");
        bytes[0] = 0x8C;
        bytes.push(0xf6);
        assert_eq!(Table::decode(&bytes), Ok(flights()));
    }

    #[test]
    fn bytes_that_are_cut_or_newer_are_refused_by_name() {
        let bytes = flights().encode();
        for end in 0..bytes.len() {
            let error = Table::decode(&bytes[..end]).expect_err("cut");
            assert_eq!(error.sqlstate, sqlstate::DATA_CORRUPTED);
        }
        let mut newer = bytes;
        newer[1] = 2;
        let error = Table::decode(&newer).expect_err("newer");
        assert_eq!(error.sqlstate, sqlstate::FEATURE_NOT_SUPPORTED);
    }
}
