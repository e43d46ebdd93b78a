//! Why connections end: counted by reason, and said where somebody wants to know.

use std::fmt;

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its client has hung up.
    ClientLeft,
    /// Its session has ended: the client said so, or it was ended for an error.
    SessionEnded,
    /// It got no session, and was told why.
    Refused,
    /// The doors are closed, and it had said nothing yet.
    Drained,
    /// The time that clients had to end is over.
    GraceOver,
    /// It has not begun, answered or hung up in time.
    TookTooLong,
    /// The network has lost it, in the system's words.
    Lost(String),
    /// A message between nodes that cannot be one.
    Malformed(String),
    /// Another node has ended it before its first message was whole.
    Unfinished,
    /// A question of another node was answered.
    Answered,
    /// A frame of a peer that cannot be one.
    BadFrame(String),
    /// A newer link to that peer takes its place.
    Replaced,
    /// The peer has hung up.
    HungUp,
    /// The control plane has cut the link, or does not want the connection.
    Unwanted,
    /// Another connection of the same link has gone, or has its place.
    OtherStream,
    /// There is no core for it.
    NoCore,
}

impl Ending {
    /// Names of all reasons, in their order.
    pub const NAMES: [&'static str; 16] = [
        "client_left",
        "session_ended",
        "refused",
        "drained",
        "grace_over",
        "took_too_long",
        "lost",
        "malformed",
        "unfinished",
        "answered",
        "bad_frame",
        "replaced",
        "hung_up",
        "unwanted",
        "other_stream",
        "no_core",
    ];

    /// The place of its name.
    pub fn number(&self) -> usize {
        match self {
            Self::ClientLeft => 0,
            Self::SessionEnded => 1,
            Self::Refused => 2,
            Self::Drained => 3,
            Self::GraceOver => 4,
            Self::TookTooLong => 5,
            Self::Lost(_) => 6,
            Self::Malformed(_) => 7,
            Self::Unfinished => 8,
            Self::Answered => 9,
            Self::BadFrame(_) => 10,
            Self::Replaced => 11,
            Self::HungUp => 12,
            Self::Unwanted => 13,
            Self::OtherStream => 14,
            Self::NoCore => 15,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientLeft => "the client has hung up",
            Self::SessionEnded => "its session has ended",
            Self::Refused => "it was refused",
            Self::Drained => "the doors are closed",
            Self::GraceOver => "the grace is over",
            Self::TookTooLong => "it took too long",
            Self::Lost(why) | Self::Malformed(why) | Self::BadFrame(why) => why,
            Self::Unfinished => "it ended before its handshake",
            Self::Answered => "it was answered",
            Self::Replaced => "a newer link takes its place",
            Self::HungUp => "the peer has hung up",
            Self::Unwanted => "the control plane does not want it",
            Self::OtherStream => "a connection of the same link has gone, or has its place",
            Self::NoCore => "the node has no core",
        })
    }
}

/// How many connections have ended, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endings([u64; Ending::NAMES.len()]);

impl Endings {
    /// Counts one.
    pub fn count(&mut self, ending: &Ending) {
        *self.0.get_mut(ending.number()).expect("each reason has a place") += 1;
    }

    /// How many for each reason, by its name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Ending::NAMES.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_name() {
        let mut endings = Endings::default();
        for _ in 0..3 {
            endings.count(&Ending::HungUp);
        }
        endings.count(&Ending::Lost("reset".into()));
        let counted: Vec<_> = endings.all().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("lost", 1), ("hung_up", 3)]);
        assert_eq!(Ending::NAMES.get(Ending::NoCore.number()), Some(&"no_core"));
    }
}
