//! TLS: which library, and which root certificates.

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::super::settings::Settings;
use crate::error::{Error, Result};

pub(super) fn config(settings: &Settings) -> Result<TlsConfig> {
    let native = cfg!(feature = "native-tls");
    let roots = match &settings.root_certificates {
        Some(pem) => {
            let certificates: Vec<Certificate<'static>> = parse_pem(pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(Error::invalid("the root certificates", "contain no certificate in PEM form"));
            }
            RootCerts::from(certificates)
        }
        None if native || cfg!(feature = "platform-verifier") => RootCerts::PlatformVerifier,
        None => RootCerts::WebPki,
    };
    let provider = if native { TlsProvider::NativeTls } else { TlsProvider::Rustls };
    Ok(TlsConfig::builder().provider(provider).root_certs(roots).build())
}
