//! A PostgreSQL session, protocol 3.0, as a sans-IO state machine.
//!
//! Bytes of the client go in by `feed`; `step` works through them; what needs a parser, a plan or
//! rows comes out as one `Request` at a time and goes on with `resume`; bytes for the client come
//! out by `take_out`. Rules, each a test:
//!
//! - The same input gives the same output, however it is split and however often `step` is called.
//! - One ReadyForQuery for each Query and each Sync; after an error everything up to Sync is
//!   skipped.
//! - Each statement commits by itself, so a write must be the last of its Query or Sync: anything
//!   else is `0A000` with nothing done. An Execute of a write waits for its Sync to know that.
//! - None of the output of a statement leaves before its end, unless 64 KiB wait or the client sent
//!   Flush. An error ends it, and leaves without Sync.
//! - Rows wait while more than 256 KiB of output do: a client that does not read costs no memory.
//! - Bad input is FATAL `08P01` and the end of the session, never a panic.

mod codec;
mod extended;
mod message;
mod portal;
mod refusal;
mod rows;
mod session;
mod simple;
mod startup;
mod utility;

pub use codec::{MESSAGE_BYTES_MAX, STARTUP_BYTES_MAX};
pub use message::{Outcome, Piece, Progress, Request};
pub use refusal::Refusal;
pub use session::{Identity, PgSession};
pub use startup::Admission;
