//! Conflated streams whose clients choose filters while they run, as the filter dialect's do: what is chosen
//! in the beginning holds from the cursor on, and a client that hardly reads has the newest of every device
//! and costs little.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Cursor, Offset};
use proptest::prelude::*;

use super::client::Frame;
use super::filters::{Author, Move, Newest, check, client, note, stands, zone};
use super::sequences::{ROOM, settled};
use super::world::{Client, World, run, small};
use crate::filters::Filters;
use crate::settings::Settings;
use crate::subscription::Delivery;

#[derive(Debug, Clone)]
enum Op {
    Drive(Vec<Move>),
    Delete { device: u8 },
    Reveal,
    Step { ms: u64 },
    Give { bytes: usize },
    Cut,
}

fn op() -> impl Strategy<Value = Op> {
    let drive = prop::collection::vec((0..6_u8, 0..5_i64, zone()), 1..8);
    prop_oneof![
        8 => drive.prop_map(Op::Drive),
        1 => (0..6_u8).prop_map(|device| Op::Delete { device }),
        4 => Just(Op::Reveal),
        8 => (0..40_u64).prop_map(|ms| Op::Step { ms }),
        8 => (1..1_500_usize).prop_map(|bytes| Op::Give { bytes }),
        2 => Just(Op::Cut),
    ]
}

fn filters(texts: &[&str]) -> Filters {
    let parsed = texts.iter().map(|text| text.parse().unwrap());
    parsed.fold(Filters::silent(), |filters, filter| filters.with(filter))
}

/// One filter after the other, each beside those before it.
fn choices() -> Vec<Filters> {
    let all = ["speed > 3", "@zone = \"A\" and zone != \"A\"", "id = \"d2\""];
    (1..=all.len()).map(|count| filters(&all[..count])).collect()
}

fn chooser(apart: Duration) -> Client {
    let mut client = client(Delivery::Latest, Filters::silent());
    client.subscription.chooses = true;
    client.choices = (apart, choices());
    client
}

/// What a client has, and in which order it came.
#[derive(Default)]
struct Has {
    newest: Newest,
    last: BTreeMap<String, Offset>,
    count: usize,
    /// Only what is shown has one: control frames stand before choices, too.
    cursor: Option<Cursor>,
}

impl Has {
    /// Takes what has come. With cuts things come again; without, nothing of a device is older than what came
    /// before it.
    fn take(&mut self, author: &Author, client: &mut Client, is_cut: bool) -> Vec<Frame> {
        let mut frames = client.take();
        frames.retain(|frame| stands(author, frame).is_some());
        for frame in &frames {
            let (said, left) = stands(author, frame).unwrap();
            self.count += 1;
            self.cursor.clone_from(&frame.cursor);
            note(&mut self.newest, said, left);
            let last = self.last.insert(said.key.clone(), said.offset);
            assert!(
                is_cut || last.is_none_or(|last| last < said.offset),
                "{} at {} after {last:?}",
                said.key,
                said.offset
            );
        }
        client.cursor.clone_from(&self.cursor);
        frames
    }
}

fn told(author: &Author, filters: &Filters) -> Newest {
    let mut told = Newest::new();
    for (said, left) in author.told(filters) {
        note(&mut told, said, left);
    }
    told
}

async fn scenario(settings: Settings, apart: Duration, seed: u64, cuts: bool, ops: Vec<Op>) {
    let (mut world, mut author) = (World::new(&settings, seed), Author::default());
    let all = choices().pop().unwrap();
    let (mut client, mut has) = (chooser(apart), Has::default());
    world.open(&mut client);
    // With cuts, every choice is made before anything is read: a cursor tells the truth of all of them.
    let check = |author: &Author, has: &Has, frames: &[Frame]| {
        for frame in frames.iter().filter(|_| cuts) {
            check(author, &all, &has.newest, frame);
        }
    };
    for op in ops {
        match op {
            Op::Drive(moves) => moves.into_iter().for_each(|step| author.drive(&world, step)),
            Op::Delete { device } => author.delete(&world, device),
            Op::Reveal => author.reveal(&world),
            Op::Step { ms } => world.step(ms).await,
            Op::Give { bytes } => world.give(&mut client, bytes),
            Op::Cut if cuts => {
                let frames = has.take(&author, &mut client, cuts);
                check(&author, &has, &frames);
                world.cut(&mut client);
                world.open(&mut client);
            }
            Op::Cut => {}
        }
        let frames = has.take(&author, &mut client, cuts);
        check(&author, &has, &frames);
    }
    author.reveal(&world);
    world.give(&mut client, usize::MAX / 4);
    for _ in 0..3_000 {
        world.step(1).await;
        let frames = has.take(&author, &mut client, cuts);
        check(&author, &has, &frames);
    }
    assert_eq!(has.newest, told(&author, &all));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 1_000, cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn choices_made_one_soon_after_the_other_hold_from_the_cursor_on_wherever_it_is_cut(
        devices_max in 1..6_usize, ring_bytes_max in 0..20_000_usize, apart in 0..15_u64, seed in 0..1_000_u64,
        ops in prop::collection::vec(op(), 1..50),
    ) {
        // Choices are timers here, which fire with a tick and a step of delay: all of them come within the pause.
        let choice_pause = Duration::from_millis(500);
        let settings = Settings { latest_devices_max: devices_max, ring_bytes_max, choice_pause, ..small() };
        run(scenario(settings, Duration::from_millis(apart), seed, true, ops));
    }

    #[test]
    fn choices_made_later_hold_too_and_nothing_of_a_device_comes_after_what_is_newer(
        devices_max in 1..6_usize, ring_bytes_max in 0..20_000_usize, apart in 60..400_u64, seed in 0..1_000_u64,
        ops in prop::collection::vec(op(), 1..50),
    ) {
        let settings = Settings { latest_devices_max: devices_max, ring_bytes_max, ..small() };
        run(scenario(settings, Duration::from_millis(apart), seed, false, ops));
    }
}

#[test]
fn a_choice_after_the_beginning_holds_from_then_on() {
    run(async {
        let settings = Settings {
            choice_window: Duration::from_millis(50),
            ..small()
        };
        let (mut world, mut author) = (World::new(&settings, 0), Author::default());
        author.drive(&world, (1, 9, None));
        author.reveal(&world);
        let mut client = chooser(Duration::from_millis(100));
        world.open(&mut client);
        world.give(&mut client, ROOM);
        for _ in 0..500 {
            world.step(1).await;
        }
        author.drive(&world, (2, 9, None));
        author.reveal(&world);
        settled(&mut world, &mut client).await;
        assert_eq!(client.places().len(), 1);
    });
}

/// Devices of a fleet that is reported often to a client that reads little.
const FLEET: u8 = 40;

#[test]
fn a_client_that_takes_a_hundredth_has_the_newest_of_every_device_and_costs_little() {
    run(async {
        let settings = Settings {
            latest_devices_max: 1_024,
            latest_bytes_max: 8 << 10,
            ring_bytes_max: 64 << 10,
            turn_bytes_max: 4 << 10,
            ..Settings::default()
        };
        let (mut world, mut author) = (World::new(&settings, 0), Author::default());
        let (mut client, mut has) = (chooser(Duration::ZERO), Has::default());
        world.open(&mut client);
        world.give(&mut client, 1_000);
        let frame_bytes = 300;
        for round in 0..200_i64 {
            for device in 0..FLEET {
                // Each device leaves the zone and enters it again between two frames that the client takes.
                let zone = Some(if (round + i64::from(device)) % 2 == 0 {
                    "A"
                } else {
                    "B"
                });
                author.drive(&world, (device, round % 7, zone));
            }
            author.reveal(&world);
            world.step(2).await;
            world.give(&mut client, usize::from(FLEET) * frame_bytes / 100);
            has.take(&author, &mut client, false);
            let token = client.token.unwrap();
            let held = world.core.held_bytes(token) + world.core.pending_bytes(token);
            // One record may pass each of the bounds.
            let most = settings.latest_bytes_max + settings.turn_bytes_max + 4_000;
            assert!(held <= most, "{held} bytes are held in round {round}");
        }
        let all = author.said.len();
        assert!(has.count < all / 10, "{} of {all}", has.count);
        world.give(&mut client, usize::MAX / 4);
        for _ in 0..2_000 {
            world.step(1).await;
            has.take(&author, &mut client, false);
        }
        assert_eq!(has.newest, told(&author, &choices().pop().unwrap()));
    });
}
