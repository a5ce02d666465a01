use proptest::prelude::*;

use super::*;

fn sent(index: usize, device: &str) -> Sent {
    Sent {
        index,
        id: index.to_string().into(),
        seq: None,
        device: device.into(),
    }
}

fn at(partition: Partition, offset: Offset) -> Result<Position, AppendError> {
    Ok(Position { partition, offset })
}

fn outcomes(devices: &[&str], answers: Vec<Result<Position, AppendError>>) -> Vec<Outcome> {
    let sent = devices
        .iter()
        .enumerate()
        .map(|(index, device)| sent(index, device));
    let settled = settle(sent.collect(), answers, 5_000);
    settled.into_iter().map(|(_, outcome)| outcome).collect()
}

fn refused() -> AppendError {
    AppendError::Refused {
        reason: "too large".to_owned(),
    }
}

fn reasons(outcomes: &[Outcome]) -> Vec<Option<Reason>> {
    outcomes
        .iter()
        .map(|outcome| outcome.as_ref().err().map(|rejection| rejection.reason))
        .collect()
}

fn rejected(reason: Reason) -> Outcome {
    Err(Rejection {
        error: "no".to_owned(),
        reason,
        seq: None,
    })
}

fn accepted(partition: Partition, offset: Offset) -> Outcome {
    Ok(Accepted {
        id: "x".into(),
        seq: None,
        position: Position { partition, offset },
        received_at: 5_000,
    })
}

#[test]
fn after_an_unknown_outcome_every_later_event_of_the_device_is_to_be_sent_again() {
    let outcomes = outcomes(
        &["a", "b", "a", "a", "b"],
        vec![at(0, 0), at(1, 0), Err(AppendError::Unknown), at(0, 2), at(1, 1)],
    );
    let retry = Some(Reason::Retry);
    assert_eq!(reasons(&outcomes), [None, None, retry, retry, None]);
}

#[test]
fn a_full_queue_and_an_unavailable_log_ask_to_try_again() {
    let unavailable = AppendError::Unavailable {
        reason: "down".to_owned(),
    };
    let outcomes = outcomes(&["a", "b"], vec![Err(AppendError::Full), Err(unavailable)]);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.as_ref().unwrap_err().retry())
    );
}

#[test]
fn what_the_log_refuses_for_good_is_not_to_be_sent_again_but_what_follows_it_is() {
    let outcomes = outcomes(&["a", "a"], vec![Err(refused()), Err(refused())]);
    assert_eq!(reasons(&outcomes), [Some(Reason::Refused), Some(Reason::Retry)]);
}

#[test]
fn an_answer_that_is_missing_is_unknown() {
    let outcomes = outcomes(&["a", "b"], vec![at(0, 0)]);
    assert_eq!(reasons(&outcomes), [None, Some(Reason::Retry)]);
}

#[test]
fn the_cursor_is_behind_the_last_event_of_each_partition_that_took_one() {
    let outcomes = [
        accepted(3, 7),
        rejected(Reason::Invalid),
        accepted(1, 2),
        accepted(3, 9),
    ];
    let cursor = cursor(&outcomes, Epoch(4), 5_999);
    assert_eq!(cursor.positions, [(1, 3), (3, 10)]);
    assert_eq!(
        (cursor.time_ms, cursor.topic, cursor.epoch),
        (5, Topic::Events, Epoch(4))
    );
}

#[test]
fn the_status_says_what_to_do() {
    let (good, bad, again, fast) = (
        accepted(0, 0),
        rejected(Reason::Invalid),
        rejected(Reason::Retry),
        rejected(Reason::RateLimited),
    );
    let of = |outcomes: &[&Outcome]| {
        let outcomes: Vec<Outcome> = outcomes.iter().map(|outcome| (*outcome).clone()).collect();
        let (status, again) = status(&outcomes);
        (status.as_u16(), again)
    };
    assert_eq!(of(&[]), (200, false));
    assert_eq!(of(&[&good]), (200, false));
    assert_eq!(of(&[&good, &bad]), (207, false));
    assert_eq!(of(&[&good, &again]), (207, true));
    assert_eq!(of(&[&bad]), (400, false));
    assert_eq!(of(&[&bad, &again]), (503, true));
    assert_eq!(of(&[&fast]), (429, true));
}

#[test]
fn the_answer_names_items_and_says_retry_only_where_it_holds() {
    let outcomes = [accepted(0, 0), rejected(Reason::Invalid), rejected(Reason::Retry)];
    let answer = serde_json::to_value(Answer::new(&outcomes, Epoch(1), 0)).unwrap();
    assert_eq!(answer["accepted"], 1);
    assert_eq!(
        answer["rejected"],
        serde_json::json!([{"index": 1, "error": "no"}, {"index": 2, "error": "no", "retry": true}])
    );
    assert!(answer["cursor"].as_str().unwrap().parse::<Cursor>().is_ok());
}

fn any_answer() -> impl Strategy<Value = Result<Position, AppendError>> {
    prop_oneof![
        4 => Just(at(0, 0)),
        1 => Just(Err(AppendError::Full)),
        1 => Just(Err(AppendError::Unknown)),
        1 => Just(Err(refused())),
    ]
}

proptest! {
    #[test]
    fn no_event_is_accepted_after_one_of_its_device_that_was_not(
        events in proptest::collection::vec((0..3_usize, any_answer()), 0..30),
    ) {
        let devices: Vec<&str> = events.iter().map(|(device, _)| ["a", "b", "c"][*device]).collect();
        let answers = events.iter().map(|(_, answer)| answer.clone()).collect();
        let outcomes = outcomes(&devices, answers);
        for (index, outcome) in outcomes.iter().enumerate() {
            let before = outcomes.iter().zip(&devices).take(index);
            let failed = before.filter(|(_, device)| **device == devices[index]).any(|(outcome, _)| outcome.is_err());
            prop_assert_eq!(failed, failed && outcome.as_ref().is_err_and(Rejection::retry));
        }
    }
}
