use journal::{Headers, Offset};
use schemas::control::Role;

use super::*;

/// Folds records one after another, as the log has them.
struct Log {
    fold: Fold,
    next: Offset,
}

impl Log {
    fn new() -> Self {
        Self {
            fold: Fold::new(16),
            next: 0,
        }
    }

    fn append(&mut self, control: &Control) -> Effect {
        self.raw(&control.key(), Some(control.encode()))
    }

    fn raw(&mut self, key: &str, value: Option<bytes::Bytes>) -> Effect {
        let record = Record {
            offset: self.next,
            timestamp_ms: self.next as i64,
            key: key.into(),
            value,
            headers: Headers::default(),
        };
        self.next += 1;
        self.fold.apply(&record)
    }
}

fn tenant(spread: u32) -> Control {
    Control::Tenant(Tenant {
        id: "acme".into(),
        spread,
        created_at: 1,
    })
}

fn revocation(not_before: Micros) -> Control {
    Control::Revocation(Revocation {
        subject: "device:acme/d".into(),
        not_before,
    })
}

fn token() -> Control {
    Control::Token(Token {
        id: "abc".into(),
        hash: [1; 32],
        last_four: "wxyz".into(),
        role: Role::Ingest,
        tenant: Some("acme".into()),
        devices: None,
        permissions: Vec::new(),
        staff: false,
        superuser: false,
        organizations: Vec::new(),
        created_at: 1,
        expires_at: None,
    })
}

#[test]
fn the_first_spread_of_a_tenant_holds() {
    let mut log = Log::new();
    assert_eq!(log.append(&tenant(4)), Effect::Changed);
    assert_eq!(log.append(&tenant(9)), Effect::Unchanged);
    let entry = &log.fold.tenants["acme"];
    assert_eq!(entry.tenant.spread, 4);
    assert_eq!(entry.placement.partitions().len(), 4);
}

#[test]
fn a_contested_tenant_is_put_right_once_and_not_when_somebody_did() {
    let mut log = Log::new();
    log.append(&tenant(4));
    log.append(&tenant(9));
    let repairs = log.fold.take_repairs();
    assert!(matches!(&repairs[..], [Repair::Tenant(tenant)] if tenant.spread == 4));
    assert_eq!(log.fold.take_repairs(), []);
    log.append(&tenant(9));
    log.append(&tenant(4));
    assert_eq!(log.fold.take_repairs(), []);
}

#[test]
fn a_revoked_token_does_not_come_back_by_a_late_change() {
    let mut log = Log::new();
    assert_eq!(log.append(&token()), Effect::Changed);
    assert_eq!(log.raw("token/abc", None), Effect::Changed);
    assert_eq!(log.append(&token()), Effect::Unchanged);
    assert!(log.fold.tokens.get("abc").is_none());
    assert_eq!(
        log.fold.take_repairs(),
        [Repair::Token {
            id: "abc".into(),
            at: 2_000
        }]
    );
    assert_eq!(log.raw("token/abc", None), Effect::Unchanged);
    assert_eq!(log.fold.take_repairs(), []);
}

#[test]
fn a_revocation_only_moves_forward() {
    let mut log = Log::new();
    assert_eq!(log.append(&revocation(10)), Effect::Changed);
    assert_eq!(log.append(&revocation(5)), Effect::Unchanged);
    assert_eq!(log.fold.not_before("device:acme/d"), Some(10));
}

#[test]
fn what_cannot_be_read_is_skipped() {
    let mut log = Log::new();
    assert_eq!(log.raw("token/abc", Some("garbage".into())), Effect::Unreadable);
    assert_eq!(log.raw("token/other", Some(token().encode())), Effect::Unreadable);
    assert_eq!(log.raw("nonsense", None), Effect::Unreadable);
    assert_eq!(log.raw("future/thing", None), Effect::Unchanged);
    assert_eq!(log.append(&token()), Effect::Changed);
}
