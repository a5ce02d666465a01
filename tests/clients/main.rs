//! Other people's clients against a real node: what is promised of streams and topics holds for those whom
//! nobody here wrote.
//!
//! `tests/clients/install` installs them, in versions that are written down; `WAKELINE_TEST_CLIENTS=skip`
//! leaves these tests out, aloud, where that cannot be. Those that read topics, and those with two gateways, need the
//! servers that `WAKELINE_TEST_CQL` and `infra/local` give, as the tests in `real` do.
//!
//! | part | holds |
//! |---|---|
//! | `programs/` | one small program a client: its arguments are URL and count, its output what it saw |
//! | [`client`] | those programs as processes |
//! | `programs/pages/` | a page for each dialect, as its document's own example has it |
//! | [`cutter`] | a proxy on loopback that cuts |
//! | [`fleet`] | a node that is killed and comes back, and the events that it was sent |
//! | [`nginx`] | nginx with the configuration in `infra/nginx` |

mod analysts;
mod client;
#[path = "../real/cluster.rs"]
#[expect(dead_code, reason = "the tests in `real` need more of it")]
mod cluster;
mod cutter;
mod devices;
mod dialects;
mod fleet;
mod gateways;
mod keep_alive;
mod nginx;
mod resume;
#[path = "../real/serving.rs"]
#[expect(dead_code, reason = "the tests in `real` need more of it")]
mod serving;
