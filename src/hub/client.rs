//! Questions to a hub: one GET at a time, redirects followed by hand, so that the token stays with
//! the hub and what its answers say of a file is not lost on the way.

use super::names::shown;
use crate::error::{Error, Result};
use std::fmt;
use std::io::Read;
use std::time::Duration;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::{Agent, Body};

/// Redirects that are followed; the hub needs two.
const MAX_REDIRECTS: usize = 8;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may be silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read into memory: lists of files.
const MAX_TEXT_BYTES: u64 = 32 << 20;

/// What the hub's own answers say of a file, wherever its bytes come from in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Linked {
    /// The SHA-256 of the whole file, in small letters.
    pub(super) sha256: Option<String>,
    /// Its length.
    pub(super) size_bytes: Option<u64>,
}

/// An answer after all redirects.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    pub(super) linked: Linked,
}

/// Why there is no answer: what can be tried again, and what cannot.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection or the server failed; another try may do. The words say why.
    Passing(String),
    /// Another try would fail the same way.
    Final(Error),
}

impl Failed {
    /// The error where nothing is tried again.
    pub(super) fn into_error(self, address: &str) -> Error {
        match self {
            Self::Passing(reason) => Error::Download {
                url: address.to_owned(),
                reason: format!("{reason}; try again later"),
            },
            Self::Final(error) => error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Asks one hub.
pub(super) struct Client {
    agent: Agent,
    /// Without a slash at the end.
    endpoint: String,
    token: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

impl Client {
    /// # Errors
    /// [`Error::Request`] if `endpoint` is no address.
    pub(super) fn new(endpoint: &str) -> Result<Self> {
        let endpoint = endpoint.trim().trim_end_matches('/');
        let is_web = |uri: Uri| {
            let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
            scheme && uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none()
        };
        if !endpoint.parse().is_ok_and(is_web) {
            let reason = format!(
                "must be the address of a hub, as in https://huggingface.co, not {}",
                shown(endpoint)
            );
            return Err(Error::request("endpoint", reason));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(SILENCE_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT))
            .user_agent(concat!("aquatint/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.new_agent(),
            endpoint: endpoint.to_owned(),
            token: None,
        })
    }

    /// # Errors
    /// [`Error::Request`] if the token has characters that no token has.
    pub(super) fn set_token(&mut self, token: &str) -> Result<()> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            // Without the token itself: messages end up in logs.
            let reason = "must be letters and digits without spaces; copy it again from the hub";
            return Err(Error::request("token", reason));
        }
        self.token = Some(token.to_owned());
        Ok(())
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// An address on the hub.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.endpoint)
    }

    /// Asks for an address on the hub and follows where it leads. Any status but a redirect's is an
    /// answer.
    pub(super) fn get(
        &self,
        address: &str,
        headers: &[(header::HeaderName, String)],
    ) -> std::result::Result<Answer, Failed> {
        let mut here = address.to_owned();
        let mut linked = Linked::default();
        for _ in 0..=MAX_REDIRECTS {
            let at_hub = origin(&here) == origin(&self.endpoint);
            let response = self
                .ask(&here, headers, at_hub)
                .map_err(|error| failed(address, &here, error))?;
            if at_hub {
                linked.take_from(&response);
            }
            if !is_redirect(response.status()) {
                return Ok(Answer { response, linked });
            }
            let target = text(&response, &header::LOCATION).unwrap_or_default();
            here = redirected(&here, target).ok_or_else(|| Error::Download {
                url: address.to_owned(),
                reason: "the server leads to an address that is not followed: it is no web \
                         address, or not encrypted where this one is; check HF_ENDPOINT"
                    .to_owned(),
            })?;
        }
        Err(Failed::Final(Error::Download {
            url: address.to_owned(),
            reason: format!("more than {MAX_REDIRECTS} redirects; check HF_ENDPOINT"),
        }))
    }

    fn ask(
        &self,
        address: &str,
        headers: &[(header::HeaderName, String)],
        at_hub: bool,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        // As stored: offsets count stored bytes.
        let mut request = self
            .agent
            .get(address)
            .header(header::ACCEPT_ENCODING, "identity");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(token) = self.token.as_ref().filter(|_| at_hub) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call()
    }
}

impl Linked {
    /// What one answer of the hub says. The checksum stands in `X-Linked-ETag`, or is the `ETag` of
    /// a file that the hub hands out itself.
    fn take_from(&mut self, response: &Response<Body>) {
        let is_file = !is_redirect(response.status());
        let own = || text(response, &header::ETAG).filter(|_| is_file);
        let tag = named(response, "x-linked-etag").or_else(own);
        if let Some(sha256) = tag.and_then(sha256) {
            self.sha256 = Some(sha256);
        }
        let size = named(response, "x-linked-size").and_then(|size| size.parse().ok());
        self.size_bytes = size.or(self.size_bytes);
    }
}

/// The checksum that an entity tag is, if it is one: 64 hexadecimal digits.
fn sha256(tag: &str) -> Option<String> {
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    let is_one = tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| tag.to_ascii_lowercase())
}

/// The text of an answer that is read into memory.
pub(super) fn read_text(response: Response<Body>) -> std::result::Result<String, String> {
    let mut bytes = Vec::new();
    let body = response.into_body().into_reader();
    let read = body.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        return Err(format!("the answer is longer than {MAX_TEXT_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "the answer is no text".to_owned())
}

/// A header's text.
pub(super) fn text<'r>(response: &'r Response<Body>, name: &header::HeaderName) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// The text of a header that has no constant.
pub(super) fn named<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads; `None` if it is no web address, or one in the clear where this is not.
fn redirected(here: &str, target: &str) -> Option<String> {
    let (scheme, host, port) = origin(here)?;
    if target.starts_with('/') && !target.starts_with("//") {
        return Some(format!("{scheme}://{host}:{port}{target}"));
    }
    let (new_scheme, ..) = origin(target)?;
    let in_the_clear = scheme == "https" && new_scheme == "http";
    (!in_the_clear).then(|| target.to_owned())
}

/// Scheme, host and port: what the token is for.
fn origin(address: &str) -> Option<(String, String, u16)> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host = uri.host()?.to_ascii_lowercase();
    Some((scheme, host, uri.port_u16().unwrap_or(default)))
}

/// Sorts a failure without an answer `here`, on the way that began at `address`.
fn failed(address: &str, here: &str, error: ureq::Error) -> Failed {
    // Of a redirect the query is left out: it may hold a signature that opens the file.
    let place = match here.split('?').next() {
        Some(place) if here != address => format!("{place}: "),
        _ => String::new(),
    };
    match error {
        // What TLS refuses, a certificate or no TLS at all, it refuses again.
        ureq::Error::Io(refused) if refused.kind() == std::io::ErrorKind::InvalidData => {
            Failed::Final(Error::Download {
                url: address.to_owned(),
                reason: format!("{place}{refused}; check HF_ENDPOINT and who stands in between"),
            })
        }
        ureq::Error::HostNotFound
        | ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => Failed::Passing(format!("{place}{error}")),
        other => Failed::Final(Error::Download {
            url: address.to_owned(),
            reason: format!("{place}{other}; check HF_ENDPOINT and the way there"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_web_addresses_and_never_into_the_clear() {
        let here = "https://hub.example/a/b?c";
        let to = |target: &str| redirected(here, target);
        assert_eq!(to("/d?e").unwrap(), "https://hub.example:443/d?e");
        assert_eq!(
            to("https://cdn.example/d").unwrap(),
            "https://cdn.example/d"
        );
        for target in [
            "http://hub.example/d",
            "file:///etc/passwd",
            "//cdn.example/d",
            "d",
            "",
        ] {
            assert_eq!(to(target), None, "{target}");
        }
        let local = redirected("http://127.0.0.1:8080/a", "/b").unwrap();
        assert_eq!(local, "http://127.0.0.1:8080/b");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(
            origin("https://Hub.example/a"),
            origin("HTTPS://hub.example:443")
        );
        assert_ne!(origin("https://hub.example"), origin("http://hub.example"));
        assert_ne!(
            origin("http://hub.example:1"),
            origin("http://hub.example:2")
        );
        assert_ne!(
            origin("https://hub.example"),
            origin("https://hub.example.evil.example")
        );
        // Who stands in front of the @ is no host.
        assert_ne!(
            origin("https://hub.example"),
            origin("https://hub.example@evil.example")
        );
    }

    #[test]
    fn a_checksum_is_64_hexadecimal_digits() {
        let digits = "AB".repeat(32);
        let expected = Some(digits.to_lowercase());
        assert_eq!(sha256(&format!("\"{digits}\"")), expected);
        assert_eq!(sha256(&format!("W/\"{digits}\"")), expected);
        assert_eq!(
            sha256(&format!("\"{}\"", "ab".repeat(20))),
            None,
            "git's SHA-1 of a blob"
        );
        assert_eq!(sha256(&"xy".repeat(32)), None);
    }

    #[test]
    fn the_token_is_not_shown() {
        let mut client = Client::new("https://hub.example/").unwrap();
        client.set_token("hf_secret\n").unwrap();
        assert!(!format!("{client:?}").contains("secret"));
        let refusal = client.set_token("hf_se cret").unwrap_err().to_string();
        assert!(!refusal.contains("cret"), "{refusal}");
        assert_eq!(client.address("a"), "https://hub.example/a");
    }

    #[test]
    fn an_endpoint_is_a_web_address() {
        for endpoint in [
            "",
            "hub.example",
            "ftp://hub.example",
            "https://",
            "file:///a",
        ] {
            assert!(
                matches!(Client::new(endpoint), Err(Error::Request { .. })),
                "{endpoint:?}"
            );
        }
    }
}
