//! The gateway as its clients see it: the front door, streams and the native API over the embedded
//! engine, all in one process.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod door;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod native;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod streams;
