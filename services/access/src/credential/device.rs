//! Device tokens: what a device is, signed, so that a fleet of millions needs no record each.
//!
//! After the prefix, base64url without padding of:
//!
//! | bytes | member |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | issued at, µs since the Unix epoch, big endian |
//! | 8 | expires at, likewise; 0 for never |
//! | 1 | length of the tenant, then the tenant |
//! | … | the device |
//! | 32 | HMAC-SHA256 of all that stands before |

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use schemas::Micros;

use super::{DEVICE_PREFIX, NodeKey, mac};

const VERSION: u8 = 1;
const TAG_BYTES: usize = 32;

/// Signs device tokens.
pub(crate) struct DeviceKey([u8; 32]);

impl DeviceKey {
    pub(crate) fn new(key: &NodeKey) -> Self {
        Self(key.derive("wakeline device token 1"))
    }
}

/// What a device token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceToken {
    pub(crate) tenant: Box<str>,
    pub(crate) device: Box<str>,
    pub(crate) issued_at: Micros,
    pub(crate) expires_at: Option<Micros>,
}

impl DeviceToken {
    /// The credential.
    pub(crate) fn seal(&self, key: &DeviceKey) -> String {
        let mut bytes = Vec::with_capacity(64 + self.tenant.len() + self.device.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.issued_at.to_be_bytes());
        bytes.extend_from_slice(&self.expires_at.unwrap_or(0).to_be_bytes());
        bytes.push(u8::try_from(self.tenant.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(self.tenant.as_bytes());
        bytes.extend_from_slice(self.device.as_bytes());
        let mut tag = mac(&key.0);
        tag.update(&bytes);
        bytes.extend_from_slice(&tag.finalize().into_bytes());
        format!("{DEVICE_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a credential without its prefix; the signature is compared in constant time.
    pub(crate) fn open(sealed: &str, key: &DeviceKey) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (body, tag) = bytes.split_last_chunk::<TAG_BYTES>()?;
        let mut expected = mac(&key.0);
        expected.update(body);
        expected.verify_slice(tag).ok()?;
        Self::read(body)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (version, rest) = body.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (issued_at, rest) = rest.split_first_chunk()?;
        let (expires_at, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (tenant, device) = rest.split_at_checked(usize::from(*length))?;
        let expires_at = Micros::from_be_bytes(*expires_at);
        Some(Self {
            tenant: std::str::from_utf8(tenant).ok()?.into(),
            device: std::str::from_utf8(device).ok()?.into(),
            issued_at: Micros::from_be_bytes(*issued_at),
            expires_at: (expires_at != 0).then_some(expires_at),
        })
    }
}
