//! Hosts that requests may be for. A page of another site can make a browser send requests
//! to a local address under a name of that site (DNS rebinding), and read the answers.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Hosts that requests may be for: `localhost`, loopback addresses, and those that were
/// configured.
#[derive(Clone, Debug)]
pub struct Hosts(Arc<[String]>);

impl Hosts {
    /// Allows these hosts besides the local ones.
    pub fn new(configured: impl IntoIterator<Item = String>) -> Self {
        let lowercase = configured.into_iter().map(|host| host.to_lowercase());
        Self(lowercase.collect())
    }

    /// Reports whether requests may be for this host, which may have a port.
    fn allow(&self, authority: &str) -> bool {
        let host = host_of(authority).to_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = address.parse().ok();
        host == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || self.0.contains(&host)
    }
}

/// Refuses requests for other hosts.
pub async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let headers = request.headers().get_all(header::HOST);
    let mut named = headers.iter().map(|host| host.to_str().unwrap_or_default());
    let in_uri = request.uri().authority().map(|name| name.as_str());
    let is_allowed = match (named.next(), named.next()) {
        (Some(host), None) => hosts.allow(host) && in_uri.is_none_or(|name| hosts.allow(name)),
        _ => false,
    };
    if is_allowed {
        return next.run(request).await;
    }
    let text = "this host is not served: ask for localhost, or name the host with --http-host\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

/// Returns an authority (`HOST` or `HOST:PORT`) without the port.
fn host_of(authority: &str) -> &str {
    if authority.parse::<Ipv6Addr>().is_ok() {
        return authority;
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Parses a host for `--http-host`: a name or an address, without scheme and port.
pub fn host(text: &str) -> Result<String, String> {
    let is_address = text.parse::<IpAddr>().is_ok();
    let is_name = !text.contains([':', '@'])
        && text.parse::<Uri>().is_ok_and(|uri| {
            let authority = uri.authority();
            authority.is_some_and(|authority| authority.as_str() == text)
        });
    match (is_address, is_name) {
        (true, _) if text.contains(':') => Ok(format!("[{text}]")),
        (true, _) | (_, true) => Ok(text.to_owned()),
        _ => Err(format!(
            "{text:?} is no host: write a name or an address, without a port"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Hosts, host};

    #[test]
    fn local_and_configured_hosts_are_allowed() -> Result<(), String> {
        let configured = ["Flyball.example.org", "10.0.0.7", "fd00::7"];
        let configured: Result<Vec<_>, _> = configured.iter().map(|text| host(text)).collect();
        let hosts = Hosts::new(configured?);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:80",
            "flyball.example.org",
            "10.0.0.7:80",
            "[fd00::7]:80",
        ] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "localhost.",
            "localhost:80:80",
            "0.0.0.0",
            "[::]",
            "::ffff:10.0.0.8",
            "x.flyball.example.org",
            "user@localhost",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
        for wrong in ["", "http://a", "a:80", "a/b", "a b", "[::1]:80", "u@h"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
        Ok(())
    }
}
