//! The events that are sent, the frames that come of them, and how one is told to be the right one.
//! Pure.
//!
//! Message `i` of a series goes to device `i mod devices` with number `FIRST + i / devices`, so that
//! each device's messages are numbered without holes. All numbers have a fixed width: a frame of the
//! product, with three members patched, is any other frame.

use memchr::memmem;
use serde_json::Value;

/// Number of a device's first message.
pub(crate) const FIRST: u64 = 1_000_000_000;
/// Devices of a series at most: their names have four digits.
pub(crate) const DEVICES_MAX: usize = 10_000;

const NUMBER: &[u8] = b"\"n\":";
const SENT: &[u8] = b"\"at\":";
const DEVICE: &[u8] = b"\"device\":\"d";
const NUMBER_DIGITS: usize = 10;
const SENT_DIGITS: usize = 16;
const DEVICE_DIGITS: usize = 4;

/// A series of messages.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Devices, the first being number `first_device`.
    pub(crate) devices: usize,
    /// Number of the first device.
    pub(crate) first_device: usize,
    pad: String,
}

impl Series {
    /// Messages of `bytes` each, as sent, to `devices` devices from `first_device` on.
    pub(crate) fn new(first_device: usize, devices: usize, bytes: usize) -> Self {
        let mut series = Self {
            devices: devices.clamp(1, DEVICES_MAX),
            first_device,
            pad: String::new(),
        };
        let mut line = Vec::new();
        series.write(0, 0, &mut line);
        series.pad = "abcdefghijklmnopqrstuvwxyz"
            .chars()
            .cycle()
            .take(bytes.saturating_sub(line.len() - 1))
            .collect();
        series
    }

    /// Appends message `index`, sent at `at_us`, as a line of JSON.
    pub(crate) fn write(&self, index: u64, at_us: i64, line: &mut Vec<u8>) {
        let (device, number) = self.place(index);
        let text = format!(
            "{{\"device\":\"d{device:04}\",\"kind\":\"telemetry\",\"fields\":\
             {{\"n\":{number},\"at\":{at_us:016},\"pad\":\"{}\"}}}}\n",
            self.pad
        );
        line.extend_from_slice(text.as_bytes());
    }

    /// Device and number of message `index`.
    pub(crate) fn place(&self, index: u64) -> (usize, u64) {
        let devices = self.devices as u64;
        let device = usize::try_from(index % devices).unwrap_or_default();
        (self.first_device + device, FIRST + index / devices)
    }

    /// Whether `event` is one of this series, in full.
    pub(crate) fn holds(&self, event: &Value) -> bool {
        event["kind"] == "telemetry"
            && event["fields"]["pad"] == self.pad.as_str()
            && event["fields"]
                .as_object()
                .is_some_and(|fields| fields.len() == 3)
            && event["id"].is_string()
            && event["received_at"].is_string()
    }
}

/// A frame of the product, to be patched into others of the same series.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    device: usize,
    number: usize,
    sent: usize,
}

impl Template {
    /// From a whole frame as it came over the wire; `None` when it is none of a [`Series`].
    pub(crate) fn new(frame: &[u8]) -> Option<Self> {
        let after = |name: &[u8]| Some(memmem::find(frame, name)? + name.len());
        Some(Self {
            device: after(DEVICE)?,
            number: after(NUMBER)?,
            sent: after(SENT)?,
            bytes: frame.to_vec(),
        })
    }

    /// Length of every frame.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends message `index` of a series of `devices` devices.
    pub(crate) fn write(&self, index: u64, devices: usize, at_us: i64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let devices = devices as u64;
        let parts = [
            (self.device, DEVICE_DIGITS, index % devices),
            (self.number, NUMBER_DIGITS, FIRST + index / devices),
            (self.sent, SENT_DIGITS, at_us.unsigned_abs()),
        ];
        for (place, width, number) in parts {
            put_digits(out, start + place, width, number);
        }
    }
}

fn put_digits(out: &mut [u8], place: usize, width: usize, mut number: u64) {
    for digit in out[place..place + width].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Members of a message, read without parsing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glance {
    /// Number of its device.
    pub(crate) device: usize,
    /// Its number.
    pub(crate) number: u64,
    /// When it was sent, microseconds since the Unix epoch.
    pub(crate) at_us: i64,
}

impl Glance {
    /// Of a frame; `None` when a member is missing.
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        Some(Self {
            device: usize::try_from(digits(frame, DEVICE)?).ok()?,
            number: digits(frame, NUMBER)?,
            at_us: i64::try_from(digits(frame, SENT)?).ok()?,
        })
    }
}

fn digits(frame: &[u8], name: &[u8]) -> Option<u64> {
    let rest = &frame[memmem::find(frame, name)? + name.len()..];
    let mut number = None;
    for digit in rest.iter().take_while(|byte| byte.is_ascii_digit()).take(18) {
        number = Some(number.unwrap_or(0) * 10 + u64::from(digit - b'0'));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_length_that_was_asked_for() {
        let series = Series::new(0, 16, 200);
        for index in [0, 17, 123_456] {
            let mut line = Vec::new();
            series.write(index, 1_763_000_000_000_000, &mut line);
            assert_eq!(line.len(), 201);
        }
    }

    #[test]
    fn a_patched_frame_is_that_of_the_other_message() {
        let series = Series::new(0, 16, 200);
        let (mut first, mut other, mut patched) = (Vec::new(), Vec::new(), Vec::new());
        series.write(0, 1_763_000_000_000_000, &mut first);
        series.write(77, 1_763_000_000_000_123, &mut other);
        let template = Template::new(&first).unwrap();
        template.write(77, 16, 1_763_000_000_000_123, &mut patched);
        assert_eq!(patched, other);
    }

    #[test]
    fn a_glance_reads_what_was_written() {
        let series = Series::new(100, 16, 200);
        let mut line = Vec::new();
        series.write(33, 1_763_000_000_000_000, &mut line);
        let glance = Glance {
            device: 101,
            number: FIRST + 2,
            at_us: 1_763_000_000_000_000,
        };
        assert_eq!(Glance::of(&line), Some(glance));
    }
}
