//! The native API. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, time};

pub(super) const SETTINGS: &[Setting] = &[
    count!(
        "api-page-items",
        "100",
        "Items of a page, where the request does not say",
        native.page_items
    ),
    count!(
        "api-page-items-max",
        "1000",
        "Items of a page at most",
        native.page_items_max
    ),
    count!(
        "api-list-documents-max",
        "10000",
        "Documents that one request for a list looks at at most; a page whose filter few match may be empty, and say \
         where the next begins",
        native.list_documents_max
    ),
    size!(
        "api-list-bytes-max",
        "8MiB",
        "Bytes of documents in one answer; those that are read together with the one that passes it are its last",
        native.list_bytes_max
    ),
    size!(
        "api-list-held-bytes-max",
        "128MiB",
        "Bytes of lists of devices that are under way at once; beyond that they are answered 503",
        native.list_held_bytes_max
    ),
    size!(
        "api-list-held-tenant-bytes-max",
        "48MiB",
        "Those to one tenant",
        native.list_held_tenant_bytes_max
    ),
    time!(
        "api-wait-max",
        "5s",
        "How long min_cursor waits, where the request does not say, and at most",
        native.wait_max
    ),
    time!(
        "api-applied-poll",
        "20ms",
        "How often one partition's progress is asked for while somebody waits for it",
        native.applied_poll
    ),
    time!(
        "api-settle-max",
        "1s",
        "How long the answer to a command, or to a step of an alert, waits until it can be read back",
        native.settle_max
    ),
    size!(
        "api-body-bytes-max",
        "256KiB",
        "Length of a body",
        native.body_bytes_max
    ),
    time!(
        "api-body-within",
        "10s",
        "How long a body may take to arrive",
        native.body_within
    ),
    count!(
        "api-history-rows-max",
        "10000",
        "Rows of history that are read to answer one request about commands or alerts",
        native.history_rows_max
    ),
    count!(
        "api-alert-documents-max",
        "100000",
        "Documents that are looked at for alerts in one request",
        native.alert_documents_max
    ),
];
