//! Changes of `wakeline.control`: tokens, tenants, revocations.

/// Appends control records and waits until this node has folded them.
pub struct Administration {}
