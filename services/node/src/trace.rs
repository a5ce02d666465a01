//! Recorded input: positions of real buses, bundled with the program, or a file of the same columns.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The bundled recording.
const BUNDLED: &str = include_str!("../data/liverpool_bus_route14.csv");

/// One recorded report.
#[derive(Debug, Clone)]
pub struct Report {
    /// When it was made, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who made it.
    pub device: String,
    /// The event for `POST /v1/events`.
    pub event: Value,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A row is not as it should be.
    #[error(
        "line {line}: {problem}; the columns are id, vehicle_id, trip_id, timestamp (2026-01-26 15:57:02, UTC), latitude, longitude, bearing, origin, destination, route_name, direction, operator"
    )]
    Row {
        /// Its line, from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// There is nothing in it.
    #[error("the recording has no rows")]
    Empty,
}

/// Reads a recording, ordered by time; `bundled`, or no path, is the one in the program.
///
/// # Errors
/// When the file cannot be read or a row is not as it should be.
pub fn read(path: Option<&Path>) -> Result<Vec<Report>, TraceError> {
    let file;
    let text = match path.filter(|path| *path != Path::new("bundled")) {
        None => BUNDLED,
        Some(path) => {
            file = std::fs::read_to_string(path).map_err(|source| TraceError::File {
                path: path.display().to_string(),
                source,
            })?;
            &file
        }
    };
    let mut reports = Vec::new();
    for row in csv::Reader::from_reader(text.as_bytes()).into_deserialize::<Row>() {
        let row = row.map_err(|error| TraceError::Row {
            line: error.position().map_or(0, csv::Position::line),
            problem: error.to_string(),
        })?;
        let line = reports.len() as u64 + 2;
        reports.push(
            row.report()
                .map_err(|problem| TraceError::Row { line, problem })?,
        );
    }
    if reports.is_empty() {
        return Err(TraceError::Empty);
    }
    // Stable: what one bus reported within a second keeps its order.
    reports.sort_by_key(|report| report.at_ms);
    Ok(reports)
}

#[derive(Deserialize)]
struct Row {
    id: i64,
    vehicle_id: String,
    trip_id: String,
    timestamp: String,
    latitude: f64,
    longitude: f64,
    bearing: Option<f64>,
    origin: String,
    destination: String,
    route_name: String,
    direction: String,
    operator: String,
}

impl Row {
    fn report(self) -> Result<Report, String> {
        let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", &self.timestamp)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|error| format!("`{}` is not a time: {error}", self.timestamp))?
            .timestamp();
        let mut fields = Map::new();
        fields.insert("lat".into(), json!(self.latitude));
        fields.insert("lng".into(), json!(self.longitude));
        if let Some(bearing) = self.bearing {
            fields.insert("bearing".into(), json!(bearing));
        }
        fields.insert("trip".into(), json!(self.trip_id));
        fields.insert(
            "route".into(),
            json!({
                "name": self.route_name, "direction": self.direction, "operator": self.operator,
                "origin": self.origin, "destination": self.destination,
            }),
        );
        let device = format!("bus-{}", self.vehicle_id);
        let event = json!({
            "device": device, "kind": "telemetry", "time": time.to_string(), "seq": self.id, "fields": fields,
        });
        Ok(Report {
            at_ms: time.as_millisecond(),
            device,
            event,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_recording_is_whole_and_ordered() {
        let reports = read(None).unwrap();
        assert_eq!(reports.len(), 1533);
        assert!(reports.is_sorted_by_key(|report| report.at_ms));
        let buses: std::collections::BTreeSet<_> = reports.iter().map(|report| &report.device).collect();
        assert_eq!(buses.len(), 8);
    }
}
