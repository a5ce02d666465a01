//! Two tenants whose devices have the same names, everything that happens to them, and credentials of
//! everybody for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use access::jwt::Algorithm;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::Api;
use tests::issuer::{Issuer, claims, jwks};
use tests::wait::until;
use tests::world::{TENANT, World};

use super::row::Grant;

/// The tenant of those who look.
pub(in crate::access) const OWN: &str = TENANT;
/// The tenant that nobody else sees anything of.
pub(in crate::access) const FOREIGN: &str = "globex";
/// Pages that may use cookies.
pub(in crate::access) const PAGE: &str = "https://app.example.com";

/// Devices of both.
const SHARED: [&str; 4] = ["van", "bus", "tram", "spare"];
/// A device that some of its tenant may not see.
pub(in crate::access) const HIDDEN: &str = "hidden";
/// A device that only the other tenant has.
pub(in crate::access) const ELSEWHERE: &str = "elsewhere";

/// The tenants, and who issues JWTs.
pub(in crate::access) struct Cast {
    pub(in crate::access) world: World,
    pub(in crate::access) foreign: Api,
    issuer: Issuer,
    made: AtomicUsize,
    _dir: tempfile::TempDir,
}

/// Whom a credential is for.
#[derive(Debug, Clone)]
pub(in crate::access) struct Who {
    pub(in crate::access) grant: Grant,
    pub(in crate::access) tenant: &'static str,
    /// Devices that it is limited to.
    pub(in crate::access) devices: Option<Vec<String>>,
    /// The device, where it is one.
    pub(in crate::access) device: String,
    /// Whether it is over once [`Cast::wait`] has returned.
    pub(in crate::access) is_short: bool,
}

/// A credential, and where it is taken back.
#[derive(Debug, Clone)]
pub(in crate::access) struct Credential {
    pub(in crate::access) text: String,
    pub(in crate::access) path: String,
}

/// What marks whatever happens to a device of a tenant, in round `n`.
pub(in crate::access) fn mark(tenant: &str, name: &str, n: usize) -> String {
    let whose = match (tenant, name) {
        (OWN, HIDDEN) => "hiddenmark",
        (OWN, _) => "ownmark",
        _ => "foreignmark",
    };
    format!("{whose}_{n}x")
}

/// The id of a device.
pub(in crate::access) fn id(name: &str) -> String {
    format!("yard/{name}")
}

impl Cast {
    /// Everybody on one node, and the first round.
    pub(in crate::access) async fn start() -> Self {
        let issuer = Issuer::new(Algorithm::Es256, "k1");
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("jwks.json");
        std::fs::write(&file, jwks(&[&issuer])).expect("written");
        let world = World::with(|config| {
            config.jwt.jwks_file = Some(file);
            config.front_door.allowed_origins = vec![PAGE.to_owned()];
            config.failed_authentications_per_minute = u32::MAX;
            config.open.telemetry.streams_max = 10_000;
        })
        .await;
        let system = &world.node.api;
        let foreign = system.token(&json!({"role": "admin", "tenant": FOREIGN})).await;
        let cast = Self {
            foreign: world.admin.with_token(&foreign),
            world,
            issuer,
            made: AtomicUsize::new(0),
            _dir: dir,
        };
        let jwt = cast.jwt(OWN, "customer", 60, "first");
        let jwt = cast.world.admin.with_token(&jwt);
        until("the keys of JWTs are read", async || {
            (jwt.get("/v1/devices").await.status == 200).then_some(())
        })
        .await;
        cast
    }

    /// The things that are asked for beside what happens: rules, alerts in every state, commands.
    pub(in crate::access) async fn furnish(&self) {
        for (api, tenant, names) in self.tenants() {
            for name in names {
                let mark = mark(tenant, name, 0);
                for rule in ["rule", "delete"] {
                    let body =
                        json!({"when": "never_reported", "alert_type": "X", "severity": 1, "summary": mark});
                    let path = format!("/v1/rules/{rule}-{name}");
                    assert_eq!(api.put(&path, &body).await.status, 201);
                }
                let alert = |which: &str, status: &str| {
                    json!({"device": id(name), "kind": "alert", "alert_id": format!("{which}-{name}"),
                        "alert_type": "HOT", "severity": 3, "summary": mark, "status": status})
                };
                let events = [
                    // An alert makes no device.
                    json!({"device": id(name), "kind": "telemetry", "fields": {"note": mark}}),
                    alert("ack", "OPEN"),
                    alert("close", "OPEN"),
                    alert("past", "OPEN"),
                    alert("past", "CLOSED"),
                ];
                api.send_events(&events).await;
            }
        }
        self.round(0).await;
        // They name themselves, so that tokens are told apart too.
        for (tenant, n) in [(OWN, 0), (FOREIGN, 0)] {
            self.thing(tenant, &mark(tenant, "", n)).await;
        }
    }

    /// Everything that can happen happens to every device of both; waits until it shows in the tables.
    pub(in crate::access) async fn round(&self, n: usize) {
        for (api, tenant, names) in self.tenants() {
            let events: Vec<Value> = names
                .iter()
                .flat_map(|name| happens(name, &mark(tenant, name, n), n))
                .collect();
            let cursor = api.send_events(&events).await;
            for name in names {
                let path = format!("/v1/devices?id={}&min_cursor={cursor}", id(name));
                let answer = api.get(&path).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
            }
        }
    }

    fn tenants(&self) -> [(&Api, &'static str, Vec<&'static str>); 2] {
        let with = |name| SHARED.into_iter().chain([name]).collect();
        [
            (&self.foreign, FOREIGN, with(ELSEWHERE)),
            (&self.world.admin, OWN, with(HIDDEN)),
        ]
    }

    /// A new credential.
    pub(in crate::access) async fn credential(&self, who: &Who) -> Credential {
        let body = match who.grant {
            Grant::System => {
                return Credential {
                    text: self.world.node.api.token.clone(),
                    path: String::new(),
                };
            }
            Grant::Jwt(role) => {
                let sub = format!("somebody-{}", self.made.fetch_add(1, Ordering::Relaxed));
                let lasts_s = if who.is_short { -3_600 } else { 3_600 };
                return Credential {
                    text: self.jwt(who.tenant, role, lasts_s, &sub),
                    path: format!("/v1/tokens/jwt%3A{sub}"),
                };
            }
            Grant::Device => json!({"role": "device", "devices": [id(&who.device)]}),
            Grant::Nobody | Grant::Token { .. } => members(who),
        };
        self.token(who, body).await
    }

    async fn token(&self, who: &Who, mut body: Value) -> Credential {
        body["tenant"] = who.tenant.into();
        if who.is_short {
            body["expires"] = "60s".into();
        }
        let made = self.world.node.api.post("/v1/tokens", &body).await;
        assert_eq!(made.status, 201, "{body}: {}", made.text);
        let text = |name: &str| made.json[name].as_str().expect("a text").to_owned();
        Credential {
            path: format!("/v1/tokens/{}", text("id")),
            text: text("token"),
        }
    }

    /// A token to be looked at, changed or revoked: its id.
    pub(in crate::access) async fn thing(&self, tenant: &str, permission: &str) -> String {
        let body = json!({"role": "user", "tenant": tenant, "permissions": [permission]});
        let made = self.world.node.api.post("/v1/tokens", &body).await;
        made.json["id"].as_str().expect("an id").to_owned()
    }

    /// A session of whoever has that credential.
    pub(in crate::access) async fn session(&self, credential: &str) -> String {
        let api = self.world.admin.with_token(credential);
        let made = api.send(api.request(Method::POST, "/v1/session")).await;
        let cookie = made.headers["set-cookie"].to_str().expect("text");
        let value = cookie.split_once('=').expect("a cookie").1;
        value.split(';').next().unwrap_or_default().to_owned()
    }

    fn jwt(&self, tenant: &str, role: &str, lasts_s: i64, sub: &str) -> String {
        let mut claims = claims(tenant, role, lasts_s);
        claims["sub"] = sub.into();
        // What is issued in the second of its revocation is not older than that.
        claims["iat"] = json!(claims["iat"].as_i64().expect("a time") - 10);
        self.issuer.sign(&claims)
    }

    /// Lets the time pass that short credentials have.
    pub(in crate::access) fn wait(&self) {
        self.world.clock.advance(Duration::from_secs(61));
    }

    /// Takes it back.
    pub(in crate::access) async fn revoke(&self, credential: &Credential) {
        let answer = self.world.node.api.delete(&credential.path).await;
        assert_eq!(answer.status, 204, "{}: {}", credential.path, answer.text);
    }

    /// Gives it other members.
    pub(in crate::access) async fn change(&self, credential: &Credential, members: &Value) {
        let answer = self.world.node.api.patch(&credential.path, members).await;
        assert_eq!(answer.status, 200, "{}: {}", credential.path, answer.text);
    }
}

/// The members of an API token, without its tenant.
pub(in crate::access) fn members(who: &Who) -> Value {
    let (role, staff, permissions) = match who.grant {
        Grant::Token {
            role,
            staff,
            permissions,
        } => (role, staff, permissions),
        Grant::Nobody | Grant::Device | Grant::Jwt(_) | Grant::System => ("user", false, &[][..]),
    };
    let mut members = json!({"role": role, "staff": staff, "permissions": permissions});
    if staff {
        members["organizations"] = json!([who.tenant]);
    }
    if let Some(devices) = &who.devices {
        members["devices"] = json!(devices);
    }
    members
}

/// The same credential with another secret.
pub(in crate::access) fn forged(credential: &str) -> String {
    let at = credential.len() - 3;
    let other = if credential[at..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &credential[..at], &credential[at + 1..])
}

/// What happens to a device.
fn happens(name: &str, mark: &str, n: usize) -> Vec<Value> {
    let place = 10.0 + n as f64;
    let step = |status: &str, more: Value| {
        let mut event = json!({"kind": "command", "command_id": format!("command-{name}-{n}"), "type": "look",
            "input": {"note": mark}, "status": status});
        merge(&mut event, more);
        event
    };
    let mut events = vec![
        json!({"kind": "telemetry", "fields": {mark: place, "note": mark}}),
        json!({"kind": "log", "message": mark}),
        json!({"kind": "lock", "locked": true, "source": "keypad", "code": mark}),
        json!({"kind": "entity", "entity_id": "door", "value": mark}),
        json!({"kind": "location", "location_id": format!("spot-{name}"), "name": mark,
            "geometry": {"type": "Point", "coordinates": [place, place]}}),
        json!({"kind": "alert", "alert_id": format!("alert-{name}-{n}"), "alert_type": "HOT", "severity": 3,
            "summary": mark, "status": "OPEN"}),
        step("queued", json!({})),
    ];
    // Those of the others wait for their devices.
    if !matches!(name, "bus" | "tram") {
        events.push(step("success", json!({"output": mark})));
    }
    for event in &mut events {
        event["device"] = id(name).into();
    }
    events
}

fn merge(event: &mut Value, more: Value) {
    if let (Value::Object(event), Value::Object(more)) = (event, more) {
        event.extend(more);
    }
}
