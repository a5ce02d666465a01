//! The client's address, where a proxy that we trust says it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Whether the client speaks TLS with a proxy.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Entries of `X-Forwarded-For` that are looked at, from the nearest on.
const HOPS_MAX: usize = 32;

/// The address of the client behind `peer`: the last one of `X-Forwarded-For` that no trusted proxy
/// has. What stands further left was written by the client itself and is not believed.
pub(crate) fn client(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> SocketAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    if !is_trusted(peer.ip().to_canonical()) {
        return peer;
    }
    let mut client = peer;
    let lines: Vec<&[u8]> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    let hops = lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops.take(HOPS_MAX) {
        // Nothing lies behind what cannot be read.
        let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| address(hop.trim())) else {
            break;
        };
        client = SocketAddr::new(address, 0);
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// Forgets what a stranger says of the connection before it: what it is answered would be made of that.
pub(crate) fn forget_strangers(peer: SocketAddr, headers: &mut HeaderMap, trusted: &[IpNet]) {
    let address = peer.ip().to_canonical();
    if !trusted.iter().any(|net| net.contains(&address)) {
        headers.remove(FORWARDED_PROTO);
    }
}

/// An address as proxies write it: with or without a port, an IPv6 address perhaps in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain
        .or_else(with_port)
        .or_else(bracketed)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let forwarded: Vec<&[u8]> = forwarded.iter().map(|line| line.as_bytes()).collect();
        seen_bytes(peer, &forwarded)
    }

    fn seen_bytes(peer: &str, forwarded: &[&[u8]]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let headers = forwarded
            .iter()
            .map(|line| {
                (
                    http::HeaderName::from_static("x-forwarded-for"),
                    http::HeaderValue::from_bytes(line).unwrap(),
                )
            })
            .collect();
        client(format!("{peer}:9").parse().unwrap(), &headers, &trusted)
            .ip()
            .to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(seen("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
    }

    #[test]
    fn only_a_trusted_proxy_says_that_its_client_speaks_tls() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (peer, is_believed) in [("192.0.2.7:9", false), ("10.1.1.1:9", true)] {
            let mut headers = HeaderMap::from_iter([(FORWARDED_PROTO, "https".parse().unwrap())]);
            forget_strangers(peer.parse().unwrap(), &mut headers, &trusted);
            assert_eq!(headers.contains_key(FORWARDED_PROTO), is_believed, "{peer}");
        }
    }

    #[test]
    fn a_trusted_proxy_names_its_client() {
        assert_eq!(seen("10.1.1.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.1.1.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(seen("[fd00::1]", &["[2001:db8::5]"]), "2001:db8::5");
        assert_eq!(seen("10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        assert_eq!(
            seen("10.1.1.1", &["1.1.1.1, 198.51.100.1, 10.2.2.2"]),
            "198.51.100.1"
        );
        assert_eq!(seen("10.1.1.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.1.1.1", &["1.1.1.1, unknown"]), "10.1.1.1");
    }

    #[test]
    fn what_cannot_be_read_hides_neither_what_comes_after_nor_lets_through_what_came_before() {
        assert_eq!(
            seen_bytes("10.1.1.1", &[b"1.1.1.1", b"\xff, 198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(
            seen_bytes("10.1.1.1", &[b"1.1.1.1", b"\xff", b"10.2.2.2"]),
            "10.2.2.2"
        );
        assert_eq!(seen_bytes("10.1.1.1", &[b"1.1.1.1", b"\xff"]), "10.1.1.1");
    }
}
