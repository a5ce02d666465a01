//! Every row of the table of cursors.

use super::*;

const NOW: i64 = 1_000_000_000;
const LAG: i64 = 100_000_000;
const SLACK: i64 = 60_000;
const EPOCH: Epoch = Epoch(7);
/// The time of [`cursor`].
const THEN: i64 = NOW - 5_000;

/// A log of which everything is known: partitions 1 and 4, offsets 10 to 100, the time index as a
/// function.
struct Log {
    bounds: Vec<Option<Bounds>>,
    offset_at: fn(i64) -> Option<Offset>,
    ahead_for_good: bool,
}

const GOOD: Bounds = Bounds { start: 10, end: 100 };

impl Default for Log {
    fn default() -> Self {
        Self {
            bounds: vec![Some(GOOD), Some(GOOD)],
            offset_at: |time_ms| Some(if time_ms < NOW - LAG { 20 } else { 60 }),
            ahead_for_good: false,
        }
    }
}

impl Log {
    /// Resolves, answering every question but those that come a second time.
    fn resolve(&self, view: View, snapshot: bool, from: &From) -> Result<Start, Pending> {
        let asked = Asked {
            view,
            from,
            snapshot,
            partitions: &[1, 4],
            epoch: EPOCH,
            now_ms: NOW,
            slack_ms: SLACK,
            compaction_lag_ms: LAG,
        };
        let mut facts = Facts {
            ahead_for_good: self.ahead_for_good,
            ..Facts::default()
        };
        for _ in 0..10 {
            match resolve(&asked, &facts) {
                Err(Pending::Needs(Question::Bounds)) => facts.bounds = Some(self.bounds.clone()),
                Err(Pending::Needs(Question::SourceBounds)) => {
                    facts.source_bounds = Some(self.bounds.clone())
                }
                Err(Pending::Needs(Question::OffsetsAt(time_ms))) => {
                    facts
                        .offsets_at
                        .insert(time_ms, vec![(self.offset_at)(time_ms); 2]);
                }
                Err(Pending::Needs(Question::FirstTimes(partitions))) => {
                    facts.first_times = Some(
                        partitions
                            .into_iter()
                            .map(|partition| (partition, NOW - 2_000))
                            .collect(),
                    );
                }
                decided => return decided,
            }
        }
        panic!("it asks for ever");
    }

    fn start(&self, view: View, snapshot: bool, from: From) -> Start {
        self.resolve(view, snapshot, &from).unwrap()
    }
}

fn cursor(topic: Topic, positions: &[(Partition, Offset)]) -> Cursor {
    Cursor {
        epoch: EPOCH,
        time_ms: THEN,
        topic,
        positions: positions.to_vec(),
        snapshot: None,
    }
}

fn at(offset: Offset) -> Vec<(Partition, Option<Offset>)> {
    vec![(1, Some(offset)), (4, Some(offset))]
}

const ENDS: [(Partition, Offset); 2] = [(1, 100), (4, 100)];

#[test]
fn without_a_cursor_it_is_live_and_asks_nothing() {
    let unknown = Log {
        bounds: vec![None, None],
        ..Log::default()
    };
    assert_eq!(unknown.start(View::Events, false, From::Live), Start::live(NOW));
}

#[test]
fn an_unreadable_header_is_a_reset_and_then_live() {
    let start = Log::default().start(View::Events, false, From::Unreadable);
    assert_eq!(
        start.reset.as_ref().map(|reset| reset.reason),
        Some(ResetReason::Invalid)
    );
    assert_eq!(start.positions, []);
}

#[test]
fn a_snapshot_is_pinned_by_the_engine() {
    let start = Log::default().start(View::Devices, true, From::Live);
    assert_eq!(start.snapshot, Some(SnapshotStart::New));
    assert_eq!((start.positions, start.ends), (vec![], ENDS.to_vec()));
}

#[test]
fn earliest_is_the_first_record_kept() {
    let start = Log::default().start(View::Events, false, From::Earliest);
    assert_eq!((start.positions, start.ends), (at(10), ENDS.to_vec()));
    let silent = Log {
        bounds: vec![Some(GOOD), None],
        ..Log::default()
    };
    let start = silent.start(View::Events, false, From::Earliest);
    assert_eq!(start.positions, [(1, Some(10)), (4, Some(0))]);
}

#[test]
fn a_time_is_answered_by_the_time_index() {
    let start = Log::default().start(View::Events, false, From::Time(THEN));
    assert_eq!(
        (start.positions, start.time_ms, start.reset),
        (at(60), THEN, None)
    );
}

#[test]
fn a_good_cursor_continues_at_its_offsets() {
    for (view, topic) in [(View::Events, Topic::Events), (View::Devices, Topic::State)] {
        let start = Log::default().start(view, false, From::Cursor(cursor(topic, &[(1, 70), (4, 100)])));
        assert_eq!(start.positions, [(1, Some(70)), (4, Some(100))]);
        assert_eq!(start.ends, ENDS);
        assert_eq!(
            (start.reset, start.snapshot, start.from_time),
            (None, None, vec![])
        );
        assert_eq!(start.time_ms, THEN);
    }
}

#[test]
fn partitions_out_of_scope_are_left_out() {
    let cursor = cursor(Topic::Events, &[(0, 5), (1, 70), (4, 70), (9, 70)]);
    assert_eq!(
        Log::default()
            .start(View::Events, false, From::Cursor(cursor))
            .positions,
        at(70)
    );
}

#[test]
fn a_partition_that_does_not_answer_continues_all_the_same() {
    let silent = Log {
        bounds: vec![Some(GOOD), None],
        ..Log::default()
    };
    for (view, topic) in [(View::Events, Topic::Events), (View::Devices, Topic::State)] {
        let start = silent.start(view, false, From::Cursor(cursor(topic, &[(1, 70), (4, 70)])));
        assert_eq!((start.positions, start.ends), (at(70), vec![(1, 100)]));
    }
}

#[test]
fn trimmed_events_continue_at_the_first_one_kept_and_say_so() {
    let start = Log::default().start(
        View::Events,
        false,
        From::Cursor(cursor(Topic::Events, &[(1, 3), (4, 70)])),
    );
    assert_eq!(start.positions, [(1, Some(10)), (4, Some(70))]);
    let reset = start.reset.unwrap();
    assert_eq!(reset.reason, ResetReason::Trimmed);
    assert_eq!(reset.requested, [(1, THEN)]);
    assert_eq!(reset.available, [(1, NOW - 2_000)]);
    assert!(!reset.duplicates);
}

#[test]
fn trimmed_devices_get_a_snapshot() {
    let start = Log::default().start(
        View::Devices,
        false,
        From::Cursor(cursor(Topic::State, &[(1, 3), (4, 70)])),
    );
    assert_eq!(start.snapshot, Some(SnapshotStart::New));
    assert_eq!(start.reset.unwrap().reason, ResetReason::Trimmed);
}

fn old(topic: Topic, offset: Offset) -> From {
    From::Cursor(Cursor {
        time_ms: NOW - LAG - 1,
        ..cursor(topic, &[(1, 60), (4, offset)])
    })
}

#[test]
fn devices_older_than_the_compaction_lag_get_a_snapshot() {
    let start = Log::default().start(View::Devices, false, old(Topic::State, 59));
    assert_eq!(start.snapshot, Some(SnapshotStart::New));
    let reset = start.reset.unwrap();
    assert_eq!((reset.reason, reset.requested.len()), (ResetReason::Compacted, 2));
}

#[test]
fn an_old_cursor_with_nothing_old_after_it_is_good() {
    let start = Log::default().start(View::Devices, false, old(Topic::State, 60));
    assert_eq!((start.positions, start.reset), (at(60), None));
}

#[test]
fn when_nobody_knows_what_is_old_it_counts_as_compacted() {
    let silent = Log {
        offset_at: |_| None,
        ..Log::default()
    };
    let start = silent.start(View::Devices, false, old(Topic::State, 60));
    assert_eq!(start.reset.unwrap().reason, ResetReason::Compacted);
}

#[test]
fn events_are_never_compacted() {
    let start = Log::default().start(View::Events, false, old(Topic::Events, 59));
    assert_eq!(start.reset, None);
}

#[test]
fn a_cursor_of_another_epoch_goes_on_by_time_with_duplicates() {
    for topic in [Topic::Events, Topic::State] {
        let foreign = Cursor {
            epoch: Epoch(8),
            ..cursor(topic, &[(1, 7_000)])
        };
        let view = if topic == Topic::Events {
            View::Events
        } else {
            View::Devices
        };
        let start = Log::default().start(view, false, From::Cursor(foreign));
        assert_eq!((start.positions, start.time_ms), (at(60), THEN - SLACK));
        let reset = start.reset.unwrap();
        assert_eq!((reset.reason, reset.duplicates), (ResetReason::Epoch, true));
        assert_eq!(reset.requested, [(1, THEN), (4, THEN)]);
        assert_eq!((start.from_time, start.source_floor), (vec![], vec![]));
    }
}

#[test]
fn a_snapshot_of_another_epoch_begins_again() {
    let foreign = Cursor {
        epoch: Epoch(8),
        snapshot: Some("bus".into()),
        ..cursor(Topic::State, &[(1, 70), (4, 70)])
    };
    let start = Log::default().start(View::Devices, true, From::Cursor(foreign));
    assert_eq!(start.snapshot, Some(SnapshotStart::New));
    assert_eq!(start.reset.unwrap().reason, ResetReason::Epoch);
}

#[test]
fn a_cursor_ahead_of_the_log_is_looked_at_again_and_then_goes_on_by_time() {
    let ahead = From::Cursor(cursor(Topic::Events, &[(1, 101), (4, 70)]));
    let log = Log::default();
    assert_eq!(
        log.resolve(View::Events, false, &ahead),
        Err(Pending::Needs(Question::Again))
    );
    let log = Log {
        ahead_for_good: true,
        ..log
    };
    let start = log.start(View::Events, false, ahead);
    assert_eq!(start.positions, at(60));
    let reset = start.reset.unwrap();
    assert_eq!((reset.reason, reset.duplicates), (ResetReason::Ahead, true));
}

#[test]
fn the_end_of_the_log_is_not_ahead_of_it() {
    let end = From::Cursor(cursor(Topic::Events, &[(1, 100), (4, 100)]));
    assert_eq!(Log::default().start(View::Events, false, end).reset, None);
}

#[test]
fn a_cursor_of_events_starts_devices_by_time_above_its_offsets() {
    let start = Log::default().start(
        View::Devices,
        false,
        From::Cursor(cursor(Topic::Events, &[(1, 70), (4, 80)])),
    );
    assert_eq!((start.positions, start.time_ms), (at(60), THEN - SLACK));
    assert_eq!(start.source_floor, [(1, 70), (4, 80)]);
    assert_eq!((start.reset, start.from_time), (None, vec![]));
}

#[test]
fn a_cursor_of_events_that_is_old_gives_devices_a_snapshot() {
    let log = Log::default();
    let start = log.start(View::Devices, false, old(Topic::Events, 30));
    assert_eq!(start.snapshot, Some(SnapshotStart::New));
    assert_eq!(start.reset.unwrap().reason, ResetReason::Compacted);
}

#[test]
fn a_cursor_of_events_ahead_of_events_is_ahead_on_devices_too() {
    let ahead = From::Cursor(cursor(Topic::Events, &[(1, 101)]));
    let asked = Log::default().resolve(View::Devices, false, &ahead);
    assert_eq!(asked, Err(Pending::Needs(Question::Again)));
}

#[test]
fn a_cursor_of_devices_is_refused_on_events_and_both_are_named() {
    let devices = From::Cursor(cursor(Topic::State, &[(1, 70)]));
    let Err(Pending::Never(reason)) = Log::default().resolve(View::Events, false, &devices) else {
        panic!("it was taken");
    };
    let text = reason.to_string();
    assert!(
        text.contains("view=devices") && text.contains("view=events"),
        "{text}"
    );
}

#[test]
fn cursors_of_other_topics_are_refused() {
    for topic in [Topic::Control, Topic::Rejected] {
        let from = From::Cursor(cursor(topic, &[(0, 1)]));
        let refused = Log::default().resolve(View::Events, false, &from);
        assert_eq!(refused, Err(Pending::Never(NoStart::NoView { topic })));
    }
}

#[test]
fn a_partition_newly_in_scope_starts_at_the_time_of_the_cursor_and_says_so() {
    let start = Log::default().start(
        View::Events,
        false,
        From::Cursor(cursor(Topic::Events, &[(4, 70)])),
    );
    assert_eq!(start.positions, [(1, Some(60)), (4, Some(70))]);
    assert_eq!(start.from_time, [1]);
    let devices = Log {
        offset_at: |time_ms| Some(if time_ms < THEN { 50 } else { 61 }),
        ..Log::default()
    };
    let start = devices.start(
        View::Devices,
        false,
        From::Cursor(cursor(Topic::Events, &[(4, 70)])),
    );
    assert_eq!(start.positions, [(1, Some(61)), (4, Some(50))]);
    assert_eq!((start.from_time, start.source_floor), (vec![1], vec![(4, 70)]));
}

#[test]
fn a_start_by_time_that_nobody_can_answer_is_not_guessed() {
    let silent = Log {
        offset_at: |_| None,
        ..Log::default()
    };
    for from in [From::Time(THEN), From::Cursor(cursor(Topic::Events, &[(1, 70)]))] {
        let refused = silent.resolve(View::Events, false, &from).unwrap_err();
        assert!(
            matches!(refused, Pending::Never(NoStart::Unavailable { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_cursor_past_its_snapshot_makes_the_parameter_void() {
    let start = Log::default().start(
        View::Devices,
        true,
        From::Cursor(cursor(Topic::State, &[(1, 70), (4, 70)])),
    );
    assert_eq!((start.snapshot, start.positions), (None, at(70)));
}

#[test]
fn a_cursor_within_its_snapshot_resumes_there() {
    let within = |positions: &[(Partition, Offset)]| Cursor {
        snapshot: Some("bus".into()),
        ..cursor(Topic::State, positions)
    };
    let log = Log::default();
    for asked in [true, false] {
        let start = log.start(View::Devices, asked, From::Cursor(within(&[(1, 70), (4, 70)])));
        assert_eq!(start.snapshot, Some(SnapshotStart::Resumed("bus".into())));
        assert_eq!(start.positions, at(70));
    }
    // The rest would lack the devices of the new partition.
    let start = log.start(View::Devices, true, From::Cursor(within(&[(1, 70)])));
    assert_eq!((start.snapshot, start.reset), (Some(SnapshotStart::New), None));
}

#[test]
fn extreme_times_do_no_harm() {
    for time_ms in [i64::MIN, i64::MAX] {
        let foreign = Cursor {
            epoch: Epoch(8),
            time_ms,
            ..cursor(Topic::State, &[])
        };
        Log::default().start(View::Devices, false, From::Cursor(foreign));
    }
}
