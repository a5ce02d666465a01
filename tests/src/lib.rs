//! The harness of the end-to-end tests: real nodes, and clients that see what a user's client sees.
//!
//! | part | holds |
//! |---|---|
//! | [`fixture`] | frames as the dialects' documents print them |
//! | [`local`] | servers that a test has for itself |
//! | [`nodes`] | nodes in this process, several on one engine |
//! | [`api`] | the native HTTP API |
//! | [`clock`] | a wall clock that tests move |
//! | [`device`] | a device at its socket |
//! | [`issuer`] | an identity provider |
//! | [`outage`] | a whole installation under fire |
//! | [`program`] | the program as a process |
//! | [`raw`] | HTTP as bytes |
//! | [`resume`] | clients cut and resumed at random, and what they must have seen |
//! | [`seed`] | randomness that can be run again |
//! | [`socket`] | WebSockets of the dialects |
//! | [`stream`] | SSE and WebSocket streams as one type, cut and resumed at will |
//! | [`tap`] | requests of any kind as bytes, to be searched |
//! | [`wait`] | waiting for a condition, never for a time |
//! | [`ways`] | every way to watch devices by a dialect |
//! | [`world`] | one node with a tenant |

pub mod api;
pub mod clock;
pub mod device;
pub mod fixture;
pub mod issuer;
pub mod local;
pub mod nodes;
pub mod outage;
pub mod ports;
pub mod program;
pub mod raw;
pub mod resume;
pub mod seed;
pub mod socket;
pub mod stream;
pub mod tap;
pub mod wait;
pub mod ways;
pub mod world;
