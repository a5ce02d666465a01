use super::*;

fn principal(role: Role, devices: Scope) -> Principal {
    Principal {
        id: "t".into(),
        proof: Proof::Token,
        session: None,
        role,
        tenant: Some("acme".into()),
        devices,
        permissions: Arc::default(),
        staff: false,
        superuser: false,
        organizations: Arc::default(),
        issued_at: None,
        expires_at: None,
    }
}

fn only(device: &str) -> Scope {
    Scope::Devices(Arc::new(BTreeSet::from([device.into()])))
}

const EVERY_ROLE: [Role; 4] = [Role::Admin, Role::User, Role::Ingest, Role::Device];

#[test]
fn nothing_of_a_foreign_tenant_is_within_reach() {
    for role in EVERY_ROLE {
        let principal = principal(role, Scope::All);
        assert!(!principal.may_read("other", "d"));
        assert!(!principal.may_read_tenant("other"));
        assert!(!principal.may_command("other", "d"));
        assert!(!principal.may_receive_commands("other", "d"));
        assert!(!principal.may_administer("other"));
        for kind in Kind::ALL {
            assert!(!principal.may_write("other", "d", kind));
        }
        assert_eq!(principal.resolve_tenant(Some("other")), Err(TenantError::Foreign));
    }
}

#[test]
fn a_principal_without_a_tenant_reaches_nothing_unless_it_is_system_or_superuser() {
    for role in EVERY_ROLE {
        let stray = Principal {
            tenant: None,
            ..principal(role, Scope::All)
        };
        assert!(!stray.covers("acme", "d"));
        let superuser = Principal {
            superuser: true,
            ..stray
        };
        assert!(superuser.covers("acme", "d"));
    }
    assert!(Principal::system("s").covers("acme", "d"));
}

#[test]
fn who_may_send_what_is_the_table_of_the_design() {
    let from_devices = |kind| !matches!(kind, Kind::Device | Kind::Deleted);
    for kind in Kind::ALL {
        let sends = |role| principal(role, Scope::All).may_write("acme", "d", kind);
        assert!(sends(Role::Admin));
        assert!(Principal::system("s").may_write("acme", "d", kind));
        assert!(!sends(Role::User));
        assert_eq!(sends(Role::Ingest), from_devices(kind));
        assert_eq!(sends(Role::Device), from_devices(kind));
    }
}

#[test]
fn a_device_is_itself_only() {
    let device = Principal::device("acme", "bus-14", 0, None);
    assert!(device.may_write("acme", "bus-14", Kind::Telemetry));
    assert!(!device.may_write("acme", "bus-15", Kind::Telemetry));
    assert!(device.may_receive_commands("acme", "bus-14"));
    assert!(!device.may_receive_commands("acme", "bus-15"));
    assert!(!device.may_read("acme", "bus-14"));
}

#[test]
fn a_user_reads_within_its_devices_and_commands_where_granted() {
    let user = principal(Role::User, only("a"));
    assert!(user.may_read("acme", "a"));
    assert!(!user.may_read("acme", "b"));
    assert!(!user.may_command("acme", "a"));
    let granted = Principal {
        permissions: Arc::new(BTreeSet::from([COMMAND.into()])),
        ..user
    };
    assert!(granted.may_command("acme", "a"));
    assert!(!granted.may_command("acme", "b"));
    assert!(!granted.may_administer("acme"));
}

#[test]
fn ingest_writes_and_does_not_read() {
    let ingest = principal(Role::Ingest, Scope::All);
    assert!(ingest.may_write("acme", "any", Kind::Location));
    assert!(!ingest.may_read("acme", "any"));
    assert!(!ingest.may_receive_commands("acme", "any"));
}

#[test]
fn an_empty_scope_is_no_device() {
    let user = principal(Role::User, Scope::Devices(Arc::default()));
    assert!(!user.may_read("acme", "a"));
}

#[test]
fn a_tenant_is_the_own_one_or_must_be_named() {
    let admin = principal(Role::Admin, Scope::All);
    assert_eq!(admin.resolve_tenant(None).as_deref(), Ok("acme"));
    assert_eq!(admin.resolve_tenant(Some("acme")).as_deref(), Ok("acme"));
    let system = Principal::system("s");
    assert_eq!(system.resolve_tenant(None), Err(TenantError::Required));
    assert_eq!(system.resolve_tenant(Some("any")).as_deref(), Ok("any"));
    assert_eq!(system.resolve_tenant(Some("a/b")), Err(TenantError::Invalid));
    assert_eq!(system.resolve_tenant(Some("")), Err(TenantError::Invalid));
}

#[test]
fn a_scope_includes_its_parts_only() {
    assert!(Scope::All.includes(&only("a")));
    assert!(only("a").includes(&only("a")));
    assert!(only("a").includes(&Scope::Devices(Arc::default())));
    assert!(!only("a").includes(&only("b")));
    assert!(!only("a").includes(&Scope::All));
}
