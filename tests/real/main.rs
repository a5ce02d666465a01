//! The same behaviours on real Kafka and a real CQL server, as separate processes where that matters.
//!
//! `WAKELINE_TEST_KAFKA` and `WAKELINE_TEST_CQL` name the servers that tests share (`tests/run` starts them,
//! `infra/local/up` does by hand); without them every test says "skipped". What a test does to a broker it
//! does to one of its own.

mod alerts;
mod cluster;
mod commands;
mod cursors;
mod degraded;
mod in_process;
mod kills;
mod outage;
mod page;
mod rebuild;
mod refold;
mod refusals;
mod resume;
mod rolling;
mod serving;
mod stall;
mod topics;
