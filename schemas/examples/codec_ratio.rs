//! Why the hot path does not use apache-avro's own encoding: prints the time of one call of each.
//!
//! `cargo run -p schemas --release --example codec_ratio`
#![expect(clippy::print_stdout, reason = "it is there to print")]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use schemas::event::Telemetry;
use schemas::registry::{self, Subject};
use schemas::{Body, Event, Fields, Scalar, json, wire};

const ROUNDS: u32 = 20_000;
const RUNS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let event = telemetry();
    let frame = event.encode();
    let newest = registry::latest(Subject::Events).ok_or("no schema")?;
    let schema = Schema::parse_str(newest.schema_text)?;
    let reader = GenericDatumReader::builder(&schema).build()?;
    let writer = GenericDatumWriter::builder(&schema).build()?;
    let (_, body) = wire::split(&frame)?;
    let value = reader.read_value(&mut &*body)?;

    let encode = least(|| drop(black_box(black_box(&event).encode())));
    let apache_encode = least(|| {
        let mut out = Vec::with_capacity(256);
        drop(black_box(writer.write_value_ref(&mut out, black_box(&value))));
        black_box(&out);
    });
    let decode = least(|| drop(black_box(Event::decode(black_box(&frame)))));
    let apache_decode = least(|| drop(black_box(reader.read_value(&mut black_box(body)))));
    let mut text = Vec::new();
    let write = least(|| {
        text.clear();
        json::write_event(black_box(&event), &mut text);
    });
    let limits = json::Limits::default();
    let intake = json::Intake {
        tenant: None,
        device: None,
        received_at: event.received_at,
        limits: &limits,
    };
    let written = std::str::from_utf8(&text)?;
    let parse = least(|| {
        drop(black_box(json::parse_event(written, &intake, &mut || {
            "id".into()
        })))
    });

    println!(
        "an event of {} bytes as Avro, {} as JSON",
        frame.len(),
        text.len()
    );
    let times = |theirs: Duration, ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "encode      {encode:>10.1?}   apache-avro {apache_encode:>10.1?}   x{:.1}",
        times(apache_encode, encode)
    );
    println!(
        "decode      {decode:>10.1?}   apache-avro {apache_decode:>10.1?}   x{:.1}",
        times(apache_decode, decode)
    );
    println!("write JSON  {write:>10.1?}");
    println!("parse JSON  {parse:>10.1?}");
    Ok(())
}

/// The least time of one call over several runs: noise only adds.
fn least(mut call: impl FnMut()) -> Duration {
    let mut run = || {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| call());
        start.elapsed() / ROUNDS
    };
    (0..RUNS).map(|_| run()).min().unwrap_or_default()
}

fn telemetry() -> Event {
    let fields = [
        ("engine.rpm", Scalar::Integer(2_150)),
        ("engine.temperature", Scalar::Number(88.5)),
        ("lat", Scalar::Number(53.408_371)),
        ("lon", Scalar::Number(-2.991_573)),
        ("doors", Scalar::Json("[true,false]".into())),
        ("moving", Scalar::Boolean(true)),
        ("route", Scalar::String("14".into())),
        ("warning", Scalar::Null),
    ];
    Event {
        id: "0190a5c2-7d1f-7000-8000-000000000001".into(),
        tenant: "acme".into(),
        device: "bus-14".into(),
        occurred_at: 1_720_000_000_123_000,
        received_at: 1_720_000_000_223_456,
        claimed_at: None,
        seq: Some(7),
        body: Body::Telemetry(Telemetry {
            fields: Fields(fields.map(|(path, value)| (path.into(), value)).into()),
        }),
    }
}
