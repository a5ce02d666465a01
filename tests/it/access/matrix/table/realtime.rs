//! Realtime: positions, liveness, locks.

use super::super::row::{ANYBODY, Carrier, Expect, Expects, Grant, Place, REQUEST, ROW, Row, SOCKET, role};

/// Users have the devices that are listed, so that somebody who has all is no user here.
const REALTIME: Row = Row {
    dialect: "realtime",
    grant: role("admin"),
    places: &[Place::Query("api_key"), Place::Header("X-API-Key")],
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        what: "socket",
        pattern: "/realtime",
        carrier: Carrier::Socket,
        says: &[r#"{"type":"subscribe","hardwareIds":["{id}"]}"#],
        expect: Expects {
            page: Expect::Na,
            tenant: Expect::Is(401),
            scope: Expect::Says(101, "Access denied for hardwareIds: yard/hidden"),
            lacking: Expect::Is(401),
            ..SOCKET
        },
        ..REALTIME
    },
    Row {
        what: "lock events",
        pattern: "/lock-events",
        target: "/lock-events?hardware_id={device}",
        expect: Expects {
            foreign: Expect::Is(200),
            tenant: Expect::Is(401),
            scope: Expect::Is(200),
            lacking: Expect::Is(401),
            ..REQUEST
        },
        ..REALTIME
    },
    Row {
        what: "lock events of all",
        pattern: "/lock-events",
        target: "/lock-events?limit=1000",
        expect: Expects {
            tenant: Expect::Is(401),
            scope: Expect::Shows,
            lacking: Expect::Is(401),
            ..REQUEST
        },
        ..REALTIME
    },
    Row {
        what: "health",
        pattern: "/health",
        grant: Grant::Nobody,
        places: &[],
        expect: ANYBODY,
        ..REALTIME
    },
];
