//! Whom a certificate names, once it was found to be signed by the authority.
//!
//! Nodes and clients have certificates of one authority. A node's says that it may be a server
//! (extended key usage), a client's does not; so a client cannot pose as a node. The subject's common
//! name is the node's name or the client's role, its organization the cluster.

use std::io;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_cert::certificate::CertificateInner;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc4519::{COMMON_NAME, ORGANIZATION_NAME};
use x509_cert::der::oid::db::rfc5280::ID_KP_SERVER_AUTH;
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::ext::pkix::name::DirectoryString;
use x509_cert::name::Name;

use super::bad;

/// Who somebody is, as the authority has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's name or the client's role.
    pub name: String,
    /// The cluster.
    pub cluster: String,
    /// It may be a server: it is a node.
    pub is_node: bool,
    /// When the certificate ends, since the Unix epoch.
    pub ends: Duration,
}

impl Identity {
    /// Reads a certificate.
    ///
    /// # Errors
    /// `InvalidData` if it is none, or names nobody.
    pub fn of(certificate: &CertificateDer<'_>) -> io::Result<Self> {
        let found: CertificateInner = CertificateInner::from_der(certificate)
            .map_err(|error| bad(format!("no certificate: {error}")))?;
        let found = found.tbs_certificate();
        let usage = found
            .get_extension::<ExtendedKeyUsage>()
            .map_err(|error| bad(format!("a certificate with a strange usage: {error}")))?;
        Ok(Self {
            name: text(found.subject(), COMMON_NAME)?
                .ok_or_else(|| bad("a certificate without a common name"))?,
            cluster: text(found.subject(), ORGANIZATION_NAME)?.unwrap_or_default(),
            ends: found.validity().not_after.to_unix_duration(),
            is_node: usage.is_some_and(|(_, usage)| usage.0.contains(&ID_KP_SERVER_AUTH)),
        })
    }
}

/// The one value of an attribute of a name. Two of them name nobody: each reader would take its own.
fn text(name: &Name, attribute: ObjectIdentifier) -> io::Result<Option<String>> {
    let mut values = name.iter().filter(|it| it.oid == attribute);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("a certificate with two names"));
    }
    let text = DirectoryString::try_from(&value.value)
        .map_err(|error| bad(format!("a certificate with a strange name: {error}")))?;
    let text = text.value().into_owned();
    // A reader in C would stop at the first zero and take it for another's.
    if text.is_empty() || text.contains('\0') {
        return Err(bad("a certificate with a strange name"));
    }
    Ok(Some(text))
}
