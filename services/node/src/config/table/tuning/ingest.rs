//! Admission of events. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, time};

pub(super) const SETTINGS: &[Setting] = &[
    size!(
        "ingest-body-bytes-max",
        "8MiB",
        "Length of a body, compressed or not",
        ingest.body_bytes_max
    ),
    time!(
        "ingest-body-within",
        "30s",
        "How long a body may take to arrive",
        ingest.body_within
    ),
    size!(
        "ingest-held-bytes-max",
        "256MiB",
        "Bytes of all bodies that are held at once; beyond that requests are answered 503",
        ingest.held_bytes_max
    ),
    size!(
        "ingest-held-tenant-bytes-max",
        "128MiB",
        "Those of one tenant",
        ingest.held_tenant_bytes_max
    ),
    count!(
        "ingest-events-max",
        "10000",
        "Events in one request",
        ingest.events_max
    ),
    size!(
        "ingest-event-bytes-max",
        "256KiB",
        "Length of one event, as JSON",
        ingest.event_bytes_max
    ),
    size!(
        "ingest-inline-bytes-max",
        "64KiB",
        "Bodies longer than this are taken apart on a thread of their own, so that one does not hold up other requests",
        ingest.inline_bytes_max
    ),
    time!(
        "ingest-append-within",
        "10s",
        "How long the log may take to confirm",
        ingest.append_within
    ),
    time!(
        "ingest-retry-after",
        "2s",
        "Retry-After of an answer that asks to try again",
        ingest.retry_after
    ),
    count!(
        "ingest-device-events-per-second",
        "1000",
        "Events of one device in a second, in the long run",
        ingest.device_events_per_second
    ),
    count!(
        "ingest-device-events-burst",
        "10000",
        "Events of one device at once; a device that was out of reach catches up with a full request",
        ingest.device_events_burst
    ),
    count!(
        "ingest-devices-watched-max",
        "262144",
        "Devices whose rate is watched at once; of more, some are not limited",
        ingest.devices_watched_max
    ),
    count!(
        "ingest-rejected-per-second",
        "10",
        "Refused input of one tenant that is kept in wakeline.rejected in a second",
        ingest.rejected_per_second
    ),
    count!(
        "ingest-rejected-burst",
        "100",
        "Refused input of one tenant that is kept at once",
        ingest.rejected_burst
    ),
    size!(
        "ingest-rejected-bytes-max",
        "4KiB",
        "Bytes that are kept of refused input",
        ingest.rejected_bytes_max
    ),
    count!(
        "ingest-rejected-appends-max",
        "64",
        "Appends of refused input under way at once; more are not kept",
        ingest.rejected_appends_max
    ),
];
