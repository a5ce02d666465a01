//! What an operator is told when there is no cluster, or a setting is wrong. Needs no broker.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use journal::kafka::{self, ConnectError, Settings};
use prometheus::Registry;

/// An address where nothing listens.
fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").to_string()
}

async fn refused(settings: Settings) -> ConnectError {
    match kafka::connect(settings, &Registry::new()).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_named_within_the_time_given() {
    let brokers = closed_address();
    let mut settings = Settings::new(&brokers);
    settings.connect_timeout = Duration::from_secs(2);
    let started = Instant::now();
    let text = refused(settings).await.to_string();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(text.contains(&brokers), "{text}");
    assert!(text.contains("refused"), "the reason is told: {text}");
}

#[tokio::test]
async fn a_wrong_property_is_named_but_not_its_value() {
    let mut settings = Settings::new(closed_address());
    settings
        .properties
        .push(("sasl.pasword".to_owned(), "hunter2".to_owned()));
    let text = refused(settings).await.to_string();
    assert!(
        text.contains("sasl.pasword") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test]
async fn a_property_that_carries_a_promise_is_refused() {
    let mut settings = Settings::new(closed_address());
    settings
        .properties
        .push(("enable.idempotence".to_owned(), "false".to_owned()));
    let error = refused(settings).await;
    assert!(
        matches!(&error, ConnectError::Property { name, .. } if name == "enable.idempotence"),
        "{error}"
    );
}
