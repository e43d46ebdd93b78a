//! The first bytes of a PostgreSQL client, which say whether it encrypts.
//!
//! Clients ask before they begin (SSLRequest), or begin with TLS at once, as those of PostgreSQL 17 can
//! (first byte 0x16). What is neither goes to the session as it came: a startup packet, a cancellation,
//! or the question for another encryption (GSSENCRequest), which the session declines; then the client
//! may ask for this one.

use std::sync::Arc;

use super::{Certificates, Tls};

/// SSLRequest and GSSENCRequest: length and code.
pub(super) const SSL: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
pub(super) const GSS: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x30];
/// A record of a handshake of TLS begins so; a length of 369 MiB, if it were one of ours.
const TLS: u8 = 0x16;

/// What a client has said.
#[derive(Debug)]
pub enum Said {
    /// Too little to know.
    Nothing,
    /// A question for an encryption that there is not; another may follow.
    Question([u8; 8]),
    /// It does not encrypt; what it has said until now.
    Plain(Vec<u8>),
    /// It asks whether it may encrypt.
    Encrypt(Box<Tls>),
    /// It does; what it has said until now.
    Tls(Box<Tls>, Vec<u8>),
}

/// A client that has not said yet whether it encrypts.
#[derive(Debug)]
pub struct Knock {
    heard: Vec<u8>,
    certificates: Arc<Certificates>,
}

impl Knock {
    pub fn new(certificates: &Arc<Certificates>) -> Self {
        Self { heard: Vec::new(), certificates: Arc::clone(certificates) }
    }

    /// Takes its next bytes.
    pub fn hear(&mut self, bytes: &[u8]) -> Said {
        self.heard.extend_from_slice(bytes);
        if self.heard.first() == Some(&TLS) {
            let mut tls = self.tls();
            tls.must_name_protocol();
            return Said::Tls(tls, std::mem::take(&mut self.heard));
        }
        // Bytes behind the question come from somebody who did not wait for the answer: the session
        // refuses both together.
        if self.heard == SSL {
            return Said::Encrypt(self.tls());
        }
        if self.heard == GSS {
            self.heard.clear();
            return Said::Question(GSS);
        }
        if self.heard.len() < SSL.len() && [SSL, GSS].iter().any(|it| it.starts_with(&self.heard)) {
            return Said::Nothing;
        }
        Said::Plain(std::mem::take(&mut self.heard))
    }

    fn tls(&self) -> Box<Tls> {
        Box::new(self.certificates.client_side())
    }
}
