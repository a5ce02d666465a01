//! The CQL store. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, time};

pub(super) const SETTINGS: &[Setting] = &[
    time!(
        "cql-connect-timeout",
        "20s",
        "Connecting takes at most so long",
        cql_settings.connect_timeout
    ),
    time!(
        "cql-request-timeout",
        "5s",
        "One attempt of a request takes at most so long",
        cql_settings.request_timeout
    ),
    count!(
        "cql-attempts-max",
        "3",
        "A request is tried so often before the store counts as unavailable",
        cql_settings.attempts_max
    ),
    count!(
        "cql-requests-in-flight-max",
        "256",
        "Requests in flight at once in this process; more wait",
        cql_settings.requests_in_flight_max
    ),
    count!(
        "cql-page-fan-out-max",
        "8",
        "Lists that one page reads at once",
        cql_settings.page_fan_out_max
    ),
    count!(
        "cql-indexed-devices-max",
        "200000",
        "Devices of which it is remembered that they stand in the indexes, to save writes",
        cql_settings.indexed_devices_max
    ),
    count!(
        "cql-history-hours-per-page-max",
        "744",
        "One page of history looks through at most so many hours",
        cql_settings.history_hours_per_page_max
    ),
];
