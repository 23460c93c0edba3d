//! A certificate authority of the sandbox's own and a server certificate for loopback.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// What a TLS sandbox serves with, and what its clients must trust.
pub struct Tls {
    pub config: Arc<ServerConfig>,
    /// The authority's certificate, PEM.
    pub ca_pem: String,
}

impl Tls {
    /// Makes a new authority and a certificate for loopback, and for two names behind a proxy.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names is a legal list");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Sandbox authority");
        let ca_key = KeyPair::generate().expect("ring makes keys");
        let ca = params.self_signed(&ca_key).expect("an authority signs itself");
        let issuer = Issuer::new(params, ca_key);

        let names = ["127.0.0.1", "localhost", "api.test", "snapshots.test"].map(String::from);
        let mut leaf_params = CertificateParams::new(names).expect("the names are legal");
        // Which of several authorities of this name it is.
        leaf_params.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate().expect("ring makes keys");
        let leaf = leaf_params.signed_by(&leaf_key, &issuer).expect("the authority signs");
        let key = PrivateKeyDer::try_from(leaf_key.serialize_der()).expect("rcgen writes PKCS 8");

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("key and certificate belong together");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Arc::new(config), ca_pem: ca.pem() }
    }
}
