//! Who gets in, how far, and for how long: through the real server.

mod jwt;
mod limits;
mod revocation;
mod rotation;
mod session;
