//! The catalog as the binder sees it: descriptors, and one immutable snapshot of them all.

mod collation;
mod descriptor;
mod pieces;
mod snapshot;

pub use collation::Collation;
pub use descriptor::{Column, FIRST_USER_OID, Table, TableState};
pub use snapshot::CatalogSnapshot;
