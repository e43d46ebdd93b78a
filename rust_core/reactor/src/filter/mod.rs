//! What stands between the bytes of the wire and those that a session or a link reads: nothing, or TLS.
//!
//! A filter is a machine of bytes: it takes what came from the wire and gives plain bytes and answers
//! of its own; it takes plain bytes and gives what the wire is to carry. It knows no socket, so that a
//! test can cut its bytes anywhere, and whoever owns the socket need not know which filter there is.
//!
//! - Bytes that are said before a handshake is done wait in the filter, and are sent after it.
//! - An end of the wire that the other side did not announce inside of TLS is a broken connection:
//!   anybody on the way can end the wire.
//! - Plain bytes behind a question for encryption end the connection: they were not encrypted, and
//!   must not be read as if they had been (CVE-2021-23214).
//!
//! ```text
//! knock          the first bytes of a PostgreSQL client, which say whether it encrypts
//! tls            one encrypted connection
//! certificates   files of a node become what connections are made with
//! identity       whom a certificate names
//! ```

mod certificates;
mod identity;
mod knock;
mod tls;

use std::io;
use std::sync::Arc;

pub use certificates::{Certificates, Pem};
pub use identity::Identity;
use knock::{Knock, Said};
pub use tls::Tls;

/// What a connection's bytes go through.
#[derive(Debug, Default)]
pub enum Filter {
    /// They are what is read and said.
    #[default]
    Plain,
    /// A client has not said yet whether it encrypts.
    Knock(Knock),
    /// They are encrypted, or will be once the handshake is done.
    Tls(Box<Tls>),
}

impl Filter {
    /// A client at a door with certificates.
    pub fn knock(certificates: &Arc<Certificates>) -> Self {
        Self::Knock(Knock::new(certificates))
    }

    /// A connection that is encrypted from its first byte.
    pub fn tls(tls: Tls) -> Self {
        Self::Tls(Box::new(tls))
    }

    /// Appends what is said before anything was heard: the first words of who dials.
    pub fn begin(&mut self, wire_out: &mut Vec<u8>) {
        if let Self::Tls(tls) = self {
            tls.begin(wire_out);
        }
    }

    /// Whether what is said differs from what the wire carries.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether what comes next may be dear: it is part of a handshake, or may be.
    pub fn is_shaking_hands(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Knock(_) => true,
            Self::Tls(tls) => tls.is_shaking_hands(),
        }
    }

    /// Whether the wire carries what is read and said.
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Whether the other side has said inside of TLS that nothing follows.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.has_ended())
    }

    /// Whether something was said that has not become bytes of the wire.
    pub fn holds(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.holds())
    }

    /// The encryption, if there is any.
    pub fn encryption(&self) -> Option<&Tls> {
        match self {
            Self::Tls(tls) => Some(tls),
            Self::Plain | Self::Knock(_) => None,
        }
    }

    /// Takes bytes of the wire. Plain ones are appended to `plain`, answers to `wire_out`, which are
    /// to be sent in any case: they tell the other side what was wrong.
    ///
    /// # Errors
    /// `InvalidData` if the other side does not speak as it must, or is not who it must be.
    pub fn receive(
        &mut self,
        wire: &[u8],
        plain: &mut Vec<u8>,
        wire_out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match self {
            Self::Plain => plain.extend_from_slice(wire),
            Self::Tls(tls) => tls.receive(wire, plain, wire_out)?,
            Self::Knock(knock) => match knock.hear(wire) {
                Said::Nothing => {}
                Said::Question(question) => plain.extend_from_slice(&question),
                Said::Plain(bytes) => {
                    *self = Self::Plain;
                    plain.extend_from_slice(&bytes);
                }
                Said::Encrypt(tls) => {
                    wire_out.push(b'S');
                    *self = Self::Tls(tls);
                }
                Said::Tls(mut tls, bytes) => {
                    let heard = tls.receive(&bytes, plain, wire_out);
                    *self = Self::Tls(tls);
                    heard?;
                }
            },
        }
        Ok(())
    }

    /// Takes the end of the wire.
    ///
    /// # Errors
    /// `UnexpectedEof` if it was not announced inside of TLS.
    pub fn end(&self) -> io::Result<()> {
        match self {
            Self::Tls(tls) if !tls.has_ended() => {
                let why = "the encrypted connection was cut short";
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
            }
            _ => Ok(()),
        }
    }

    /// Takes plain bytes to be said.
    pub fn say(&mut self, plain: &[u8], wire_out: &mut Vec<u8>) {
        match self {
            Self::Plain | Self::Knock(_) => wire_out.extend_from_slice(plain),
            Self::Tls(tls) => tls.say(plain, wire_out),
        }
    }

    /// Says that nothing follows.
    pub fn finish(&mut self, wire_out: &mut Vec<u8>) {
        if let Self::Tls(tls) = self {
            tls.finish(wire_out);
        }
    }
}

fn bad(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What went wrong, for people.
fn why(error: &rustls::Error) -> String {
    use rustls::{CertificateError, Error};
    let certificate = match error {
        Error::InvalidCertificate(error) => error,
        Error::NoCertificatesPresented => return "no certificate is shown".to_owned(),
        Error::AlertReceived(alert) => return format!("the other side refuses: {alert:?}"),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            return format!("the other side speaks no TLS, or wrongly: {error}");
        }
        error => return error.to_string(),
    };
    match certificate {
        // A signature does not fit where two authorities have one name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate is of another authority".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is no node's".to_owned()
        }
        CertificateError::Other(other) => other.0.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
