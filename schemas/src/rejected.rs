//! Authenticated input that was refused: the value of a `wakeline.rejected` record.

use crate::Micros;

/// One refused input.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// Who sent it.
    pub tenant: Box<str>,
    /// The device, where the input named a usable one.
    pub device: Option<Box<str>>,
    /// When it came.
    pub received_at: Micros,
    /// Why, for people.
    pub reason: Box<str>,
    /// At most 4 KiB of what came, credential members blanked.
    pub original: Box<str>,
}
