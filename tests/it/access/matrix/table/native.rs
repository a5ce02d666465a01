//! The native API: streams, devices' sockets, devices.

use super::super::row::{
    ANYBODY, Carrier, EVENTS, Expect, Expects, Grant, ONE, Place, REQUEST, ROW, Row, SOCKET, may, role,
};

pub(super) const API: &[Place] = &[
    Place::Bearer,
    Place::Header("X-API-Key"),
    Place::Cookie("wakeline_session"),
    Place::Cookie("sessionid"),
    Place::Cookie("devicesdk-session"),
    Place::Cookie("pulse_session"),
];
const STREAM: &[Place] = &[
    Place::Bearer,
    Place::Header("X-API-Key"),
    Place::Query("token"),
    Place::Cookie("wakeline_session"),
    Place::Cookie("sessionid"),
    Place::Cookie("devicesdk-session"),
    Place::Cookie("pulse_session"),
];

/// A request of the native API.
pub(super) const NATIVE: Row = Row {
    dialect: "native",
    places: API,
    ..ROW
};
const STREAMS: Row = Row {
    pattern: "/v1/stream",
    places: STREAM,
    ..NATIVE
};
const ANY: Row = Row {
    grant: Grant::Nobody,
    places: &[],
    expect: ANYBODY,
    ..NATIVE
};
/// Commands are for those who may send them; others do not learn of devices that they may not see.
const COMMAND: Row = Row {
    method: "POST",
    pattern: "/v1/devices/{device}/commands",
    body: r#"{"type":"reboot","expires_in_s":60}"#,
    grant: may("user", &["command"]),
    lacking: role("user"),
    ..NATIVE
};

pub(super) const ROWS: &[Row] = &[
    Row {
        what: "stream of a device, SSE",
        carrier: Carrier::Events,
        target: "/v1/stream?device={device}",
        expect: Expects {
            scope: Expect::Is(403),
            ..EVENTS
        },
        ..STREAMS
    },
    Row {
        what: "stream of a device",
        carrier: Carrier::Socket,
        target: "/v1/stream?device={device}",
        expect: Expects {
            scope: Expect::Is(403),
            ..SOCKET
        },
        ..STREAMS
    },
    Row {
        what: "stream of all events",
        carrier: Carrier::Socket,
        target: "/v1/stream?view=events",
        expect: Expects {
            foreign: Expect::Na,
            scope: Expect::Shows,
            ..SOCKET
        },
        ..STREAMS
    },
    Row {
        what: "stream of devices, snapshot, SSE",
        carrier: Carrier::Events,
        target: "/v1/stream?view=devices&snapshot=true",
        expect: Expects {
            foreign: Expect::Na,
            scope: Expect::Shows,
            ..EVENTS
        },
        ..STREAMS
    },
    Row {
        what: "stream of devices by filter",
        carrier: Carrier::Socket,
        target: "/v1/stream?view=devices&q=id%20=%20%22{device}%22&deliver=latest",
        ..STREAMS_OF_ONE
    },
    Row {
        what: "a device's socket",
        pattern: "/v1/connect",
        carrier: Carrier::Socket,
        says: &[r#"{"device":"{id}","kind":"log","message":"trespass on {name}"}"#],
        grant: Grant::Device,
        lacking: role("user"),
        places: STREAM,
        device: "bus",
        expect: Expects {
            expires: Expect::Na,
            loses: Expect::Na,
            foreign: Expect::Na,
            scope: Expect::Says(101, "\"error\""),
            ..SOCKET
        },
        ..NATIVE
    },
    Row {
        what: "devices",
        pattern: "/v1/devices",
        expect: Expects {
            scope: Expect::Shows,
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "devices by filter",
        pattern: "/v1/devices",
        target: "/v1/devices?q=id%20=%20%22{device}%22",
        expect: Expects {
            foreign: Expect::Is(200),
            scope: Expect::Is(200),
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "a device by query",
        pattern: "/v1/devices",
        target: "/v1/devices?id={device}",
        expect: ONE,
        ..NATIVE
    },
    Row {
        what: "a device",
        pattern: "/v1/devices/{device}",
        expect: ONE,
        ..NATIVE
    },
    Row {
        what: "delete a device by query",
        method: "DELETE",
        pattern: "/v1/devices",
        target: "/v1/devices?id={device}",
        ..DELETE
    },
    Row {
        what: "delete a device",
        method: "DELETE",
        pattern: "/v1/devices/{device}",
        ..DELETE
    },
    Row {
        what: "a device's history",
        pattern: "/v1/devices/{device}/events",
        expect: ONE,
        ..NATIVE
    },
    Row {
        what: "send a command",
        expect: Expects {
            page: Expect::Is(403),
            right: Expect::Is(201),
            ..ONE
        },
        ..COMMAND
    },
    Row {
        what: "a device's commands",
        pattern: "/v1/devices/{device}/commands",
        expect: ONE,
        ..NATIVE
    },
    Row {
        what: "a command",
        pattern: "/v1/devices/{device}/commands/{command}",
        expect: ONE,
        ..NATIVE
    },
    Row {
        what: "schemas: subjects",
        pattern: "/subjects[/]",
        ..ANY
    },
    Row {
        what: "schemas: versions",
        pattern: "/subjects/{rest…}",
        target: "/subjects/wakeline.events-value/versions",
        ..ANY
    },
    Row {
        what: "schemas: types",
        pattern: "/schemas/{rest…}",
        target: "/schemas/types",
        ..ANY
    },
    Row {
        what: "schemas: nothing",
        pattern: "/schemas[/]",
        expect: Expects {
            nobody: Expect::Is(404),
            wrong: Expect::Is(404),
            expired: Expect::Is(404),
            revoked: Expect::Is(404),
            lacking: Expect::Is(404),
            right: Expect::Is(404),
            ..ANYBODY
        },
        ..ANY
    },
    Row {
        what: "schemas: compatibility",
        pattern: "/config[/]",
        ..ANY
    },
    Row {
        what: "schemas: compatibility of one",
        pattern: "/config/{rest…}",
        target: "/config/wakeline.events-value",
        ..ANY
    },
];

const STREAMS_OF_ONE: Row = Row {
    expect: SOCKET,
    ..STREAMS
};
/// Deleting what is not there is an event like any other, of one's own tenant.
const DELETE: Row = Row {
    grant: role("admin"),
    lacking: role("user"),
    device: "spare",
    expect: Expects {
        page: Expect::Is(403),
        foreign: Expect::Is(202),
        scope: Expect::Is(404),
        right: Expect::Is(202),
        ..REQUEST
    },
    ..NATIVE
};
