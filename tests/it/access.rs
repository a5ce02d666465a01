//! Who gets in, how far, and for how long: through the real server.

mod jwt;
mod limits;
mod matrix;
mod revocation;
mod revocation_load;
mod rotation;
mod session;
