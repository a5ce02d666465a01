//! What a node is: roles, addresses, storage, secrets, logs.

use super::super::{Secret, parse};
use super::Setting;

/// A setting without anything special.
const BASE: Setting = Setting {
    name: "",
    metavar: "",
    default: "",
    help: "",
    secret: false,
    apply: |_, _| Ok(()),
};

/// The settings of this part.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "role",
        metavar: "ROLES",
        default: "all",
        help: "What this process does: all, or some of ingest,projector,gateway",
        apply: |c, v| parse::roles(v).map(|v| c.roles = v),
        ..BASE
    },
    Setting {
        name: "listen",
        metavar: "IP:PORT",
        default: "127.0.0.1:8080",
        help: "Address of the public listener; port 0 takes a free one",
        apply: |c, v| parse::address(v).map(|v| c.listen = v),
        ..BASE
    },
    Setting {
        name: "admin-listen",
        metavar: "IP:PORT",
        default: "127.0.0.1:9090",
        help: "Address of /live, /ready and /metrics; port 0 takes a free one",
        apply: |c, v| parse::address(v).map(|v| c.admin_listen = v),
        ..BASE
    },
    Setting {
        name: "data",
        metavar: "DIR",
        help: "Keep everything in this directory, in the embedded engine; no server needed",
        apply: |c, v| {
            c.data = Some(v.into());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "kafka",
        metavar: "HOST:PORT,…",
        help: "Kafka brokers; goes with --cql",
        apply: |c, v| parse::hosts(v).map(|v| c.kafka = v),
        ..BASE
    },
    Setting {
        name: "cql",
        metavar: "HOST:PORT,…",
        help: "Contact points of ScyllaDB or another CQL server; goes with --kafka",
        apply: |c, v| parse::hosts(v).map(|v| c.cql = v),
        ..BASE
    },
    Setting {
        name: "kafka-property",
        metavar: "NAME=VALUE,…",
        help: "Properties passed to librdkafka as they are, such as security.protocol=SASL_SSL",
        secret: true,
        apply: |c, v| parse::pairs(v).map(|v| c.kafka_properties = v),
        ..BASE
    },
    Setting {
        name: "cql-keyspace",
        metavar: "NAME",
        default: "wakeline",
        help: "Keyspace of the tables",
        apply: |c, v| {
            let good = v.len() <= 48 && v.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            c.cql_keyspace = v.to_owned();
            if good {
                Ok(())
            } else {
                Err("is not a keyspace; use letters, digits and _, at most 48".into())
            }
        },
        ..BASE
    },
    Setting {
        name: "cql-user",
        metavar: "NAME",
        help: "User at the CQL server",
        apply: |c, v| {
            c.cql_user = Some(v.to_owned());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "cql-password",
        metavar: "TEXT",
        help: "Password at the CQL server; better given as WAKELINE_CQL_PASSWORD",
        secret: true,
        apply: |c, v| {
            c.cql_password = Some(Secret(v.to_owned()));
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "cql-ca-file",
        metavar: "FILE",
        help: "Use TLS to the CQL server and trust this certificate authority (PEM)",
        apply: |c, v| {
            c.cql_ca_file = Some(v.into());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "cql-replication",
        metavar: "N",
        default: "3",
        help: "Replicas of the keyspace, when `migrate` creates it; 1 with --allow-weak-durability",
        apply: |c, v| parse::number(v, 1, 255).map(|v| c.cql_replication = v),
        ..BASE
    },
    Setting {
        name: "tls-cert",
        metavar: "FILE",
        help: "Certificate chain of the public listener (PEM); goes with --tls-key",
        apply: |c, v| {
            c.tls_cert = Some(v.into());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "tls-key",
        metavar: "FILE",
        help: "Private key of the public listener (PEM)",
        apply: |c, v| {
            c.tls_key = Some(v.into());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "allow-weak-durability",
        default: "false",
        help: "Start although Kafka keeps fewer than 3 replicas, acknowledges with fewer than 2 in sync, or \
               allows unclean elections: for development only",
        apply: |c, v| parse::boolean(v).map(|v| c.allow_weak_durability = v),
        ..BASE
    },
    Setting {
        name: "admin-token",
        metavar: "TEXT",
        help: "A credential of role system, at least 32 characters; better given as WAKELINE_ADMIN_TOKEN",
        secret: true,
        apply: |c, v| {
            c.admin_token = Some(Secret(v.to_owned()));
            if v.chars().count() >= 32 {
                Ok(())
            } else {
                Err("is too short; use at least 32 characters".into())
            }
        },
        ..BASE
    },
    Setting {
        name: "node-key-file",
        metavar: "FILE",
        help: "32 bytes in hexadecimal that sign device tokens; all nodes need the same. Without it, the key \
               that `migrate` keeps with the state",
        apply: |c, v| {
            c.node_key_file = Some(v.into());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "partitions",
        metavar: "N",
        default: "16",
        help: "Partitions of wakeline.events and wakeline.state, when `migrate` creates them; fixed from then on",
        apply: |c, v| parse::number(v, 1, 4096).map(|v| c.partitions = v),
        ..BASE
    },
    Setting {
        name: "replication",
        metavar: "N",
        default: "3",
        help: "Replicas of each partition, when `migrate` creates the topics; 1 with --allow-weak-durability",
        apply: |c, v| parse::number(v, 1, 32).map(|v| c.replication = v),
        ..BASE
    },
    Setting {
        name: "default-spread",
        metavar: "N",
        default: "8",
        help: "Partitions that the devices of a new tenant lie in",
        apply: |c, v| parse::number(v, 1, 4096).map(|v| c.default_spread = v),
        ..BASE
    },
    Setting {
        name: "registration-required",
        default: "false",
        help: "Written into the layout by `migrate`: a device must be created by a `device` event before its \
               own events count",
        apply: |c, v| parse::boolean(v).map(|v| c.registration_required = v),
        ..BASE
    },
    Setting {
        name: "drain",
        metavar: "DURATION",
        default: "30s",
        help: "Longest graceful shutdown: streams close in waves, batches finish, then the process ends",
        apply: |c, v| parse::duration(v).map(|v| c.drain = v),
        ..BASE
    },
    Setting {
        name: "threads-end-within",
        metavar: "DURATION",
        default: "2s",
        help: "After the drain, what blocking threads have to end in: one that a client library never gives back \
               does not keep the process",
        apply: |c, v| parse::duration(v).map(|v| c.threads_end_within = v),
        ..BASE
    },
    Setting {
        name: "dependency-check-every",
        metavar: "DURATION",
        default: "2s",
        help: "Kafka and the CQL server are asked this often whether they answer, for /ready and the metrics",
        apply: |c, v| parse::duration(v).map(|v| c.dependencies.every = v),
        ..BASE
    },
    Setting {
        name: "dependency-check-timeout",
        metavar: "DURATION",
        default: "4s",
        help: "A server that does not answer that question for so long is away",
        apply: |c, v| parse::duration(v).map(|v| c.dependencies.timeout = v),
        ..BASE
    },
    Setting {
        name: "otlp-endpoint",
        metavar: "URL",
        help: "Send traces there (OTLP over HTTP, such as http://127.0.0.1:4318); off without it",
        apply: |c, v| {
            c.otlp_endpoint = Some(v.to_owned());
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "log",
        metavar: "FILTER",
        default: "info",
        help: "What to log, as levels by target: info, or warn,gateway=debug",
        apply: |c, v| {
            c.log = v.to_owned();
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "log-json",
        default: "false",
        help: "Log as JSON lines",
        apply: |c, v| parse::boolean(v).map(|v| c.log_json = v),
        ..BASE
    },
    Setting {
        name: "schema-registry",
        metavar: "URL",
        help: "Register the schemas there under their fixed ids (import mode), and refuse to start if that fails",
        apply: |c, v| {
            c.schema_registry = Some(v.to_owned());
            Ok(())
        },
        ..BASE
    },
];
