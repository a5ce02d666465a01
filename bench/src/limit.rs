//! The limit servers: the least that a server of this harness can do. Each is a process of its own, on
//! the same core as the product, and ends when its standard input does.

pub(crate) mod consume;
pub(crate) mod ingest;
pub(crate) mod log;
pub(crate) mod stream;

mod stdin;
