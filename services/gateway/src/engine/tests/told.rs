//! What a conversation says of records: it stands where they stand, is never sent without what comes before
//! it, and a client that does not read holds little of it.

use journal::Topic;

use super::sequences::{ROOM, live, opened, settled};
use super::world::{Client, World, run, small};
use crate::dialect::Message;
use crate::settings::Settings;

fn append(world: &World, kinds: &[&str]) {
    for kind in kinds {
        world.log.append(Topic::Events, 0, "t/a", kind, None);
    }
    world.log.reveal(Topic::Events, 0);
}

fn offsets(client: &Client) -> Vec<u64> {
    client.places().into_iter().map(|(_, offset)| offset).collect()
}

async fn steps(world: &mut World, count: usize) {
    for _ in 0..count {
        world.step(1).await;
    }
}

/// The client's socket is full, takes so many bytes more, and is cut.
async fn cut_after(bytes: usize, is_live: bool) -> Vec<u64> {
    let kinds = ["telemetry", "presence", "telemetry", "presence", "telemetry"];
    let mut world = World::new(&small(), 0);
    let mut client = if is_live { live() } else { live().from(&[(0, 0)]) }.told();
    if is_live {
        opened(&mut world, &mut client).await;
        client.pipe.lock().room = 0;
        append(&world, &kinds);
    } else {
        append(&world, &kinds);
        world.open(&mut client);
    }
    steps(&mut world, 10).await;
    world.give(&mut client, bytes);
    steps(&mut world, 10).await;
    world.cut(&mut client);
    opened(&mut world, &mut client).await;
    settled(&mut world, &mut client).await;
    offsets(&client)
}

#[test]
fn a_live_client_that_is_cut_anywhere_has_what_is_told_and_what_is_shown_once_and_in_order() {
    for bytes in (0..1_400).step_by(7) {
        assert_eq!(
            run(cut_after(bytes, true)),
            [0, 1, 2, 3, 4],
            "after {bytes} bytes"
        );
    }
}

#[test]
fn a_client_that_reads_on_and_is_cut_anywhere_has_them_once_and_in_order_too() {
    for bytes in (0..1_600).step_by(7) {
        assert_eq!(
            run(cut_after(bytes, false)),
            [0, 1, 2, 3, 4],
            "after {bytes} bytes"
        );
    }
}

#[test]
fn a_client_that_does_not_read_holds_little_of_what_it_is_told() {
    for is_live in [true, false] {
        run(async {
            let settings = Settings {
                ring_bytes_max: 1 << 20,
                ..Settings::default()
            };
            let mut world = World::new(&settings, 0);
            let mut client = if is_live { live() } else { live().from(&[(0, 0)]) }.told();
            if is_live {
                opened(&mut world, &mut client).await;
                client.pipe.lock().room = 0;
            }
            append(&world, &["presence"; 1_000]);
            if !is_live {
                world.open(&mut client);
                world.give(&mut client, 1_000);
            }
            steps(&mut world, 50).await;
            let held = world.core.held_bytes(client.token.unwrap());
            assert!(held < 6_000, "{held} bytes are held");
            world.give(&mut client, ROOM);
            settled(&mut world, &mut client).await;
            assert_eq!(offsets(&client), (0..1_000).collect::<Vec<u64>>());
        });
    }
}

#[test]
fn a_client_that_is_told_much_at_first_may_take_its_time() {
    run(async {
        let settings = Settings {
            replies_max: 2,
            ..Settings::default()
        };
        let mut world = World::new(&settings, 0);
        let mut client = live();
        let message = |number: usize| Message {
            event: None,
            text: format!("{{\"number\":{number}}}").into(),
            cursor: None,
        };
        client.first = (0..100).map(message).collect();
        world.open(&mut client);
        steps(&mut world, 10).await;
        world.give(&mut client, ROOM);
        settled(&mut world, &mut client).await;
        let numbers = client
            .frames
            .iter()
            .filter_map(|frame| frame.json["number"].as_u64());
        assert_eq!(numbers.collect::<Vec<u64>>(), (0..100).collect::<Vec<u64>>());
    });
}
