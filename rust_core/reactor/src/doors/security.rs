//! What is asked of who comes in, and of whom we dial.
//!
//! - A certificate that a client shows says its role, and is the only proof that there is.
//! - Clients on this machine are trusted without one, encrypted or not, unless told otherwise; so are
//!   all where the node was told to be insecure. Others are told what is missing.
//! - Peers are encrypted and show their certificates wherever this node has one.

use std::net::SocketAddr;
use std::sync::Arc;

use phantom_base::{Error, Severity, sqlstate};
use phantom_wire::pg::Admission;

use super::entrance::Kind;
use super::socket::Socket;
use crate::filter::{Certificates, Filter};

/// What is asked of connections.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// What they are encrypted with; none are without.
    pub certificates: Option<Arc<Certificates>>,
    /// Whoever reaches the node is trusted.
    pub is_insecure: bool,
    /// Clients on this machine are asked for as much as others.
    pub distrusts_loopback: bool,
}

impl Security {
    /// What the bytes of one who comes in go through.
    pub(super) fn filter(&self, kind: Kind) -> Filter {
        match (&self.certificates, kind) {
            (None, _) => Filter::Plain,
            (Some(certificates), Kind::Clients) => Filter::knock(certificates),
            (Some(certificates), Kind::Peers) => Filter::tls(certificates.peer_side()),
        }
    }

    /// What the bytes of a connection to a peer go through.
    pub(super) fn dial_filter(&self) -> Filter {
        let certificates = self.certificates.as_ref();
        certificates.map_or(Filter::Plain, |it| Filter::tls(it.dial_side()))
    }

    /// Whom a client may be.
    pub(super) fn admission(&self, socket: &Socket) -> Admission {
        let encryption = socket.filter().encryption();
        let shown = encryption.and_then(|tls| tls.other());
        let own = self.certificates.as_ref().map(|it| it.own());
        match shown {
            Some(it) if it.is_node => {
                refused(format!("the certificate of node \"{}\" is no client's", it.name), CLIENT)
            }
            Some(it) if own.is_some_and(|own| own.cluster != it.cluster) => {
                let (name, cluster) = (&it.name, &it.cluster);
                refused(format!("the certificate of \"{name}\" is for \"{cluster}\""), CLIENT)
            }
            Some(it) => Admission::Role(it.name.clone()),
            None if self.is_insecure => Admission::Anyone,
            None if !self.distrusts_loopback && is_loopback(&socket.address) => Admission::Anyone,
            None if encryption.is_some() => {
                refused("a client from elsewhere must show a certificate".to_owned(), CLIENT)
            }
            None => refused(
                "a connection from elsewhere must be encrypted".to_owned(),
                "Connect with sslmode=verify-full and a client certificate.",
            ),
        }
    }
}

const CLIENT: &str = "`phantomdb cert client` makes one for a role.";

fn refused(why: String, hint: &str) -> Admission {
    let code = sqlstate::INVALID_AUTHORIZATION_SPECIFICATION;
    Admission::Nobody(Error::new(code, why).with_severity(Severity::Fatal).with_hint(hint))
}

/// Whether a connection comes from this machine. One without a numeric address comes by a path.
fn is_loopback(address: &str) -> bool {
    address.parse().map_or(true, |it: SocketAddr| it.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_from_this_machine_is_loopback() {
        for near in ["127.0.0.1:1", "127.9.0.1:80", "[::1]:5", "[::ffff:127.0.0.1]:7", "local"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["10.0.0.1:1", "0.0.0.0:1", "[::]:5", "[::ffff:10.0.0.1]:7", "[fe80::1]:7"] {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
