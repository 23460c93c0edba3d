//! I/O. The only file that names ureq, `resolve` aside: two agents, one for JSON calls and one for the snapshot
//! host.
//!
//! The two never share a request type: [`ApiAgent`] is the only one that is ever given the key, and
//! [`FileAgent`] has no way to send one.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Proxy, SendBody};

use super::failure::Failure;
use super::resolve::Remembering;
use super::settings::{Limits, MAX_JSON_BYTES, ProxyChoice, Settings};
use crate::error::{Error, Result};
use crate::secret::{ApiKey, SignedUrl, is_loopback, split_url};

/// The longest answer head that is read, in bytes. At least the input buffer, or a 1xx head before a large
/// body would be taken for a head that is too long.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The input buffer of transfers: large reads are what makes them fast.
const FILE_BUFFER: usize = 1024 * 1024;
/// How many redirects of the snapshot host are followed.
const MAX_REDIRECTS: usize = 3;

/// An answer's head, as far as anyone here looks at it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
}

impl Head {
    /// The value of a header that may come once; `None` when it is missing, no text, or there twice with
    /// different values.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        if values.any(|other| other != first) {
            return None;
        }
        first.to_str().ok()
    }

    /// The coding of the body when it is anything but the bytes themselves, however often the header comes.
    fn coding(&self) -> Option<&str> {
        let all = self.headers.get_all("content-encoding").iter();
        all.map(|value| value.to_str().unwrap_or("no text"))
            .find(|c| !c.trim().is_empty() && !c.trim().eq_ignore_ascii_case("identity"))
    }
}

/// A body that reports its failures as [`Failure`] inside [`io::Error`].
pub(crate) struct Body {
    reader: ureq::BodyReader<'static>,
    limits: Limits,
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => io::Error::other(failure(ureq::Error::from(e), &self.limits)),
        })
    }
}

/// What a JSON call sends.
pub(crate) enum Payload<'a> {
    Nothing,
    Json(&'a [u8]),
    /// A body of known length that is read while it is sent.
    Stream {
        content_type: &'a str,
        length: u64,
        reader: &'a mut dyn Read,
    },
}

/// One JSON call, ready to send.
pub(crate) struct Request<'a, 'p> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a str,
    pub(crate) payload: Payload<'p>,
    /// The total this attempt may take; for a [`Payload::Stream`], only the wait for the answer's head.
    pub(crate) limit: Duration,
    /// What an error says the limit was, when this attempt had only the rest of it.
    pub(crate) total: Duration,
    /// Over a new connection, whatever the pool has. Everything but a GET is sent so.
    pub(crate) fresh: bool,
}

/// A JSON call's answer; the body may have broken off.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) broken: Option<Failure>,
}

/// The agent of JSON calls.
pub(crate) struct ApiAgent {
    agent: Agent,
    limits: Limits,
    /// Whether a call was answered before, so that the pool may have a connection.
    answered: AtomicBool,
}

impl ApiAgent {
    /// `base_url` decides whether a proxy is used: loopback is reached directly.
    pub(crate) fn new(settings: &Settings, base_url: &str) -> Result<Self> {
        let direct = split_url(base_url).is_ok_and(|parts| is_loopback(parts.host));
        let config = common(settings, direct)?
            .accept("application/json")
            .timeout_global(Some(settings.limits.total))
            .input_buffer_size(MAX_HEAD_BYTES)
            .output_buffer_size(16 * 1024)
            .build();
        Ok(Self { agent: agent(config), limits: settings.limits.clone(), answered: AtomicBool::new(false) })
    }

    /// Whether a call may go over a connection the service has closed in the meantime.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Sends `request` once. An answer with a broken body is an answer: its status counts.
    pub(crate) fn send(
        &self,
        request: Request<'_, '_>,
        key: &ApiKey,
    ) -> std::result::Result<Answer, Failure> {
        let Request { method, url, payload, limit, total, fresh } = request;
        let mut authorization = ureq::http::HeaderValue::from_str(key.expose())
            .map_err(|_| Failure::Protocol("the API key cannot stand in a header".into()))?;
        authorization.set_sensitive(true);
        let builder =
            ureq::http::Request::builder().method(method).uri(url).header("authorization", authorization);
        let limits = Limits { total, first_byte: total, ..self.limits.clone() };
        let fail = |e| failure(e, &limits);
        let sent = match payload {
            Payload::Nothing if method == "GET" => {
                let request = builder.body(()).map_err(|e| fail(e.into()))?;
                if fresh {
                    self.agent.run(once(&self.agent, request).timeout_global(Some(limit)).build())
                } else {
                    self.agent.run(request)
                }
            }
            Payload::Nothing => {
                let request = builder.header("content-length", "0").body(()).map_err(|e| fail(e.into()))?;
                self.agent.run(once(&self.agent, request).timeout_global(Some(limit)).build())
            }
            Payload::Json(json) => {
                let request = builder
                    .header("content-type", "application/json")
                    .body(json)
                    .map_err(|e| fail(e.into()))?;
                self.agent.run(once(&self.agent, request).timeout_global(Some(limit)).build())
            }
            Payload::Stream { content_type, length, reader } => {
                let request = builder
                    .header("content-type", content_type)
                    .header("content-length", length)
                    .body(SendBody::from_reader(reader))
                    .map_err(|e| fail(e.into()))?;
                let stall = Some(self.limits.stall);
                let request = once(&self.agent, request)
                    .timeout_global(None)
                    .timeout_per_write(stall)
                    .timeout_recv_response(Some(limit))
                    .timeout_recv_body(Some(self.limits.total))
                    .build();
                self.agent.run(request)
            }
        };
        let (parts, body) = sent.map_err(fail)?.into_parts();
        self.answered.store(true, Ordering::Relaxed);
        let head = Head { status: parts.status.as_u16(), headers: parts.headers };
        if let Some(coding) = head.coding() {
            let problem = format!("the answer came in the coding {coding:?}, which was not asked for");
            return Ok(Answer { head, body: Vec::new(), broken: Some(Failure::Protocol(problem.into())) });
        }
        let mut body = Body { reader: body.into_reader(), limits };
        let (body, broken) = read_capped(&mut body);
        Ok(Answer { head, body, broken })
    }
}

/// A call that must not be sent twice goes over a new connection: on an old one, a close by the server in
/// the same moment could not be told from a failure after the work was begun.
fn once<S: ureq::AsSendBody>(
    agent: &Agent,
    request: ureq::http::Request<S>,
) -> ConfigBuilder<ureq::typestate::HttpCrateScope<S>> {
    agent.configure_request(request).max_idle_age(Duration::ZERO)
}

/// Reads to the end or to [`MAX_JSON_BYTES`], whichever comes first; counts decoded bytes.
fn read_capped(body: &mut Body) -> (Vec<u8>, Option<Failure>) {
    let mut bytes = Vec::new();
    match body.take(MAX_JSON_BYTES as u64 + 1).read_to_end(&mut bytes) {
        Ok(n) if n > MAX_JSON_BYTES => {
            bytes.truncate(MAX_JSON_BYTES);
            let problem =
                format!("the answer is longer than the {MAX_JSON_BYTES} bytes that are read of one");
            (bytes, Some(Failure::Protocol(problem.into())))
        }
        Ok(_) => (bytes, None),
        Err(e) => (bytes, Some(Failure::from_io(e))),
    }
}

/// The agent of the snapshot host. It knows no key and keeps no cookies.
#[derive(Clone)]
pub(crate) struct FileAgent {
    agent: Agent,
    limits: Limits,
}

/// An answer of the snapshot host whose body is still to be read.
pub(crate) struct FileAnswer {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

impl FileAgent {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let config = common(settings, false)?
            .accept("*/*")
            .timeout_recv_response(Some(settings.limits.first_byte))
            .timeout_per_read(Some(settings.limits.stall))
            .input_buffer_size(FILE_BUFFER)
            .output_buffer_size(16 * 1024)
            .max_idle_connections_per_host(16)
            .max_idle_connections(32)
            .max_response_header_size(FILE_BUFFER)
            .build();
        Ok(Self { agent: agent(config), limits: settings.limits.clone() })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// `GET url` with `headers`; follows at most [`MAX_REDIRECTS`] redirects, each to the scheme it came
    /// from. Any status is an answer; a body in a coding that was not asked for is a failure.
    ///
    /// `silence` is how long one read may wait.
    pub(crate) fn get(
        &self,
        url: &SignedUrl,
        headers: &[(&'static str, String)],
        silence: Duration,
    ) -> std::result::Result<FileAnswer, Failure> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.get_once(&url, headers, silence)?;
            if !matches!(answer.head.status, 301 | 302 | 303 | 307 | 308) {
                return match answer.head.coding() {
                    None => Ok(answer),
                    Some(coding) => Err(Failure::Protocol(
                        format!("the answer came in the coding {:?}, which was not asked for", clip(coding))
                            .into(),
                    )),
                };
            }
            url = redirect(&url, answer.head.get("location"))?;
        }
        Err(Failure::Protocol(format!("the snapshot host redirected more than {MAX_REDIRECTS} times").into()))
    }

    fn get_once(
        &self,
        url: &SignedUrl,
        headers: &[(&'static str, String)],
        silence: Duration,
    ) -> std::result::Result<FileAnswer, Failure> {
        let limits = Limits { stall: silence, ..self.limits.clone() };
        let fail = |e| failure(e, &limits);
        let mut builder = ureq::http::Request::builder().method("GET").uri(url.expose());
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        let request = builder.body(()).map_err(|e| fail(e.into()))?;
        let mut config = self.agent.configure_request(request).timeout_per_read(Some(silence));
        if split_url(url.expose()).is_ok_and(|parts| is_loopback(parts.host)) {
            config = config.proxy(None);
        }
        let sent = self.agent.run(config.build()).map_err(|e| match e {
            // Silence before the head: ureq applies the limit of one read to it, too.
            ureq::Error::Timeout(ureq::Timeout::PerRead) => {
                Failure::Timeout { phase: "waiting for the answer", limit: limits.first_byte.min(silence) }
            }
            e => fail(e),
        });
        let (parts, body) = sent?.into_parts();
        let head = Head { status: parts.status.as_u16(), headers: parts.headers };
        Ok(FileAnswer { head, body: Body { reader: body.into_reader(), limits } })
    }
}

/// Where a redirect of the snapshot host leads, when it may be followed.
fn redirect(from: &SignedUrl, location: Option<&str>) -> std::result::Result<SignedUrl, Failure> {
    let stop = |problem: &'static str| Err(Failure::Protocol(problem.into()));
    let Some(location) = location else {
        return stop("the snapshot host redirected without saying where to");
    };
    let origin = &from.expose()[..from.expose().len() - from.path().len() - query_len(from)];
    let target = match location {
        l if l.starts_with("//") => {
            return stop("the snapshot host redirected to an address without a scheme");
        }
        l if l.starts_with('/') => format!("{origin}{l}"),
        l => l.to_owned(),
    };
    let target = target.split('#').next().unwrap_or_default();
    let Ok(to) = SignedUrl::parse(target) else {
        return stop("the snapshot host redirected to an address that may not be followed");
    };
    let scheme = |url: &SignedUrl| url.expose().split(':').next().map(str::to_ascii_lowercase);
    if scheme(&to) != scheme(from) {
        return stop("the snapshot host redirected to another scheme");
    }
    Ok(to)
}

fn query_len(url: &SignedUrl) -> usize {
    if url.expose().contains('?') { url.query().len() + 1 } else { 0 }
}

fn agent(config: Config) -> Agent {
    Agent::with_parts(config, DefaultConnector::new(), Remembering::default())
}

/// What both agents share. `direct`: no proxy, whatever the environment says.
fn common(settings: &Settings, direct: bool) -> Result<ConfigBuilder<AgentScope>> {
    let mut config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(settings.user_agent.as_str())
        .accept_encoding("identity")
        .timeout_connect(Some(settings.limits.connect))
        .timeout_resolve(Some(settings.limits.connect))
        .max_response_header_size(MAX_HEAD_BYTES)
        .tls_config(tls(settings)?);
    match &settings.proxy {
        _ if direct => config = config.proxy(None),
        None => {}
        Some(ProxyChoice::Direct) => config = config.proxy(None),
        Some(ProxyChoice::Url(url)) => {
            let proxy = Proxy::new(url).map_err(|_| {
                Error::invalid(
                    "the proxy",
                    "is not an address like http://host:port; check it for typing errors",
                )
            })?;
            config = config.proxy(Some(proxy));
        }
    }
    Ok(config)
}

fn tls(settings: &Settings) -> Result<TlsConfig> {
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

/// Says what ureq met in our own words: some of its errors print the whole URL.
fn failure(error: ureq::Error, limits: &Limits) -> Failure {
    use ureq::Error as E;
    use ureq::Timeout as T;
    let timeout = |phase, limit| Failure::Timeout { phase, limit };
    match error {
        E::Timeout(T::Resolve | T::Connect) => timeout("connecting", limits.connect),
        E::Timeout(T::PerWrite | T::SendRequest | T::SendBody) => {
            timeout("sending the request", limits.stall)
        }
        E::Timeout(T::RecvResponse) => timeout("waiting for the answer", limits.first_byte),
        E::Timeout(T::PerRead) => timeout("waiting for more of the answer", limits.stall),
        E::Timeout(_) => timeout("the call", limits.total),
        E::Io(e) => Failure::Broken(e.into()),
        E::HostNotFound => Failure::Broken("the host name was not found".into()),
        E::ConnectionFailed => Failure::Broken("no address of the host could be connected to".into()),
        E::Tls(e) => Failure::Broken(e.into()),
        #[cfg(feature = "rustls")]
        E::Rustls(e) => Failure::Broken(e.to_string().into()),
        #[cfg(feature = "native-tls")]
        E::NativeTls(e) => Failure::Broken(e.to_string().into()),
        E::Protocol(e) => Failure::Protocol(format!("the answer is not valid HTTP: {e}").into()),
        E::LargeResponseHeader(..) => {
            Failure::Protocol("the answer's head is longer than is read of one".into())
        }
        E::InvalidProxyUrl | E::ConnectProxyFailed(_) => {
            Failure::Broken("the proxy refused the connection".into())
        }
        _ => Failure::Broken("the request could not be carried out".into()),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}
