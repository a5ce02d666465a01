//! Telemetry: newest wins by the device's time, not by arrival; what is late fills only gaps.

use schemas::event::{Point, Telemetry};
use schemas::{Document, Event, Fields, Scalar};

use super::{fields, is_late, location};

pub(super) fn apply(document: &mut Document, event: &Event, telemetry: &Telemetry) {
    // A heartbeat reports nothing, so nothing can be late against it.
    if telemetry.fields.0.is_empty() {
        return;
    }
    let point = position(&telemetry.fields);
    if is_late(Some(document), event) {
        for (path, value) in &telemetry.fields.0 {
            fields::fill(&mut document.fields, path, value);
        }
        let placed = document
            .location
            .as_ref()
            .is_some_and(|location| location.geometry.is_some());
        if let Some(point) = point.filter(|_| !placed) {
            location::place(document, point);
        }
        return;
    }
    for (path, value) in &telemetry.fields.0 {
        fields::set(&mut document.fields, path, value);
    }
    document.fold.newest_telemetry_at = Some(event.occurred_at);
    if let Some(point) = point {
        location::place(document, point);
    }
}

/// The position that an update reports: `lat` with `lon`, `long` or `lng`, in degrees.
fn position(fields: &Fields) -> Option<Point> {
    let latitude = degrees(fields, "lat", 90.0)?;
    let longitude = ["lon", "long", "lng"]
        .into_iter()
        .find_map(|name| degrees(fields, name, 180.0))?;
    Some(Point {
        longitude,
        latitude,
        altitude: None,
    })
}

fn degrees(fields: &Fields, name: &str, max: f64) -> Option<f64> {
    let value = match fields.0.get(name)? {
        #[expect(
            clippy::cast_precision_loss,
            reason = "degrees are small; others are out of range"
        )]
        Scalar::Integer(value) => *value as f64,
        Scalar::Number(value) => *value,
        Scalar::Null | Scalar::Boolean(_) | Scalar::String(_) | Scalar::Json(_) => return None,
    };
    (value.abs() <= max).then_some(value)
}
