//! Limits and periods of the parts.

mod access;
mod api;
mod cql;
mod device;
mod embedded;
mod gateway;
mod http;
mod ingest;
mod kafka;
mod projector;
mod shared;
mod stream;

use super::Setting;

/// A whole number.
macro_rules! count {
    ($name:literal, $default:literal, $help:literal, $($path:tt)+) => {
        Setting {
            name: $name, metavar: "N", default: $default, help: $help, secret: false,
            apply: |config, text| {
                crate::config::parse::number(text, 0, u64::MAX)
                    .and_then(|value| value.try_into().map_err(|_| "is too large".to_owned()))
                    .map(|value| config.$($path)+ = value)
            },
        }
    };
}

/// A number of bytes.
macro_rules! size {
    ($name:literal, $default:literal, $help:literal, $($path:tt)+) => {
        Setting {
            name: $name, metavar: "SIZE", default: $default, help: $help, secret: false,
            apply: |config, text| {
                crate::config::parse::bytes(text)
                    .and_then(|value| value.try_into().map_err(|_| "is too large".to_owned()))
                    .map(|value| config.$($path)+ = value)
            },
        }
    };
}

/// A duration.
macro_rules! time {
    ($name:literal, $default:literal, $help:literal, $($path:tt)+) => {
        Setting {
            name: $name, metavar: "DURATION", default: $default, help: $help, secret: false,
            apply: |config, text| crate::config::parse::duration(text).map(|value| config.$($path)+ = value),
        }
    };
}

/// `true` or `false`.
macro_rules! switch {
    ($name:literal, $default:literal, $help:literal, $($path:tt)+) => {
        Setting {
            name: $name, metavar: "BOOLEAN", default: $default, help: $help, secret: false,
            apply: |config, text| crate::config::parse::boolean(text).map(|value| config.$($path)+ = value),
        }
    };
}

use {count, size, switch, time};

/// The settings of every part.
const PARTS: [&[Setting]; 12] = [
    shared::SETTINGS,
    access::SETTINGS,
    ingest::SETTINGS,
    projector::SETTINGS,
    gateway::SETTINGS,
    stream::SETTINGS,
    http::SETTINGS,
    api::SETTINGS,
    device::SETTINGS,
    embedded::SETTINGS,
    kafka::SETTINGS,
    cql::SETTINGS,
];

/// The settings of every part, in the order of the help.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    PARTS.into_iter().flatten()
}
