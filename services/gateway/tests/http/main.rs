//! The gateway as its clients see it: the front door, streams and the native API over the embedded
//! engine, all in one process.

mod devices;
mod door;
mod harness;
mod native;
mod streams;
