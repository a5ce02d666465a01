//! Settings of the CQL store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::scylla::frame::types::Consistency as DriverConsistency;

use super::ConnectError;

/// Settings of the CQL store, each with its default.
#[derive(Clone)]
pub struct Settings {
    /// `host:port` of some servers; the others are found through them. 127.0.0.1:9042.
    pub contact_points: Vec<String>,
    /// The keyspace, lower case. `wakeline`.
    pub keyspace: String,
    /// User, together with `password`.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// TLS towards the servers; `None` for plain connections.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Of every read and write. `LOCAL_QUORUM`.
    pub consistency: Consistency,
    /// Replication of the keyspace when `migrate` creates it; an existing one is never changed.
    pub replication: Replication,
    /// Connecting takes at most so long. 20 s.
    pub connect_timeout: Duration,
    /// One attempt of a request takes at most so long. 5 s.
    pub request_timeout: Duration,
    /// A request is tried so often before the store counts as unavailable. 3.
    pub attempts_max: u32,
    /// Requests in flight at once in this process; more wait. 256.
    pub requests_in_flight_max: usize,
    /// Lists that one page reads at once. 8.
    pub page_fan_out_max: usize,
    /// Devices of which it is remembered that they stand in the indexes, to save writes. 200,000.
    pub indexed_devices_max: usize,
    /// Rows of history live so long; zero keeps them for ever. 24 h.
    pub history_ttl: Duration,
    /// One page of history looks through at most so many hours. 744.
    pub history_hours_per_page_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "wakeline".to_owned(),
            user: None,
            password: None,
            tls: None,
            consistency: Consistency::LocalQuorum,
            replication: Replication::Simple(1),
            connect_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(5),
            attempts_max: 3,
            requests_in_flight_max: 256,
            page_fan_out_max: 8,
            indexed_devices_max: 200_000,
            history_ttl: Duration::from_secs(24 * 3600),
            history_hours_per_page_max: 744,
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let wrong = |setting, reason: &str| {
            Err(ConnectError::Setting {
                setting,
                reason: reason.to_owned(),
            })
        };
        let mut letters = self.keyspace.chars();
        let named = letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && self.keyspace.len() <= 48;
        if !named {
            return wrong(
                "keyspace",
                "must be a lower-case letter, then at most 47 of a-z, 0-9 and _",
            );
        }
        if self.contact_points.is_empty() {
            return wrong("cql", "name at least one server as host:port");
        }
        if self.user.is_some() != self.password.is_some() {
            return wrong("cql user", "user and password must both be given, or neither");
        }
        if self.attempts_max == 0 || self.requests_in_flight_max == 0 || self.page_fan_out_max == 0 {
            return wrong(
                "cql",
                "attempts, requests in flight and page fan-out must be at least 1",
            );
        }
        Ok(())
    }
}

/// Shows no password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("contact_points", &self.contact_points)
            .field("keyspace", &self.keyspace)
            .field("user", &self.user)
            .field("tls", &self.tls.is_some())
            .field("consistency", &self.consistency)
            .field("replication", &self.replication)
            .finish_non_exhaustive()
    }
}

/// How many replicas must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Most replicas of the own data centre.
    LocalQuorum,
    /// Most replicas of all data centres.
    Quorum,
    /// A single replica: for measurements only, since what is acknowledged can be lost.
    One,
}

impl Consistency {
    pub(super) const fn to_driver(self) -> DriverConsistency {
        match self {
            Self::LocalQuorum => DriverConsistency::LocalQuorum,
            Self::Quorum => DriverConsistency::Quorum,
            Self::One => DriverConsistency::One,
        }
    }
}

/// Why a text is no value of a setting; lists what is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is none of {expected}")]
pub struct Words {
    /// What stood there.
    pub found: String,
    /// What may.
    pub expected: &'static str,
}

impl std::str::FromStr for Consistency {
    type Err = Words;

    fn from_str(text: &str) -> Result<Self, Words> {
        match text.to_ascii_uppercase().as_str() {
            "LOCAL_QUORUM" => Ok(Self::LocalQuorum),
            "QUORUM" => Ok(Self::Quorum),
            "ONE" => Ok(Self::One),
            _ => Err(Words {
                found: text.to_owned(),
                expected: "LOCAL_QUORUM, QUORUM, ONE",
            }),
        }
    }
}

/// Replication of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// So many copies anywhere: one data centre, or one machine.
    Simple(u32),
    /// So many copies in each data centre.
    Network(Vec<(String, u32)>),
}

impl std::str::FromStr for Replication {
    type Err = Words;

    /// `3`, or `dc1:3,dc2:3`.
    fn from_str(text: &str) -> Result<Self, Words> {
        let wrong = || Words {
            found: text.to_owned(),
            expected: "a number of replicas, or datacentre:replicas, by comma",
        };
        if let Ok(replicas) = text.parse::<u32>() {
            return if replicas > 0 {
                Ok(Self::Simple(replicas))
            } else {
                Err(wrong())
            };
        }
        let centre = |part: &str| {
            let (name, replicas) = part.rsplit_once(':')?;
            let named = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
            let replicas = replicas.parse().ok().filter(|replicas| *replicas > 0);
            replicas
                .filter(|_| named)
                .map(|replicas| (name.to_owned(), replicas))
        };
        text.split(',')
            .map(|part| centre(part.trim()))
            .collect::<Option<_>>()
            .map(Self::Network)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Replication {
    /// As a CQL map.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(replicas) => write!(
                f,
                "{{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}"
            ),
            Self::Network(centres) => {
                f.write_str("{'class': 'NetworkTopologyStrategy'")?;
                for (name, replicas) in centres {
                    write!(f, ", '{name}': {replicas}")?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_is_read_and_written_as_cql() {
        assert_eq!("3".parse(), Ok(Replication::Simple(3)));
        let network: Replication = "dc1:3, dc-2:2".parse().unwrap();
        assert_eq!(
            network.to_string(),
            "{'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc-2': 2}"
        );
        for wrong in ["", "0", "dc1", "dc1:0", "dc'1:3", "dc1:3,"] {
            assert!(wrong.parse::<Replication>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_keyspace_that_could_carry_cql_is_refused() {
        for keyspace in ["", "Wakeline", "1a", "a b", "a;drop"] {
            let settings = Settings {
                keyspace: keyspace.to_owned(),
                ..Settings::default()
            };
            assert!(
                matches!(
                    settings.check(),
                    Err(ConnectError::Setting {
                        setting: "keyspace",
                        ..
                    })
                ),
                "{keyspace:?}"
            );
        }
        assert_eq!(Settings::default().check(), Ok(()));
    }
}
