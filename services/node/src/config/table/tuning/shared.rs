//! What more than one part must agree on, or what no number, size or duration can say.

use schemas::Kind;

use super::super::Setting;
use crate::config::parse;

/// A setting without anything special.
const BASE: Setting = Setting {
    name: "",
    metavar: "",
    default: "",
    help: "",
    secret: false,
    apply: |_, _| Ok(()),
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "retention",
        metavar: "DURATION",
        default: "7d",
        help: "Events are kept so long, and so is what compaction would remove of state. In Kafka it is a setting \
               of the topics, which `migrate` writes when it creates them",
        apply: |c, v| {
            let retention = parse::duration(v)?;
            c.retention = retention;
            c.embedded.retention = retention;
            c.embedded.state_compaction_lag = retention;
            c.embedded.tombstone_retention = retention;
            c.embedded.deletion_memory = retention;
            c.open.compaction_lag = retention;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "stale-after",
        metavar: "DURATION",
        default: "30s",
        help: "A device that sent nothing for so long is STALE",
        apply: |c, v| parse::duration(v).map(|v| c.projector.stale_after = v),
        ..BASE
    },
    Setting {
        name: "offline-after",
        metavar: "DURATION",
        default: "10m",
        help: "A device that sent nothing for so long is OFFLINE",
        apply: |c, v| parse::duration(v).map(|v| c.projector.offline_after = v),
        ..BASE
    },
    Setting {
        name: "history-ttl",
        metavar: "DURATION",
        default: "1d",
        help: "Rows of history are kept so long; 0 writes none",
        apply: |c, v| {
            let ttl = parse::duration(v)?;
            c.history_off = ttl.is_zero();
            c.embedded.history_ttl = ttl;
            c.cql_settings.history_ttl = ttl;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "history-kinds",
        metavar: "KINDS",
        default: "presence,lock,log,entity,location,command,alert,device,deleted",
        help: "Kinds of events that are kept as history; telemetry is the bulk of all writes, and off",
        apply: |c, v| {
            let kinds: Option<Vec<Kind>> = parse::list(v).iter().map(|name| Kind::from_name(name)).collect();
            let kinds = kinds.ok_or_else(|| {
                format!(
                    "names an unknown kind; there are {}",
                    Kind::ALL.map(Kind::name).join(", ")
                )
            })?;
            c.projector.history_kinds = kinds;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "command-open-max",
        metavar: "N",
        default: "100",
        help: "Commands of one device that are open at once",
        apply: |c, v| {
            let most = parse::number(v, 1, u64::MAX)?
                .try_into()
                .map_err(|_| "is too large".to_owned())?;
            c.gateway.commands.open_max = most;
            c.native.commands.open_max = most;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "command-lifetime",
        metavar: "DURATION",
        default: "1d",
        help: "A command that does not say when it expires lives so long",
        apply: |c, v| {
            let lifetime = parse::duration(v)?;
            c.gateway.commands.lifetime = lifetime;
            c.native.commands.lifetime = lifetime;
            c.ingest.command_lifetime = lifetime;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "command-lifetime-max",
        metavar: "DURATION",
        default: "30d",
        help: "A command lives at most so long",
        apply: |c, v| {
            let lifetime = parse::duration(v)?;
            c.gateway.commands.lifetime_max = lifetime;
            c.native.commands.lifetime_max = lifetime;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "filter-bytes-max",
        metavar: "SIZE",
        default: "4KiB",
        help: "Length of a filter",
        apply: |c, v| {
            let bytes = parse::bytes(v)?;
            c.open.filters.bytes_max = bytes;
            c.native.filters.bytes_max = bytes;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "filter-depth-max",
        metavar: "N",
        default: "64",
        help: "Parentheses and NOTs within one another in a filter, 255 at most",
        apply: |c, v| {
            let depth = parse::number(v, 1, u64::from(u8::MAX))?
                .try_into()
                .map_err(|_| "is too large".to_owned())?;
            c.open.filters.depth_max = depth;
            c.native.filters.depth_max = depth;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "allowed-origins",
        metavar: "ORIGINS",
        help: "Origins whose pages may use the API, such as https://app.example.com; * is any, but its pages may \
               not send cookies",
        apply: |c, v| {
            c.front_door.allowed_origins = parse::list(v);
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "trusted-proxies",
        metavar: "NETWORKS",
        help: "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, such as 10.0.0.0/8",
        apply: |c, v| {
            let networks: Result<_, _> = parse::list(v).iter().map(|network| network.parse()).collect();
            c.front_door.trusted_proxies =
                networks.map_err(|_| "is not a list of networks, such as 10.0.0.0/8".to_owned())?;
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "projector-group",
        metavar: "NAME",
        default: "wakeline-projector",
        help: "The group whose members share the partitions",
        apply: |c, v| {
            c.projector.group = v.into();
            Ok(())
        },
        ..BASE
    },
    Setting {
        name: "cql-consistency",
        metavar: "LEVEL",
        default: "LOCAL_QUORUM",
        help: "Of every read and write: LOCAL_QUORUM, QUORUM, or ONE for measurements",
        apply: |c, v| {
            v.parse()
                .map(|v| c.cql_settings.consistency = v)
                .map_err(|e| sentence(&e))
        },
        ..BASE
    },
];

/// The error as the end of a sentence that begins with the value.
fn sentence(words: &state::scylla::Words) -> String {
    format!("is none of {}", words.expected)
}
