//! Versions: which write becomes visible when, and which read sees what.
//!
//! A group's leader asks `Admissions` before it touches a key and reads through a `Reader` pinned
//! to one LSM snapshot; `key` says how keys and values are laid out. Rules, each a test:
//!
//! - A write holds the latches of its keys from before it looks at them until its entry is applied
//!   or refused; so what it saw is still the newest version when it commits.
//! - A read at `r` waits for proposals in flight at or below `r` that touch what it reads, and for
//!   nothing else; a scan of an hour delays no writer.
//! - A commit timestamp is above every read served before it and every version of its keys.
//!
//! Nothing here knows SQL, rows, sockets or how an entry is replicated.

mod admission;
pub mod key;
mod reader;

pub use admission::{Admissions, Reads, RequestId};
pub use reader::{Entry, Reader, Row, RowIter};
