//! Telemetry: metrics of a tenant, the legacy socket, ingest.

use super::super::row::{
    ANYBODY, Carrier, EVENTS, Expect, Expects, Grant, Place, REQUEST, ROW, Row, SOCKET, refused, role,
};

const COOKIE: Place = Place::Cookie("pulse_session");
const TELEMETRY: Row = Row {
    dialect: "telemetry",
    ..ROW
};
const STREAM: Row = Row {
    pattern: "/api/v1/customer/telemetry/stream",
    target: "/api/v1/customer/telemetry/stream?device_id={device}",
    carrier: Carrier::Socket,
    places: &[Place::Query("token"), Place::Bearer, COOKIE],
    expect: SOCKET,
    ..TELEMETRY
};
const SSE: Row = Row {
    pattern: "/api/v1/customer/telemetry/stream/sse",
    target: "/api/v1/customer/telemetry/stream/sse?device_id={device}",
    carrier: Carrier::Events,
    places: &[Place::Bearer, COOKIE],
    expect: EVENTS,
    ..TELEMETRY
};
const LEGACY: Row = Row {
    pattern: "/api/v2/ws",
    carrier: Carrier::Socket,
    says: &[
        r#"{"action":"subscribe","type":"device","device_id":"{id}"}"#,
        r#"{"action":"subscribe","type":"alerts"}"#,
        r#"{"action":"subscribe","type":"fleet"}"#,
    ],
    places: &[Place::Query("token")],
    // That is the filter dialect's.
    ambiguous: &[Place::Bearer],
    expect: Expects {
        page: Expect::Na,
        ..SOCKET
    },
    ..TELEMETRY
};
/// What a JWT's role says, nobody takes back; and it has no devices of its own.
const fn by_jwt(expect: Expects) -> Expects {
    Expects {
        expires: Expect::Na,
        loses: Expect::Na,
        scope: Expect::Na,
        ..expect
    }
}
const INGEST: Row = Row {
    method: "POST",
    body: r#"{"version":"1","seq":1,"metrics":{"trespass_on_{name}":1}}"#,
    grant: Grant::Device,
    lacking: role("user"),
    places: &[Place::Header("X-Provision-Token")],
    expect: Expects {
        foreign: Expect::Is(401),
        tenant: Expect::Is(401),
        scope: Expect::Is(401),
        lacking: Expect::Is(401),
        right: Expect::Is(202),
        ..REQUEST
    },
    ..TELEMETRY
};
const REJECTED: Expect = Expect::Says(400, "TOKEN_INVALID");

pub(super) const ROWS: &[Row] = &[
    Row {
        what: "socket",
        ..STREAM
    },
    Row {
        what: "socket of everything",
        target: "/api/v1/customer/telemetry/stream",
        expect: Expects {
            foreign: Expect::Na,
            scope: Expect::Shows,
            ..SOCKET
        },
        ..STREAM
    },
    Row {
        what: "socket, by JWT",
        grant: Grant::Jwt("customer"),
        lacking: Grant::Jwt("gardener"),
        expect: by_jwt(SOCKET),
        ..STREAM
    },
    Row { what: "SSE", ..SSE },
    Row {
        what: "SSE, by JWT",
        grant: Grant::Jwt("operator"),
        lacking: Grant::Jwt("gardener"),
        expect: by_jwt(EVENTS),
        ..SSE
    },
    Row {
        what: "legacy socket",
        ..LEGACY
    },
    Row {
        what: "legacy socket, by JWT",
        grant: Grant::Jwt("tenant-admin"),
        lacking: Grant::Jwt("gardener"),
        expect: by_jwt(LEGACY.expect),
        ..LEGACY
    },
    Row {
        what: "streams",
        pattern: "/api/v1/telemetry/stream/status",
        grant: Grant::Nobody,
        places: &[],
        expect: ANYBODY,
        ..TELEMETRY
    },
    Row {
        what: "ingest",
        pattern: "/ingest/v1/tenant/{tenant}/device/{device}/{kind}",
        target: "/ingest/v1/tenant/{tenant}/device/{device}/telemetry",
        ..INGEST
    },
    Row {
        what: "heartbeat",
        pattern: "/ingest/v1/tenant/{tenant}/device/{device}/{kind}",
        target: "/ingest/v1/tenant/{tenant}/device/{device}/heartbeat",
        ..INGEST
    },
    Row {
        what: "ingest of many",
        pattern: "/ingest/v1/batch",
        body: r#"{"messages":[{"tenant_id":"{tenant}","device_id":"{id}","msg_type":"telemetry","provision_token":"{credential}","version":"1","seq":1,"metrics":{"trespass_on_{name}":1}}]}"#,
        places: &[Place::Body],
        expect: Expects {
            nobody: Expect::Says(400, "TOKEN_MISSING"),
            wrong: REJECTED,
            expired: REJECTED,
            revoked: REJECTED,
            foreign: REJECTED,
            tenant: REJECTED,
            scope: REJECTED,
            lacking: REJECTED,
            right: Expect::Is(202),
            ..refused(400)
        },
        ..INGEST
    },
];
