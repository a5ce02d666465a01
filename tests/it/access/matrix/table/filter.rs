//! Filter: devices that match.

use super::super::row::{Carrier, Expect, Expects, Place, REQUEST, ROW, Row, SOCKET};

const FILTER: Row = Row {
    dialect: "filter",
    places: &[Place::Bearer],
    ..ROW
};
const SOCKETS: Row = Row {
    pattern: "/api/v2/ws",
    carrier: Carrier::Socket,
    // That is the telemetry dialect's.
    ambiguous: &[Place::Query("token")],
    ..FILTER
};

pub(super) const ROWS: &[Row] = &[
    Row {
        what: "socket",
        says: &[r#"{"filter":"id = \"{id}\""}"#],
        expect: Expects {
            page: Expect::Na,
            ..SOCKET
        },
        ..SOCKETS
    },
    Row {
        what: "socket, of everything",
        says: &[r#"{"filter":"not nothing_of_that_name"}"#],
        expect: Expects {
            page: Expect::Na,
            foreign: Expect::Na,
            scope: Expect::Shows,
            ..SOCKET
        },
        ..SOCKETS
    },
    Row {
        what: "devices",
        pattern: "/api/v2/devices",
        target: "/api/v2/devices?q=id%20=%20%22{device}%22",
        expect: Expects {
            foreign: Expect::Is(200),
            scope: Expect::Is(200),
            ..REQUEST
        },
        ..FILTER
    },
    Row {
        what: "all devices",
        pattern: "/api/v2/devices",
        target: "/api/v2/devices",
        expect: Expects {
            scope: Expect::Shows,
            ..REQUEST
        },
        ..FILTER
    },
];
