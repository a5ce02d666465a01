//! What a row of the table says: one way in, and what becomes of everybody who tries it.

/// A way in.
#[derive(Debug, Clone, Copy)]
pub(in crate::access) struct Row {
    pub(in crate::access) dialect: &'static str,
    /// For people.
    pub(in crate::access) what: &'static str,
    pub(in crate::access) method: &'static str,
    /// As the node names it.
    pub(in crate::access) pattern: &'static str,
    pub(in crate::access) carrier: Carrier,
    /// Path and query; the pattern where it is empty. Names in braces are filled in.
    pub(in crate::access) target: &'static str,
    /// What the client says first.
    pub(in crate::access) says: &'static [&'static str],
    /// Its body.
    pub(in crate::access) body: &'static str,
    /// Who may.
    pub(in crate::access) grant: Grant,
    /// Who may not, though the credential is good.
    pub(in crate::access) lacking: Grant,
    /// Where the credential may stand; the first is the one that is used.
    pub(in crate::access) places: &'static [Place],
    /// Where it would mean another way in.
    pub(in crate::access) ambiguous: &'static [Place],
    /// Name of the device that is asked for.
    pub(in crate::access) device: &'static str,
    pub(in crate::access) expect: Expects,
}

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) enum Carrier {
    Socket,
    Events,
    Request,
}

/// Where a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) enum Place {
    Bearer,
    Header(&'static str),
    Query(&'static str),
    Cookie(&'static str),
    /// Where `{credential}` stands in the body.
    Body,
}

impl Place {
    /// Every place that any way in knows.
    pub(in crate::access) const ALL: [Self; 10] = [
        Self::Bearer,
        Self::Header("X-API-Key"),
        Self::Header("X-Provision-Token"),
        Self::Query("token"),
        Self::Query("api_key"),
        Self::Query("key"),
        Self::Cookie("wakeline_session"),
        Self::Cookie("sessionid"),
        Self::Cookie("devicesdk-session"),
        Self::Cookie("pulse_session"),
    ];
}

/// Somebody's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) enum Grant {
    /// None are needed.
    Nobody,
    /// An API token's.
    Token {
        role: &'static str,
        staff: bool,
        permissions: &'static [&'static str],
    },
    /// The device itself.
    Device,
    /// A JWT's with this role of the realm.
    Jwt(&'static str),
    /// The operator's.
    System,
}

/// An API token of a role.
pub(in crate::access) const fn role(role: &'static str) -> Grant {
    may(role, &[])
}

/// One with permissions.
pub(in crate::access) const fn may(role: &'static str, permissions: &'static [&'static str]) -> Grant {
    Grant::Token {
        role,
        staff: false,
        permissions,
    }
}

/// Staff of its tenant, with permissions.
pub(in crate::access) const fn staff(permissions: &'static [&'static str]) -> Grant {
    Grant::Token {
        role: "user",
        staff: true,
        permissions,
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) enum Expect {
    /// The case does not exist here.
    Na,
    /// The answer has this status, and nothing of anybody's data.
    Is(u16),
    /// The answer has this status, and this text.
    Says(u16, &'static str),
    /// A stream opens, and shows nothing of what is not the client's.
    Silent,
    /// What was asked for is shown.
    Shows,
    /// The WebSocket is closed with this code.
    Ends(u16),
    /// The event stream ends after a fault.
    Fault,
}

/// What happens to whom.
#[derive(Debug, Clone, Copy)]
pub(in crate::access) struct Expects {
    /// Without a credential, or with a good one where none may stand.
    pub(in crate::access) nobody: Expect,
    pub(in crate::access) wrong: Expect,
    pub(in crate::access) expired: Expect,
    /// With a good cookie, from a page that may not use it.
    pub(in crate::access) page: Expect,
    /// The credential is revoked: while the stream runs, or before the request.
    pub(in crate::access) revoked: Expect,
    /// The credential ends while the stream runs.
    pub(in crate::access) expires: Expect,
    /// The credential loses its right while the stream runs.
    pub(in crate::access) loses: Expect,
    /// Asks for what only another tenant has.
    pub(in crate::access) foreign: Expect,
    /// Names another tenant.
    pub(in crate::access) tenant: Expect,
    /// Asks for a device of its tenant that is out of its scope.
    pub(in crate::access) scope: Expect,
    pub(in crate::access) lacking: Expect,
    pub(in crate::access) right: Expect,
}

/// A request that needs a credential.
pub(in crate::access) const REQUEST: Expects = refused(401);

/// A request that is refused with this status.
pub(in crate::access) const fn refused(status: u16) -> Expects {
    Expects {
        nobody: Expect::Is(status),
        wrong: Expect::Is(status),
        expired: Expect::Is(status),
        page: Expect::Na,
        revoked: Expect::Is(status),
        expires: Expect::Na,
        loses: Expect::Na,
        foreign: Expect::Na,
        tenant: Expect::Is(403),
        scope: Expect::Na,
        lacking: Expect::Is(403),
        right: Expect::Shows,
    }
}

/// A request about one device.
pub(in crate::access) const ONE: Expects = Expects {
    foreign: Expect::Is(404),
    scope: Expect::Is(404),
    ..REQUEST
};

/// A socket.
pub(in crate::access) const SOCKET: Expects = Expects {
    page: Expect::Is(403),
    revoked: Expect::Ends(4401),
    expires: Expect::Ends(4401),
    loses: Expect::Ends(4403),
    foreign: Expect::Silent,
    scope: Expect::Silent,
    ..REQUEST
};

/// An event stream.
pub(in crate::access) const EVENTS: Expects = Expects {
    page: Expect::Na,
    revoked: Expect::Fault,
    expires: Expect::Fault,
    loses: Expect::Fault,
    ..SOCKET
};

/// A request that anybody may make.
pub(in crate::access) const ANYBODY: Expects = Expects {
    nobody: Expect::Is(200),
    wrong: Expect::Is(200),
    expired: Expect::Is(200),
    revoked: Expect::Is(200),
    tenant: Expect::Na,
    lacking: Expect::Is(200),
    right: Expect::Is(200),
    ..REQUEST
};

/// The beginning of a row.
pub(in crate::access) const ROW: Row = Row {
    dialect: "",
    what: "",
    method: "GET",
    pattern: "",
    carrier: Carrier::Request,
    target: "",
    says: &[],
    body: "",
    grant: role("user"),
    lacking: role("ingest"),
    places: &[Place::Bearer],
    ambiguous: &[],
    device: "van",
    expect: REQUEST,
};
