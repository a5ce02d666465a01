//! Parsers of setting values. Each error completes the sentence "`value` …" and says what is right.

use std::net::SocketAddr;
use std::time::Duration;

use super::Roles;

/// An address to listen on.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "is not an address; write IP:PORT, such as 127.0.0.1:8080".to_owned())
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("is neither `true` nor `false`".to_owned()),
    }
}

/// A whole number within bounds.
pub fn number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let plain = text.replace('_', "");
    let problem = || format!("is not a whole number from {least} to {most}");
    let value: T = plain.parse().map_err(|_| problem())?;
    if value < least || value > most {
        Err(problem())
    } else {
        Ok(value)
    }
}

/// A size in bytes: `65536`, `64KiB`, `1MiB`, `2GiB`.
pub fn bytes(text: &str) -> Result<usize, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("has an unknown unit; write bytes, KiB, MiB or GiB, such as 64MiB".to_owned()),
    };
    let count: usize = digits
        .replace('_', "")
        .parse()
        .map_err(|_| "is not a size, such as 65536 or 64MiB".to_owned())?;
    count.checked_mul(factor).ok_or_else(|| "is too large".to_owned())
}

/// A duration: `500ms`, `30s`, `10m`, `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|_| "is not a duration, such as 500ms, 30s, 10m or 7d".to_owned())
}

/// `a,b,c` without empty members.
pub fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `host:port,…`, at least one.
pub fn hosts(text: &str) -> Result<Vec<String>, String> {
    let hosts = list(text);
    let good = |host: &String| {
        host.rsplit_once(':')
            .is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok())
    };
    if hosts.is_empty() || !hosts.iter().all(good) {
        return Err("is not a list of HOST:PORT, separated by commas".to_owned());
    }
    Ok(hosts)
}

/// `name=value,…`.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    list(text)
        .into_iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err("is not a list of NAME=VALUE".to_owned()),
        })
        .collect()
}

/// `all`, or some of `ingest`, `projector`, `gateway`.
pub fn roles(text: &str) -> Result<Roles, String> {
    let mut roles = Roles {
        ingest: false,
        projector: false,
        gateway: false,
    };
    for name in list(text) {
        match name.as_str() {
            "all" => roles = Roles::ALL,
            "ingest" => roles.ingest = true,
            "projector" => roles.projector = true,
            "gateway" => roles.gateway = true,
            _ => return Err("names an unknown role; there are all, ingest, projector, gateway".to_owned()),
        }
    }
    if roles
        == (Roles {
            ingest: false,
            projector: false,
            gateway: false,
        })
    {
        return Err("names no role; write all, or some of ingest, projector, gateway".to_owned());
    }
    Ok(roles)
}
