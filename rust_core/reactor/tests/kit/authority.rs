//! An authority that signs certificates for tests, good ones and others.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::{Pem, Tls};

pub const CLUSTER: &str = "bank";

/// The authority of a cluster.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a certificate says.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub cluster: &'a str,
    pub is_node: bool,
    /// Its first and last year.
    pub years: (i32, i32),
}

impl<'a> Wanted<'a> {
    /// A node's, as it should be.
    pub fn node(name: &'a str) -> Self {
        Self { name, cluster: CLUSTER, is_node: true, years: (2000, 2100) }
    }

    /// A client's, as it should be.
    pub fn client(role: &'a str) -> Self {
        Self { is_node: false, ..Self::node(role) }
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = named("authority", CLUSTER);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    /// What a node has that was given such a certificate.
    pub fn sign(&self, wanted: &Wanted<'_>) -> Pem {
        let mut params = named(wanted.name, wanted.cluster);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if wanted.is_node {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.not_before = date_time_ymd(wanted.years.0, 1, 1);
        params.not_after = date_time_ymd(wanted.years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pem {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
            authority: self.issuer.pem().into_bytes(),
        }
    }
}

fn named(name: &str, cluster: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["node.example".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, cluster);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A client of PostgreSQL, as a library would make it.
pub fn client(
    authority: &Pem,
    own: Option<&Pem>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&authority.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(&own.certificate).unwrap()],
                PrivateKeyDer::from_pem_slice(&own.key).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    let name = ServerName::try_from("node.example").unwrap();
    Tls::new(ClientConnection::new(Arc::new(config), name).unwrap())
}
