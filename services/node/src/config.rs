//! The configuration of a process: read once, from flags, environment and file, with every mistake
//! reported in one run.
//!
//! One table ([`table`]) names each setting: its flag, its `WAKELINE_…` variable and its key in the
//! TOML file are the same name in three spellings. A flag beats the environment, which beats the
//! file, which beats the default.

pub mod check;
pub mod jwt;
pub mod parse;
pub mod sources;
pub mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use jwt::Jwt;
pub use sources::{Mistake, Sources};

/// Where events and state are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// The embedded engine in a directory.
    Embedded(PathBuf),
    /// Kafka and a CQL server.
    Servers {
        /// `host:port`, at least one.
        kafka: Vec<String>,
        /// `host:port`, at least one.
        cql: Vec<String>,
    },
}

/// Parts of the product that a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Takes events.
    pub ingest: bool,
    /// Folds events into state.
    pub projector: bool,
    /// Streams and reads.
    pub gateway: bool,
}

impl Roles {
    /// Every role.
    pub const ALL: Self = Self {
        ingest: true,
        projector: true,
        gateway: true,
    };
}

/// A value that no log, error or listing may show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("********")
    }
}

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Roles of this process.
    pub roles: Roles,
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// Address of the listener for operators.
    pub admin_listen: SocketAddr,
    /// The embedded engine's directory.
    pub data: Option<PathBuf>,
    /// Kafka brokers.
    pub kafka: Vec<String>,
    /// CQL contact points.
    pub cql: Vec<String>,
    /// Properties for librdkafka.
    pub kafka_properties: Vec<(String, String)>,
    /// Keyspace.
    pub cql_keyspace: String,
    /// User at the CQL server.
    pub cql_user: Option<String>,
    /// Password at the CQL server.
    pub cql_password: Option<Secret>,
    /// Replicas of the keyspace, when `migrate` creates it.
    pub cql_replication: u32,
    /// Certificate authority for TLS to the CQL server.
    pub cql_ca_file: Option<PathBuf>,
    /// Server certificate chain, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Server key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Accept few replicas and unclean elections.
    pub allow_weak_durability: bool,
    /// The way in for automation.
    pub admin_token: Option<Secret>,
    /// File with the node key.
    pub node_key_file: Option<PathBuf>,
    /// Partitions of events and state, when `migrate` creates them.
    pub partitions: u32,
    /// Replicas of each partition, when `migrate` creates them.
    pub replication: u32,
    /// Spread of a tenant that does not say otherwise.
    pub default_spread: u32,
    /// Whether `migrate` writes a layout in which devices must be registered.
    pub registration_required: bool,
    /// Longest graceful shutdown.
    pub drain: Duration,
    /// How long threads may take to end once all work has, before the process leaves them.
    pub threads_end_within: Duration,
    /// How the servers are asked whether they answer.
    pub dependencies: crate::dependencies::Settings,
    /// OTLP endpoint for traces.
    pub otlp_endpoint: Option<String>,
    /// Filter of the log.
    pub log: String,
    /// Log as JSON lines.
    pub log_json: bool,
    /// Where else schemas are registered.
    pub schema_registry: Option<String>,
    /// Settings of admission.
    pub ingest: ingest::Settings,
    /// Settings of the projector.
    pub projector: projector::Settings,
    /// Settings of the delivery engine.
    pub gateway: gateway::Settings,
    /// Settings of opening streams.
    pub open: gateway::open::OpenSettings,
    /// Settings of the requests to dialects.
    pub desk: gateway::DeskSettings,
    /// Settings of device sockets.
    pub device_socket: gateway::DeviceSocketSettings,
    /// Settings of the public listener.
    pub front_door: gateway::front_door::FrontDoorSettings,
    /// Settings of the native API.
    pub native: gateway::native::NativeSettings,
    /// How long events are kept.
    pub retention: Duration,
    /// Whether no history is written.
    pub history_off: bool,
    /// Failed authentications of an address in a minute before it is told 429.
    pub failed_authentications_per_minute: u32,
    /// Addresses whose failures are counted at once.
    pub failed_addresses_max: usize,
    /// JWTs of an outside issuer.
    pub jwt: Jwt,
    /// Settings of tokens, sessions and tenants.
    pub administration: access::administration::Settings,
    /// Settings of the embedded engine.
    pub embedded: embedded::Settings,
    /// Settings of the Kafka engine; addresses and topics are put in when it is opened.
    pub kafka_settings: journal::kafka::Settings,
    /// Settings of the CQL store; addresses and credentials are put in when it is opened.
    pub cql_settings: state::scylla::Settings,
}

impl Default for Config {
    /// What stands when no table entry says otherwise; the table's defaults are applied over it.
    fn default() -> Self {
        Self {
            roles: Roles::ALL,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            data: None,
            kafka: Vec::new(),
            cql: Vec::new(),
            kafka_properties: Vec::new(),
            cql_keyspace: "wakeline".to_owned(),
            cql_user: None,
            cql_password: None,
            cql_replication: 3,
            cql_ca_file: None,
            tls_cert: None,
            tls_key: None,
            allow_weak_durability: false,
            admin_token: None,
            node_key_file: None,
            partitions: 16,
            replication: 3,
            default_spread: 8,
            registration_required: false,
            drain: Duration::from_secs(30),
            threads_end_within: Duration::from_secs(2),
            dependencies: crate::dependencies::Settings::default(),
            otlp_endpoint: None,
            log: "info".to_owned(),
            log_json: false,
            schema_registry: None,
            ingest: ingest::Settings::default(),
            projector: projector::Settings::default(),
            gateway: gateway::Settings::default(),
            open: gateway::open::OpenSettings::default(),
            desk: gateway::DeskSettings::default(),
            device_socket: gateway::DeviceSocketSettings::default(),
            front_door: gateway::front_door::FrontDoorSettings::default(),
            native: gateway::native::NativeSettings::default(),
            retention: Duration::from_secs(7 * 24 * 3600),
            history_off: false,
            failed_authentications_per_minute: 20,
            failed_addresses_max: 65_536,
            jwt: Jwt::default(),
            administration: access::administration::Settings::default(),
            embedded: embedded::Settings::default(),
            kafka_settings: journal::kafka::Settings::new(""),
            cql_settings: state::scylla::Settings::default(),
        }
    }
}

impl Config {
    /// Where events and state are kept.
    ///
    /// # Errors
    /// When the settings name no storage, or both kinds.
    pub fn storage(&self) -> Result<Storage, String> {
        match (&self.data, self.kafka.is_empty(), self.cql.is_empty()) {
            (Some(dir), true, true) => Ok(Storage::Embedded(dir.clone())),
            (Some(_), _, _) => {
                Err("`data` (embedded engine) and `kafka`/`cql` (servers) exclude each other".into())
            }
            (None, false, false) => Ok(Storage::Servers {
                kafka: self.kafka.clone(),
                cql: self.cql.clone(),
            }),
            (None, true, true) => Err(
                "say where data is kept: `--data DIR` for the embedded engine, or \
                 `--kafka HOST:PORT,… --cql HOST:PORT,…` for servers"
                    .into(),
            ),
            (None, false, true) => Err("`kafka` needs `cql` too: state is kept there".into()),
            (None, true, false) => Err("`cql` needs `kafka` too: events are kept there".into()),
        }
    }
}
