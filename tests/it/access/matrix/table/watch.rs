//! Watch: one device. What is foreign, out of scope or unreadable is not there.

use super::super::row::{Carrier, EVENTS, Expect, Expects, Grant, ONE, Place, ROW, Row, SOCKET, may, role};

const WATCH: Row = Row {
    dialect: "watch",
    places: &[Place::Bearer, Place::Cookie("devicesdk-session")],
    expect: Expects {
        tenant: Expect::Is(404),
        lacking: Expect::Is(404),
        ..ONE
    },
    ..ROW
};
const STREAMS: Row = Row {
    places: &[
        Place::Query("token"),
        Place::Bearer,
        Place::Cookie("devicesdk-session"),
    ],
    ..WATCH
};

pub(super) const ROWS: &[Row] = &[
    Row {
        what: "socket",
        pattern: "/v1/projects/{project}/devices/{device}/watch",
        target: "/v1/projects/yard/devices/{name}/watch?backfillLimit=10",
        carrier: Carrier::Socket,
        expect: Expects {
            foreign: Expect::Is(404),
            tenant: Expect::Is(404),
            scope: Expect::Is(404),
            lacking: Expect::Is(404),
            ..SOCKET
        },
        ..STREAMS
    },
    Row {
        what: "logs, SSE",
        pattern: "/v1/projects/{project}/devices/{device}/logs/stream",
        target: "/v1/projects/yard/devices/{name}/logs/stream",
        carrier: Carrier::Events,
        expect: Expects {
            foreign: Expect::Is(404),
            tenant: Expect::Is(404),
            scope: Expect::Is(404),
            lacking: Expect::Is(404),
            ..EVENTS
        },
        ..STREAMS
    },
    Row {
        what: "older logs",
        pattern: "/v1/projects/{project}/devices/{device}/logs",
        target: "/v1/projects/yard/devices/{name}/logs",
        ..WATCH
    },
    Row {
        what: "status",
        pattern: "/v1/projects/{project}/devices/{device}/status",
        target: "/v1/projects/yard/devices/{name}/status",
        expect: Expects {
            right: Expect::Says(200, "\"connected\":"),
            ..WATCH.expect
        },
        ..WATCH
    },
    Row {
        what: "send a command",
        method: "POST",
        pattern: "/v1/projects/{project}/devices/{device}/command",
        target: "/v1/projects/yard/devices/{name}/command",
        body: r#"{"type":"reboot"}"#,
        grant: may("user", &["command"]),
        lacking: role("user"),
        expect: Expects {
            page: Expect::Is(403),
            lacking: Expect::Is(403),
            right: Expect::Says(200, "\"payload\":\"done\""),
            ..WATCH.expect
        },
        ..WATCH
    },
    Row {
        what: "a device's socket",
        pattern: "/v1/projects/{project}/devices/{device}/connect/websocket",
        target: "/v1/projects/yard/devices/{name}/connect/websocket",
        carrier: Carrier::Socket,
        grant: Grant::Device,
        lacking: role("user"),
        device: "tram",
        expect: Expects {
            expires: Expect::Na,
            loses: Expect::Na,
            foreign: Expect::Is(404),
            scope: Expect::Is(404),
            ..SOCKET
        },
        ..STREAMS
    },
];
