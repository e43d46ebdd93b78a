//! The machine's clocks, threads and memory: the one file of this crate that may name them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use phantom_base::{Clock, Nanos, Spawner};

/// The machine's clocks; monotonic time begins when this is made.
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// Starts monotonic time at 1 s, so that "long ago" is never below zero.
    #[expect(clippy::disallowed_methods, reason = "this is where clocks come from")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is where clocks come from")]
    fn wall_ns(&self) -> Nanos {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Nanos::try_from(since.expect("the clock stands after 1970").as_nanos())
            .expect("nanoseconds since 1970 fit 64 bits until 2554")
    }

    fn monotonic_ns(&self) -> Nanos {
        const START_NS: Nanos = 1_000_000_000;
        START_NS + self.start.elapsed().as_nanos() as Nanos
    }
}

/// How many arenas the system's allocator may keep. It would make eight a core, and each keeps what
/// was freed in it: batches that one thread makes and another frees leave holes in all of them.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;

/// Keeps freed memory together. Call it before there are threads; other allocators need none of it.
#[allow(unsafe_code, reason = "a call of the C library; see the SAFETY comment")]
pub fn share_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers and changes only how many arenas are made from now on.
    let is_set = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
    #[cfg(target_env = "gnu")]
    assert_eq!(is_set, 1, "the allocator knows its own option");
}

/// Gives freed memory back to the system: it keeps what lies between what is still held. It takes some
/// milliseconds, in which threads that allocate wait, so it is for when much has become free.
#[allow(unsafe_code, reason = "a call of the C library; see the SAFETY comment")]
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and touches only memory that nobody holds.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Ends the process with a code, past whatever else would be done at its end.
#[allow(unsafe_code, reason = "a call of the C library; see the SAFETY comment")]
pub fn end_at_once(code: i32) -> ! {
    // SAFETY: it takes a number and does not come back.
    unsafe { libc::_exit(code) }
}

/// Makes threads of the operating system. One that panics takes the process along: a node
/// without one of its workers is wrong, and a stopped one is repaired.
pub struct RealSpawner;

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

impl Spawner for RealSpawner {
    fn spawn(&self, name: &str, stack_bytes: usize, body: Box<dyn FnOnce() + Send>) {
        let mut builder = std::thread::Builder::new().name(name.to_owned());
        if stack_bytes > 0 {
            builder = builder.stack_size(stack_bytes);
        }
        let guarded = move || {
            let _guard = AbortOnPanic;
            body();
        };
        builder
            .spawn(guarded)
            .expect("a process may have the few threads that a node makes at start");
    }
}
