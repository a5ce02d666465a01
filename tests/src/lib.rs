//! The harness of the end-to-end tests: real nodes, and clients that see what a user's client sees.
//!
//! | part | holds |
//! |---|---|
//! | [`nodes`] | nodes in this process, several on one engine |
//! | [`api`] | the native HTTP API |
//! | [`stream`] | SSE and WebSocket streams as one type, cut and resumed at will |
//! | [`wait`] | waiting for a condition, never for a time |

pub mod api;
pub mod nodes;
pub mod stream;
pub mod wait;
