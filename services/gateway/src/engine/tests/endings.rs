//! How streams end: credentials, drains, clients that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use access::{Denied, Principal, Scope};
use journal::Topic;

use super::fake::document;
use super::sequences::{ROOM, append, live, opened, settled};
use super::world::{Client, World, run, small};
use crate::engine::worker::RECHECKS_PER_TURN;
use crate::subscription::{DeviceSet, Framing, TenantScope, Transport};

#[test]
fn a_revoked_credential_ends_its_streams_and_no_other() {
    run(async {
        let mut world = World::new(&small(), 0);
        let (mut theirs, mut other) = (live(), live());
        theirs.subscription.principal = Arc::new(Principal::system("theirs"));
        opened(&mut world, &mut theirs).await;
        opened(&mut world, &mut other).await;
        world
            .access
            .0
            .lock()
            .insert("theirs".into(), Err(Denied::Revoked));
        world.core.recheck();
        world.step(1).await;
        theirs.take();
        assert_eq!(theirs.controls().last(), Some(&"fault"));
        assert!(theirs.pipe.lock().shut);
        append(&world, 0, 1);
        settled(&mut world, &mut other).await;
        assert_eq!(other.places(), [(0, 0)]);
        assert_eq!(world.core.len(), 1);
    });
}

#[test]
fn only_a_stream_that_ends_by_intention_has_a_last_chunk() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = live();
        client.subscription.framing = Framing::Chunked;
        client.subscription.principal = Arc::new(Principal::system("theirs"));
        opened(&mut world, &mut client).await;
        assert!(client.pipe.lock().taken.ends_with(b"\r\n"));
        append(&world, 0, 1);
        settled(&mut world, &mut client).await;
        assert!(!client.pipe.lock().taken.ends_with(b"0\r\n\r\n"));
        world
            .access
            .0
            .lock()
            .insert("theirs".into(), Err(Denied::Revoked));
        world.core.recheck();
        world.step(1).await;
        client.take();
        assert_eq!(client.controls().last(), Some(&"fault"));
        assert_eq!(client.pipe.lock().taken, b"\r\n0\r\n\r\n");
    });
}

#[test]
fn a_stream_ends_when_its_credential_expires() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = live();
        let expires_at = (world.wall_ms() + 300) * 1_000;
        client.subscription.principal = Arc::new(Principal {
            expires_at: Some(expires_at),
            ..Principal::system("short")
        });
        opened(&mut world, &mut client).await;
        assert_eq!(world.core.len(), 1);
        for _ in 0..40 {
            world.step(10).await;
        }
        client.take();
        assert_eq!(client.controls().last(), Some(&"fault"));
        assert_eq!(world.core.len(), 0);
    });
}

#[test]
fn a_stream_ends_when_its_credential_expires_though_the_clock_was_set_back_meanwhile() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = live();
        client.subscription.principal = Arc::new(Principal {
            expires_at: Some((world.wall_ms() + 300) * 1_000),
            ..Principal::system("short")
        });
        opened(&mut world, &mut client).await;
        world.clock_set.fetch_sub(200_000, Ordering::Relaxed);
        for _ in 0..20 {
            world.step(20).await;
        }
        assert_eq!(world.core.len(), 1, "it has 100 ms left");
        for _ in 0..10 {
            world.step(20).await;
        }
        assert_eq!(world.core.len(), 0);
    });
}

#[test]
fn a_credential_that_is_revoked_while_its_stream_opens_gets_no_stream() {
    run(async {
        let mut world = World::new(&small(), 0);
        append(&world, 0, 3);
        let mut client = live().from(&[(0, 0)]);
        let revoked = ("tester".into(), Err(Denied::Revoked));
        world.access.0.lock().extend([revoked]);
        opened(&mut world, &mut client).await;
        assert_eq!(client.controls(), ["hello", "fault"]);
        assert!(client.places().is_empty());
        assert_eq!(world.core.len(), 0);
    });
}

#[test]
fn however_often_credentials_change_every_stream_is_looked_at() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut clients: Vec<Client> = (0..RECHECKS_PER_TURN + 10).map(|_| live()).collect();
        let last = clients.last_mut().expect("some");
        last.subscription.principal = Arc::new(Principal::system("last"));
        for client in &mut clients {
            world.open(client);
            world.give(client, ROOM);
        }
        let revoked = ("last".into(), Err(Denied::Revoked));
        world.access.0.lock().extend([revoked]);
        for _ in 0..4 {
            world.core.recheck();
            world.step(1).await;
        }
        assert_eq!(world.core.len(), RECHECKS_PER_TURN + 9);
    });
}

#[test]
fn a_scope_that_shrinks_narrows_streams_and_ends_those_bound_to_a_lost_device() {
    run(async {
        let mut world = World::new(&small(), 0);
        let granted = |devices: &[&str]| {
            let devices = devices.iter().map(|device| Box::from(*device)).collect();
            Arc::new(Principal {
                devices: Scope::Devices(Arc::new(devices)),
                ..Principal::system("narrow")
            })
        };
        let (mut wide, mut bound) = (live(), live());
        wide.subscription.principal = granted(&["a", "b"]);
        bound.subscription.principal = granted(&["a", "b"]);
        bound.subscription.selection.devices = DeviceSet::Set(Arc::new(BTreeSet::from(["a".into()])));
        bound.subscription.bound = true;
        opened(&mut world, &mut wide).await;
        opened(&mut world, &mut bound).await;
        world.access.0.lock().insert("narrow".into(), Ok(granted(&["b"])));
        world.core.recheck();
        world.step(1).await;
        bound.take();
        assert_eq!(bound.controls().last(), Some(&"fault"));
        let partition = journal::Placement::new("t", 3, 3).of("b");
        for device in ["t/a", "t/b"] {
            world
                .log
                .append(Topic::Events, partition, device, "telemetry", None);
        }
        world.log.reveal(Topic::Events, partition);
        settled(&mut world, &mut wide).await;
        assert_eq!(wide.places(), [(partition, 1)]);
    });
}

#[test]
fn an_answer_under_way_tells_nothing_of_what_is_out_of_scope_by_then() {
    run(async {
        let mut world = World::new(&small(), 0);
        for device in ["a", "b"] {
            let mut shelf = world.shelf.0.lock();
            shelf
                .documents
                .insert(format!("t/{device}"), document("t", device, 1));
        }
        let granted = |devices: &[&str]| {
            let devices = devices.iter().map(|device| Box::from(*device)).collect();
            Arc::new(Principal {
                devices: Scope::Devices(Arc::new(devices)),
                ..Principal::system("narrow")
            })
        };
        let mut client = live();
        client.subscription.principal = granted(&["a", "b"]);
        client.asks = vec!["a".into(), "b".into()];
        world.open(&mut client);
        world.access.0.lock().insert("narrow".into(), Ok(granted(&["b"])));
        world.core.recheck();
        let now_ms = world.now_ms();
        world.core.turn(now_ms);
        world.give(&mut client, ROOM);
        settled(&mut world, &mut client).await;
        let told = client.frames.iter().map(|frame| &frame.json["documents"]);
        let told: Vec<_> = told.filter(|documents| documents.is_array()).collect();
        assert_eq!(told, [&serde_json::json!(["b"])]);
    });
}

#[test]
fn a_stream_whose_principal_lost_its_tenant_or_reads_no_more_ends() {
    run(async {
        for change in [
            |principal: &mut Principal| principal.tenant = Some("other".into()),
            |principal: &mut Principal| principal.role = access::Role::Ingest,
        ] {
            let mut world = World::new(&small(), 0);
            let admin = Principal {
                role: access::Role::Admin,
                tenant: Some("t".into()),
                staff: false,
                superuser: false,
                ..Principal::system("admin")
            };
            let mut client = live();
            client.subscription.selection.tenant = TenantScope::One("t".into());
            client.subscription.principal = Arc::new(admin.clone());
            opened(&mut world, &mut client).await;
            let mut changed = Principal {
                permissions: Arc::new(BTreeSet::from(["command".into()])),
                ..admin
            };
            let allow = |world: &World, principal: &Principal| {
                let principal = Arc::new(principal.clone());
                world.access.0.lock().insert("admin".into(), Ok(principal));
            };
            allow(&world, &changed);
            world.core.recheck();
            world.step(1).await;
            assert_eq!(world.core.len(), 1, "a change that takes nothing ends nothing");
            change(&mut changed);
            allow(&world, &changed);
            world.core.recheck();
            world.step(1).await;
            client.take();
            assert_eq!(client.controls().last(), Some(&"fault"));
            assert_eq!(world.core.len(), 0);
        }
    });
}

#[test]
fn a_drain_ends_every_stream_within_its_time() {
    run(async {
        let mut world = World::new(&small(), 5);
        let mut clients: Vec<Client> = (0..30).map(|_| live()).collect();
        for client in &mut clients {
            opened(&mut world, client).await;
        }
        world.core.drain(1_000);
        world.step(300).await;
        let left = world.core.len();
        assert!(left > 5 && left < 30, "{left} are left: not all end at once");
        for _ in 0..80 {
            world.step(10).await;
        }
        assert_eq!(world.core.len(), 0);
        assert!(clients.iter().all(|client| client.pipe.lock().shut));
    });
}

#[test]
fn a_client_that_takes_nothing_for_too_long_is_given_up() {
    run(async {
        let settings = crate::settings::Settings {
            stalled_max: Duration::from_millis(300),
            ..small()
        };
        let mut world = World::new(&settings, 0);
        let mut client = live();
        world.open(&mut client);
        for _ in 0..250 {
            world.step(10).await;
        }
        assert_eq!(world.core.len(), 0);
        assert_eq!(world.metrics.ended.with_label_values(&["stalled"]).get(), 1);
    });
}

#[test]
fn a_websocket_whose_pings_stay_unanswered_is_closed() {
    run(async {
        let settings = crate::settings::Settings {
            ping: Duration::from_millis(100),
            ..small()
        };
        let mut world = World::new(&settings, 0);
        let mut client = live();
        client.subscription.transport = Transport::WebSocket;
        world.open(&mut client);
        world.give(&mut client, ROOM);
        let answer = |client: &Client| client.pipe.lock().input.extend(b"\x8a\x80\0\0\0\0");
        for _ in 0..100 {
            answer(&client);
            world.core.readable(client.token.unwrap());
            world.step(10).await;
        }
        assert_eq!(world.core.len(), 1, "its pings were answered");
        for _ in 0..300 {
            world.step(10).await;
        }
        assert_eq!(world.core.len(), 0);
    });
}
