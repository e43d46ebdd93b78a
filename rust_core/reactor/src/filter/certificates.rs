//! Files of a node become what connections are made with.
//!
//! A node has a certificate and its key, and the certificate of the authority that signed those of all
//! nodes and clients of its cluster. It shows its certificate at the doors of clients and of peers, and
//! to whom it dials.
//!
//! - Clients may come without a certificate; one that is shown must be the authority's. TLS 1.2 and 1.3.
//! - Peers show theirs both ways: of the authority, of this cluster, and a node's. TLS 1.3.
//! - Whether a node is the one that it says it is, is the control plane's to compare. Its address is
//!   not compared: nodes come back elsewhere, and only nodes have a node's certificate.
//! - No connection is resumed: each shows its certificate anew, and nothing is kept of one that ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use phantom_base::{Clock, Error, Nanos, Result, sqlstate};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName,
    OtherError, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
    SupportedProtocolVersion, version,
};

use super::tls::POSTGRESQL;
use super::{Identity, Tls, why};

/// Contents of a node's files.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// Its certificate, and those between it and the authority's.
    pub certificate: Vec<u8>,
    /// The key of its certificate.
    pub key: Vec<u8>,
    /// The authority's certificate.
    pub authority: Vec<u8>,
}

/// What a node's connections are made with.
#[derive(Debug)]
pub struct Certificates {
    own: Identity,
    time: Arc<Time>,
    clients: Arc<ServerConfig>,
    peers: Arc<ServerConfig>,
    dials: Arc<ClientConfig>,
}

impl Certificates {
    /// Reads the files of a node. Time, for what has expired, is the clock's.
    ///
    /// # Errors
    /// `F0000` if they are damaged, do not belong together, or would be refused by other nodes.
    pub fn read(pem: &Pem, clock: Arc<dyn Clock>) -> Result<Self> {
        let time = Arc::new(Time(clock));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(roots(&pem.authority)?);
        let chain = chain(&pem.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|error| wrong(&format!("node.key holds no key: {error}")))?;
        let first = chain.first().expect("`chain` is never empty");
        let own = Identity::of(first).map_err(|error| wrong(&format!("node.crt: {error}")))?;
        let nodes = Nodes::new(&provider, roots, own.clone())?;
        nodes
            .check(first, chain.get(1..).unwrap_or_default(), time.now())
            .map_err(|error| wrong(&format!("node.crt would be refused: {}", why(&error))))?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| {
            let is_anothers = matches!(error, rustls::Error::InconsistentKeys(_));
            let why =
                if is_anothers { "it is not that of node.crt".to_owned() } else { why(&error) };
            wrong(&format!("node.key: {why}"))
        })?;

        let both: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
        let server = |versions: &[&'static SupportedProtocolVersion], verifier| {
            let time: Arc<dyn TimeProvider> = Arc::<Time>::clone(&time);
            let mut config = ServerConfig::builder_with_details(Arc::clone(&provider), time)
                .with_protocol_versions(versions)
                .and_then(|it| {
                    it.with_client_cert_verifier(verifier)
                        .with_single_cert(chain.clone(), key.clone_key())
                })
                .map_err(|error| wrong(&error.to_string()))?;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Ok::<_, Error>(config)
        };
        let mut clients = server(both, nodes.of_clients()?)?;
        clients.alpn_protocols = vec![POSTGRESQL.to_vec()];
        let peers = server(&[&version::TLS13], Arc::new(nodes.clone()))?;
        let mut dials =
            ClientConfig::builder_with_details(Arc::clone(&provider), Arc::<Time>::clone(&time))
                .with_protocol_versions(&[&version::TLS13])
                .and_then(|it| {
                    it.dangerous()
                        .with_custom_certificate_verifier(Arc::new(nodes))
                        .with_client_auth_cert(chain.clone(), key.clone_key())
                })
                .map_err(|error| wrong(&error.to_string()))?;
        dials.resumption = Resumption::disabled();
        dials.enable_sni = false;
        let (clients, peers, dials) = (Arc::new(clients), Arc::new(peers), Arc::new(dials));
        Ok(Self { own, time, clients, peers, dials })
    }

    /// Whom the node's own certificate names.
    pub fn own(&self) -> &Identity {
        &self.own
    }

    /// How long the node's own certificate is good.
    pub fn left(&self) -> Duration {
        self.own.ends.saturating_sub(Duration::from_secs(self.time.now().as_secs()))
    }

    /// The node's side of a client's connection.
    pub fn client_side(&self) -> Tls {
        Tls::new(ServerConnection::new(Arc::clone(&self.clients)).expect(CONFIGURED))
    }

    /// The node's side of a connection that a peer has dialled.
    pub fn peer_side(&self) -> Tls {
        Tls::new(ServerConnection::new(Arc::clone(&self.peers)).expect(CONFIGURED))
    }

    /// The node's side of a connection that it has dialled.
    pub fn dial_side(&self) -> Tls {
        // It is neither said nor compared.
        let name = ServerName::try_from("node").expect("it is a name");
        Tls::new(ClientConnection::new(Arc::clone(&self.dials), name).expect(CONFIGURED))
    }
}

const CONFIGURED: &str = "the configuration was checked when it was made";

fn wrong(why: &str) -> Error {
    Error::new(sqlstate::CONFIG_FILE_ERROR, why)
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| wrong(&format!("node.crt is damaged: {error}")))?;
    if chain.is_empty() {
        return Err(wrong("node.crt holds no certificate"));
    }
    Ok(chain)
}

fn roots(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| wrong(&format!("ca.crt is damaged: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(&format!("ca.crt: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("ca.crt holds no certificate"));
    }
    Ok(roots)
}

/// The node's clock, as certificates need it.
struct Time(Arc<dyn Clock>);

impl Time {
    fn now(&self) -> UnixTime {
        const S: Nanos = 1_000_000_000;
        UnixTime::since_unix_epoch(Duration::from_secs(self.0.wall_ns() / S))
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

/// Finds out whether somebody is a node of this cluster, whoever has dialled.
#[derive(Clone, Debug)]
struct Nodes {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    /// Of clients and of nodes: signed by the authority, for who dials.
    dialler: Arc<dyn ClientCertVerifier>,
    own: Identity,
}

impl Nodes {
    fn new(
        provider: &Arc<CryptoProvider>,
        roots: Arc<RootCertStore>,
        own: Identity,
    ) -> Result<Self> {
        let provider = Arc::clone(provider);
        let dialler =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| wrong(&format!("ca.crt: {error}")))?;
        Ok(Self { provider, roots, dialler, own })
    }

    /// How a client's certificate is checked, if it shows one.
    fn of_clients(&self) -> Result<Arc<dyn ClientCertVerifier>> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(&self.provider));
        WebPkiClientVerifier::builder_with_provider(roots, provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| wrong(&format!("ca.crt: {error}")))
    }

    /// Checks that a certificate is a node's of this cluster, for both sides of a connection.
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> std::result::Result<(), rustls::Error> {
        self.dialler.verify_client_cert(certificate, between, now)?;
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, algorithms)?;
        let found = Identity::of(certificate).map_err(strange)?;
        if !found.is_node {
            return Err(CertificateError::InvalidPurpose.into());
        }
        if found.cluster != self.own.cluster {
            let why = format!("{} is of cluster {:?}", found.name, found.cluster);
            return Err(strange(io::Error::other(why)));
        }
        Ok(())
    }
}

fn strange(error: io::Error) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

impl ClientCertVerifier for Nodes {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.dialler.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.dialler.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.dialler.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.dialler.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Nodes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
