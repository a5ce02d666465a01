//! Device sockets. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, time};

pub(super) const SETTINGS: &[Setting] = &[
    size!(
        "device-message-bytes-max",
        "512KiB",
        "A message of a device, bytes; it may hold several events",
        device_socket.message_bytes_max
    ),
    count!(
        "device-message-events-max",
        "1000",
        "Events in one message",
        device_socket.message_events_max
    ),
    count!(
        "device-messages-pending-max",
        "64",
        "Messages that wait for the log; beyond, the device is not read",
        device_socket.messages_pending_max
    ),
    count!(
        "device-batch-events-max",
        "1000",
        "Events that are appended together",
        device_socket.batch_events_max
    ),
    count!(
        "device-frames-pending-max",
        "64",
        "Frames that wait for the device to read them; beyond, it is not read either",
        device_socket.frames_pending_max
    ),
    count!(
        "device-commands-known-max",
        "256",
        "Commands that a connection remembers, to complete the steps that the device reports",
        device_socket.commands_known_max
    ),
    time!(
        "device-ping",
        "25s",
        "A ping comes this often; the connection ends after two without an answer",
        device_socket.ping
    ),
    time!(
        "device-ping-jitter",
        "1500ms",
        "Up to this much is added to each wait for a ping, at random",
        device_socket.ping_jitter
    ),
    time!(
        "device-stalled-max",
        "30s",
        "A device that takes no byte for this long is given up",
        device_socket.stalled_max
    ),
    time!(
        "device-retry",
        "1s",
        "What the state store or the log did not answer is asked again after this",
        device_socket.retry
    ),
];
