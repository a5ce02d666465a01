//! The dialects: their frames as the documents print them, produced by and sent to a real node.

mod any_bytes;
mod any_frame;
mod controller;
mod filter;
mod limits;
mod realtime;
mod resume;
mod shared_path;
mod telemetry;
mod watch;
mod watchers;
