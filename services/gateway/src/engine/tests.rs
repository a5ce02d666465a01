//! The engine over a scripted log: any interleaving of appends, reads, stalls, cuts and resumes, on a
//! virtual clock, against a model; and the real thing over sockets.

mod choices;
mod client;
mod endings;
mod exact;
mod fair;
mod fake;
mod filters;
mod input;
mod latest;
mod lookups;
mod sequences;
mod snapshot;
mod sockets;
mod told;
mod world;
