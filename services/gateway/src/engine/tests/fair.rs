//! Who is behind takes a bounded part of each turn, so that what comes reaches live streams between.

use std::time::Duration;

use journal::Offset;

use super::client::Frame;
use super::sequences::{ROOM, append, live, opened};
use super::world::{Client, World, run, small};
use crate::settings::Settings;

const BEHIND: usize = 50;
const RECORDS: usize = 40;

fn read_by(clients: &mut [Client]) -> usize {
    let read = |client: &mut Client| {
        client.take();
        client.places().len()
    };
    clients.iter_mut().map(read).sum()
}

#[test]
fn however_many_streams_may_read_on_at_once_a_live_one_waits_for_two_slices_at_most() {
    run(async {
        let settings = small();
        let mut world = World::new(&settings, 0);
        append(&world, 0, RECORDS);
        let mut good = live();
        opened(&mut world, &mut good).await;
        let mut behind: Vec<Client> = (0..BEHIND).map(|_| live().from(&[(0, 0)])).collect();
        for client in &mut behind {
            world.open(client);
        }
        world.settle(&mut behind).await;
        for client in &mut behind {
            world.give(client, ROOM);
        }
        assert_eq!(read_by(&mut behind), 0, "they are told apart from being served");
        append(&world, 1, 1);
        let mut read = 0;
        while !good
            .take()
            .iter()
            .any(|frame| Frame::place(frame) == Some((1, 0)))
        {
            world.step(1).await;
            let now = read_by(&mut behind);
            // A slice that finds the budget not yet spent may be a whole one.
            assert!(now - read <= 2 * settings.slice_records_max, "{read} then {now}");
            read = now;
        }
        assert!(read < BEHIND * RECORDS, "the live one came last");
        world.settle(&mut behind).await;
        assert_eq!(read_by(&mut behind), BEHIND * (RECORDS + 1));
    });
}

#[test]
fn blocks_that_nobody_has_taken_up_yet_are_few_however_many_are_asked_for() {
    run(async {
        let settings = Settings {
            block_answers_max: 3,
            // Nothing is shared: the cache forgets at once.
            block_cache_bytes_max: 0,
            ..small()
        };
        let mut world = World::new(&settings, 0);
        let records = BEHIND * 8;
        append(&world, 0, records);
        let start = |number: usize| number as Offset * 8;
        let mut behind: Vec<Client> = (0..BEHIND)
            .map(|number| live().from(&[(0, start(number))]))
            .collect();
        for client in &mut behind {
            world.open(client);
            world.give(client, ROOM);
        }
        while *world.log.reads.lock() == 0 {
            world.step(1).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The worker's last turn took one up.
        let reads = *world.log.reads.lock();
        assert!(reads <= settings.block_answers_max + 1, "{reads}");
        world.settle(&mut behind).await;
        for (number, client) in behind.iter().enumerate() {
            let expected: Vec<_> = (start(number)..records as Offset)
                .map(|offset| (0, offset))
                .collect();
            assert_eq!(client.places(), expected);
        }
    });
}
