//! What a client is told that gets no session: an ErrorResponse after its first message.
//!
//! Clients speak first, and some read nothing before they have; one that asks for encryption is told
//! that there is none, and then speaks again.

use phantom_base::Error;

use super::codec;

/// How SSLRequest and GSSENCRequest begin: eight bytes long, code 1234.
const ENCRYPT_HEAD: [u8; 6] = [0, 0, 0, 8, 4, 0xd2];

/// One client's refusal.
#[derive(Debug)]
pub struct Refusal {
    error: Error,
    has_asked_for_encryption: bool,
}

impl Refusal {
    /// Refuses with a FATAL error.
    pub fn new(error: Error) -> Self {
        Self { error, has_asked_for_encryption: false }
    }

    /// Takes what the client says and appends the answer; whether that was the last word.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        if !self.has_asked_for_encryption && bytes.starts_with(&ENCRYPT_HEAD) {
            self.has_asked_for_encryption = true;
            out.push(b'N');
            return false;
        }
        codec::write_error(out, &self.error);
        true
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::{Severity, sqlstate};

    use super::*;

    #[test]
    fn a_client_hears_why_after_its_first_message_and_of_encryption_before() {
        let error = Error::new(sqlstate::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
            .with_severity(Severity::Fatal);
        let mut out = Vec::new();
        let mut refusal = Refusal::new(error.clone());
        assert!(!refusal.feed(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], &mut out));
        assert_eq!(out, b"N");
        out.clear();
        assert!(refusal.feed(&[0, 0, 0, 9, 0, 3, 0, 0, 0], &mut out));
        assert_eq!(out[0], b'E');
        let text = String::from_utf8_lossy(&out);
        assert!(text.contains("C53300\0") && text.contains("SFATAL\0"), "{text}");
        let mut plain = Vec::new();
        assert!(Refusal::new(error).feed(b"\0\0\0\x08\0\x03\0\0", &mut plain));
        assert_eq!(plain, out);
    }
}
