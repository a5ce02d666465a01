//! Controller: commands and locations.

use super::super::row::{
    Carrier, Expect, Expects, Grant, ONE, Place, REQUEST, ROW, Row, SOCKET, role, staff,
};

/// Whoever may not, is told 403, whyever.
const CLOSED: Expects = Expects {
    nobody: Expect::Is(403),
    wrong: Expect::Is(403),
    expired: Expect::Is(403),
    foreign: Expect::Is(403),
    scope: Expect::Is(403),
    ..SOCKET
};
const CONTROLLER: Row = Row {
    dialect: "controller",
    lacking: staff(&[]),
    places: &[Place::Bearer, Place::Cookie("sessionid")],
    ..ROW
};
const SOCKETS: Row = Row {
    carrier: Carrier::Socket,
    grant: staff(&["geo.view_location"]),
    expect: CLOSED,
    ..CONTROLLER
};
/// Requests know what is theirs; the rest is not there.
const FOUND: Expects = Expects {
    tenant: Expect::Is(404),
    ..ONE
};
const COMMANDS: Row = Row {
    grant: staff(&["config.view_device"]),
    expect: FOUND,
    ..CONTROLLER
};

pub(super) const ROWS: &[Row] = &[
    Row {
        what: "commands",
        pattern: "/ws/controller/device/{device}/command[/]",
        grant: staff(&["config.view_device"]),
        ..SOCKETS
    },
    Row {
        what: "one location",
        pattern: "/ws/loci/location/{location}[/]",
        target: "/ws/loci/location/spot-{name}/",
        ..SOCKETS
    },
    Row {
        what: "all locations",
        pattern: "/ws/loci/location[/]",
        expect: Expects {
            foreign: Expect::Na,
            scope: Expect::Shows,
            ..CLOSED
        },
        ..SOCKETS
    },
    Row {
        what: "coordinates",
        method: "PUT",
        pattern: "/api/v1/controller/device/{device}/coordinates[/]",
        body: r#"{"type":"Point","coordinates":[12.5,41.9]}"#,
        grant: Grant::Device,
        lacking: role("user"),
        places: &[Place::Query("key")],
        expect: Expects {
            foreign: Expect::Is(403),
            scope: Expect::Is(403),
            ..REQUEST
        },
        ..CONTROLLER
    },
    Row {
        what: "send a command",
        method: "POST",
        pattern: "/api/v1/controller/device/{device}/command[/]",
        body: r#"{"type":"reboot","input":null}"#,
        grant: staff(&["config.change_device"]),
        lacking: staff(&["config.view_device"]),
        expect: Expects {
            page: Expect::Is(403),
            right: Expect::Is(201),
            ..FOUND
        },
        ..CONTROLLER
    },
    Row {
        what: "a device's commands",
        pattern: "/api/v1/controller/device/{device}/command[/]",
        ..COMMANDS
    },
    Row {
        what: "a command",
        pattern: "/api/v1/controller/device/{device}/command/{command}[/]",
        ..COMMANDS
    },
];
