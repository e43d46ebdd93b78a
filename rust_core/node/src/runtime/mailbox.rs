//! How workers speak to the node: they post, it takes, and one bell rings for all.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use phantom_base::sync::{AtomicBool, Mutex, Ordering};
use rustix::event::{EventfdFlags, eventfd};

/// Rings once until it is hushed, however often it is asked to.
#[derive(Clone)]
pub struct Bell(Arc<Inner>);

struct Inner {
    rung: AtomicBool,
    fd: Option<OwnedFd>,
}

impl Bell {
    /// A bell that makes a descriptor readable.
    pub fn with_eventfd() -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Inner { rung: AtomicBool::new(false), fd: Some(fd) })))
    }

    /// A bell that only remembers: in a simulation nobody sleeps.
    pub fn silent() -> Self {
        Self(Arc::new(Inner { rung: AtomicBool::new(false), fd: None }))
    }

    /// Rings.
    pub fn ring(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel)
            && let Some(fd) = &self.0.fd
        {
            // An eventfd refuses a write only if its counter is full: it is readable then too.
            let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
        }
    }

    /// Ends the ringing; whether it rang. What is posted from here on rings again.
    pub fn hush(&self) -> bool {
        if !self.0.rung.load(Ordering::Acquire) {
            return false;
        }
        // The descriptor first: what rings between is in the mailboxes, which are emptied next.
        self.empty();
        self.0.rung.swap(false, Ordering::AcqRel)
    }

    /// Whether it has rung since it was hushed.
    pub fn has_rung(&self) -> bool {
        self.0.rung.load(Ordering::Acquire)
    }

    /// Makes the descriptor unreadable; `hush` follows. Whoever it has woken calls this: a ring
    /// that crosses a hush may leave it readable although nothing rings.
    pub fn empty(&self) {
        if let Some(fd) = &self.0.fd {
            // Nothing to read is as good.
            let _ = rustix::io::read(fd, &mut [0_u8; 8]);
        }
    }

    /// The descriptor, if there is one.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd.as_ref().map(AsFd::as_fd)
    }
}

/// A queue from workers to the node. Clones are the same queue.
pub struct Mailbox<T> {
    posted: Arc<Mutex<Vec<T>>>,
    bell: Bell,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { posted: Arc::clone(&self.posted), bell: self.bell.clone() }
    }
}

impl<T> Mailbox<T> {
    pub(super) fn new(bell: Bell) -> Self {
        Self { posted: Arc::default(), bell }
    }

    /// Leaves `item` and rings.
    pub fn post(&self, item: T) {
        self.posted.lock().push(item);
        self.bell.ring();
    }

    /// Everything posted since the last time, in order.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.posted.lock())
    }
}
