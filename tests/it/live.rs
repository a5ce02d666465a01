//! Live streams: what comes over the wire, and what it means.

mod latest;
mod prompt;
mod selection;
mod shape;
mod slow;
mod update;
