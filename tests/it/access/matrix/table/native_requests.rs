//! The native API: events, alerts, rules, tokens, tenants, sessions.

use super::super::row::{Expect, Expects, Grant, ONE, Place, REQUEST, Row, may, role};
use super::native::NATIVE;

/// Something that only an administrator does.
const ADMIN: Row = Row {
    grant: role("admin"),
    lacking: role("user"),
    ..NATIVE
};
/// A step of an alert.
const SETTLE: Row = Row {
    method: "POST",
    grant: may("user", &["command"]),
    lacking: role("user"),
    expect: Expects {
        page: Expect::Is(403),
        ..ONE
    },
    ..NATIVE
};
/// A thing that is named by its id alone, whosever it is.
const BY_ID: Expects = Expects {
    foreign: Expect::Is(404),
    tenant: Expect::Na,
    lacking: Expect::Is(404),
    ..REQUEST
};

pub(super) const ROWS: &[Row] = &[
    Row {
        what: "send events",
        method: "POST",
        pattern: "/v1/events",
        body: r#"{"device":"{id}","kind":"log","message":"trespass on {name}"}"#,
        grant: role("ingest"),
        lacking: role("user"),
        expect: Expects {
            page: Expect::Is(403),
            scope: Expect::Is(400),
            right: Expect::Is(200),
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "alerts",
        pattern: "/v1/alerts",
        expect: Expects {
            scope: Expect::Shows,
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "closed alerts",
        pattern: "/v1/alerts",
        target: "/v1/alerts?status=CLOSED",
        expect: Expects {
            scope: Expect::Shows,
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "acknowledge an alert",
        pattern: "/v1/alerts/{alert}/acknowledge",
        target: "/v1/alerts/ack-{name}/acknowledge",
        ..SETTLE
    },
    Row {
        what: "close an alert",
        pattern: "/v1/alerts/{alert}/close",
        target: "/v1/alerts/close-{name}/close",
        ..SETTLE
    },
    Row {
        what: "the summary",
        pattern: "/v1/summary",
        expect: Expects {
            scope: Expect::Says(200, "\"total\":1,"),
            right: Expect::Is(200),
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "rules",
        pattern: "/v1/rules",
        ..ADMIN
    },
    Row {
        what: "a rule",
        pattern: "/v1/rules/{rule}",
        target: "/v1/rules/rule-{name}",
        expect: Expects {
            foreign: Expect::Is(404),
            ..REQUEST
        },
        ..ADMIN
    },
    Row {
        what: "put a rule",
        method: "PUT",
        pattern: "/v1/rules/{rule}",
        target: "/v1/rules/put-{name}",
        body: r#"{"when":"never_reported","alert_type":"X","severity":1,"summary":"x"}"#,
        expect: Expects {
            page: Expect::Is(403),
            right: Expect::Is(201),
            ..REQUEST
        },
        ..ADMIN
    },
    Row {
        what: "delete a rule",
        method: "DELETE",
        pattern: "/v1/rules/{rule}",
        target: "/v1/rules/delete-{name}",
        expect: Expects {
            page: Expect::Is(403),
            foreign: Expect::Is(404),
            right: Expect::Is(204),
            ..REQUEST
        },
        ..ADMIN
    },
    Row {
        what: "tokens",
        pattern: "/v1/tokens",
        target: "/v1/tokens?limit=1000",
        ..ADMIN
    },
    Row {
        what: "make a token",
        method: "POST",
        pattern: "/v1/tokens",
        body: r#"{"role":"user","devices":["{id}"]}"#,
        expect: Expects {
            page: Expect::Is(403),
            scope: Expect::Is(403),
            right: Expect::Is(201),
            ..REQUEST
        },
        ..ADMIN
    },
    Row {
        what: "a token",
        pattern: "/v1/tokens/{token…}",
        expect: BY_ID,
        ..ADMIN
    },
    Row {
        what: "change a token",
        method: "PATCH",
        pattern: "/v1/tokens/{token…}",
        body: r#"{"permissions":["command"]}"#,
        expect: Expects {
            page: Expect::Is(403),
            scope: Expect::Is(404),
            right: Expect::Is(200),
            ..BY_ID
        },
        ..ADMIN
    },
    Row {
        what: "revoke a token",
        method: "DELETE",
        pattern: "/v1/tokens/{token…}",
        expect: Expects {
            page: Expect::Is(403),
            right: Expect::Is(204),
            ..BY_ID
        },
        ..ADMIN
    },
    Row {
        what: "tenants",
        pattern: "/v1/tenants",
        expect: Expects {
            tenant: Expect::Na,
            lacking: Expect::Na,
            right: Expect::Says(200, "\"id\":\"acme\""),
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "a tenant",
        pattern: "/v1/tenants/{tenant}",
        expect: Expects {
            tenant: Expect::Is(404),
            lacking: Expect::Na,
            right: Expect::Says(200, "\"id\":\"acme\""),
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "make a tenant",
        method: "PUT",
        pattern: "/v1/tenants/{tenant}",
        grant: Grant::System,
        lacking: role("admin"),
        expect: Expects {
            page: Expect::Is(403),
            expired: Expect::Na,
            revoked: Expect::Na,
            tenant: Expect::Na,
            right: Expect::Says(200, "\"id\":\"acme\""),
            ..REQUEST
        },
        ..NATIVE
    },
    Row {
        what: "begin a session",
        method: "POST",
        pattern: "/v1/session",
        places: &[Place::Bearer, Place::Header("X-API-Key")],
        expect: SESSION,
        ..NATIVE
    },
    Row {
        what: "end a session",
        method: "DELETE",
        pattern: "/v1/session",
        places: &[
            Place::Cookie("wakeline_session"),
            Place::Cookie("sessionid"),
            Place::Cookie("devicesdk-session"),
            Place::Cookie("pulse_session"),
        ],
        // It tells them that they are no session.
        ambiguous: &[Place::Bearer, Place::Header("X-API-Key")],
        expect: Expects {
            page: Expect::Is(403),
            // It ended before; what the browser keeps of it goes.
            expired: Expect::Is(204),
            revoked: Expect::Is(204),
            ..SESSION
        },
        ..NATIVE
    },
];

const SESSION: Expects = Expects {
    tenant: Expect::Na,
    lacking: Expect::Na,
    right: Expect::Is(204),
    ..REQUEST
};
