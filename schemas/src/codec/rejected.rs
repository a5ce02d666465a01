//! The record `Rejected`.

use serde::{Deserialize, Serialize};

use super::{DecodeError, owned};
use crate::{Micros, Rejected};

#[derive(Serialize, Deserialize)]
pub(super) struct RejectedRecord<'a> {
    tenant: &'a str,
    #[serde(default, borrow)]
    device: Option<&'a str>,
    received_at: Micros,
    reason: &'a str,
    #[serde(default)]
    original: &'a str,
}

impl<'a> From<&'a Rejected> for RejectedRecord<'a> {
    fn from(it: &'a Rejected) -> Self {
        Self {
            tenant: &it.tenant,
            device: it.device.as_deref(),
            received_at: it.received_at,
            reason: &it.reason,
            original: &it.original,
        }
    }
}

impl TryFrom<RejectedRecord<'_>> for Rejected {
    type Error = DecodeError;

    fn try_from(it: RejectedRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            tenant: it.tenant.into(),
            device: owned(it.device),
            received_at: it.received_at,
            reason: it.reason.into(),
            original: it.original.into(),
        })
    }
}
