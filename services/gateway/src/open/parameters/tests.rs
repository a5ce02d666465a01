use http::HeaderValue;
use journal::{Epoch, Topic};

use super::*;

fn read(query: &str, header: Option<&str>) -> Parsed<Parameters> {
    let header = header.map(|text| HeaderValue::from_str(text).unwrap());
    Parameters::read(
        &Query::parse(Some(query)),
        header.as_ref(),
        &OpenSettings::default(),
    )
}

fn good(query: &str) -> Parameters {
    read(query, None).unwrap()
}

/// The parameter that is named as wrong.
fn wrong(query: &str) -> String {
    read(query, None).unwrap_err().parameter.into()
}

fn cursor() -> Cursor {
    Cursor {
        epoch: Epoch(7),
        time_ms: 1,
        topic: Topic::Events,
        positions: vec![(0, 5)],
        snapshot: None,
    }
}

#[test]
fn without_parameters_it_is_every_event_from_now_on() {
    let parameters = good("");
    assert_eq!(parameters.view, View::Events);
    assert_eq!(parameters.devices, DeviceSet::All);
    assert_eq!(parameters.kinds, KindSet::ALL);
    assert_eq!(parameters.delivery, Delivery::Every);
    assert_eq!(parameters.from, From::Live);
}

#[test]
fn lists_are_separated_by_commas_or_repeated() {
    let parameters = good("kind=lock,log&kind=alert&metric=a.b,c");
    assert_eq!(
        parameters.kinds,
        [Kind::Lock, Kind::Log, Kind::Alert].into_iter().collect()
    );
    assert_eq!(parameters.metrics.unwrap().len(), 2);
}

#[test]
fn since_takes_words_times_and_cursors() {
    assert_eq!(good("since=latest").from, From::Live);
    assert_eq!(good("since=earliest").from, From::Earliest);
    assert_eq!(good("since=1970-01-01T00:00:01Z").from, From::Time(1_000));
    assert_eq!(good(&format!("since={}", cursor())).from, From::Cursor(cursor()));
}

#[test]
fn the_header_comes_before_last_event_id_and_that_before_since() {
    let from_header = read("last_event_id=x&since=y", Some(&cursor().to_string())).unwrap();
    assert_eq!(from_header.from, From::Cursor(cursor()));
    assert_eq!(
        good(&format!("last_event_id={}&since=y", cursor())).from,
        From::Cursor(cursor())
    );
    assert_eq!(good("last_event_id=&since=earliest").from, From::Earliest);
}

#[test]
fn garbage_is_a_mistake_in_the_query_and_a_reset_in_the_header() {
    assert_eq!(wrong("since=garbage"), "since");
    assert_eq!(wrong("last_event_id=17"), "last_event_id");
    assert_eq!(wrong("since=2025-05-01T12:00:00+02:00"), "since");
    assert_eq!(read("", Some("17")).unwrap().from, From::Unreadable);
    assert_eq!(read("", Some("")).unwrap().from, From::Live);
}

#[test]
fn what_means_nothing_for_the_view_is_named() {
    assert_eq!(wrong("snapshot=true"), "snapshot");
    assert_eq!(wrong("view=devices&metric=a"), "metric");
    assert_eq!(wrong("every=500ms"), "every");
    assert_eq!(wrong("view=devices&snapshot=true&since=earliest"), "since");
    assert!(good("view=devices&snapshot=true").snapshot);
}

#[test]
fn values_that_are_none_are_named() {
    for parameter in [
        "view=event",
        "deliver=some",
        "kind=lock,",
        "metric=",
        "view=events&view=devices",
    ] {
        let name = parameter.split('=').next().unwrap();
        assert_eq!(wrong(parameter), name, "{parameter}");
    }
    assert_eq!(wrong("deliver=latest&every=1ns"), "every");
    assert_eq!(wrong("deliver=latest&every=soon"), "every");
    assert_eq!(wrong("view=devices&snapshot=yes"), "snapshot");
    let latest = good("deliver=latest&every=500ms");
    assert_eq!(latest.every, Some(Duration::from_millis(500)));
}

#[test]
fn unknown_names_and_filters_are_refused() {
    assert_eq!(wrong("devices=a"), "devices");
    assert_eq!(wrong("q=a%3D1"), "q");
    assert!(
        read("device_id=a", None)
            .unwrap_err()
            .message
            .contains("device, kind")
    );
}

#[test]
fn no_stream_names_more_devices_than_it_may() {
    let settings = OpenSettings {
        devices_max: 2,
        ..OpenSettings::default()
    };
    let read = |query| Parameters::read(&Query::parse(Some(query)), None, &settings);
    assert!(read("device=a,b,a").is_ok());
    assert_eq!(&*read("device=a,b,c").unwrap_err().parameter, "device");
}

#[test]
fn a_filter_belongs_to_devices_and_may_speak_of_what_was_before() {
    let filters = good("view=devices&q=%40speed+%3C+80+and+speed+%3E%3D+80")
        .filters
        .unwrap();
    assert!(filters.tells_left() && filters.len() == 1);
    assert_eq!(good("view=devices").filters, None);
    assert_eq!(wrong("q=speed"), "q");
    assert_eq!(wrong("view=devices&q=speed&q=load"), "q");
}

#[test]
fn a_bad_filter_is_told_with_its_column() {
    let mistake = |query: &str| read(query, None).unwrap_err();
    let error = mistake("view=devices&q=speed+%3D%3D+80");
    assert_eq!((&*error.parameter, error.column), ("q", Some(7)));
    assert!(error.message.contains("use = for equality"), "{error}");
    assert_eq!(mistake("view=devices&q=").column, Some(1));
    assert_eq!(mistake("view=devices&kind=x").column, None);
}
