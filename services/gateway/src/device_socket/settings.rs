//! Limits and times of device sockets, each with its default.

use std::time::Duration;

/// Settings of device sockets.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSocketSettings {
    /// A message of a device, bytes; it may hold several events.
    pub message_bytes_max: usize,
    /// Events in one message.
    pub message_events_max: usize,
    /// Messages that wait for the log; beyond, the device is not read.
    pub messages_pending_max: usize,
    /// Events that are appended together.
    pub batch_events_max: usize,
    /// Frames that wait for the device to read them; beyond, it is not read either.
    pub frames_pending_max: usize,
    /// Commands that a connection remembers, to complete the steps that the device reports.
    pub commands_known_max: usize,
    /// A ping comes this often; the connection ends after two without an answer.
    pub ping: Duration,
    /// Up to this much is added to each wait for a ping, at random.
    pub ping_jitter: Duration,
    /// A device that takes no byte for this long is given up.
    pub stalled_max: Duration,
    /// What the state store or the log did not answer is asked again after this.
    pub retry: Duration,
}

impl Default for DeviceSocketSettings {
    fn default() -> Self {
        Self {
            message_bytes_max: 512 << 10,
            message_events_max: 1_000,
            messages_pending_max: 64,
            batch_events_max: 1_000,
            frames_pending_max: 64,
            commands_known_max: 256,
            ping: Duration::from_secs(25),
            ping_jitter: Duration::from_millis(1_500),
            stalled_max: Duration::from_secs(30),
            retry: Duration::from_secs(1),
        }
    }
}
