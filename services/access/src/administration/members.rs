//! What a caller says of a token.

use schemas::Micros;
use schemas::control::{Role, Token};
use serde::{Deserialize, Deserializer};

use super::Settings;
use crate::principal::is_tenant;

/// The members of a token as `POST` and `PATCH /v1/tokens` take them. `None` leaves what is there;
/// `Some(None)` (a JSON null) takes it away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenMembers {
    /// One of the words of [`Role`].
    #[serde(default)]
    pub role: Option<String>,
    /// Its tenant; an administrator's own by default.
    #[serde(default, deserialize_with = "nullable")]
    pub tenant: Option<Option<String>>,
    /// Devices that it is limited to.
    #[serde(default, deserialize_with = "nullable")]
    pub devices: Option<Option<Vec<String>>>,
    /// Named permissions.
    #[serde(default, deserialize_with = "nullable")]
    pub permissions: Option<Option<Vec<String>>>,
    /// Flag of the controller dialect.
    #[serde(default)]
    pub staff: Option<bool>,
    /// Flag of the controller dialect.
    #[serde(default)]
    pub superuser: Option<bool>,
    /// Tenants that it manages, in the controller dialect.
    #[serde(default, deserialize_with = "nullable")]
    pub organizations: Option<Option<Vec<String>>>,
    /// A duration from now (`30d`, `1s`) or an RFC 3339 time.
    #[serde(default, deserialize_with = "nullable")]
    pub expires: Option<Option<String>>,
}

fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// A member that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {message}")]
pub struct InvalidMember {
    /// Which.
    pub member: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl InvalidMember {
    pub(crate) fn new(member: &'static str, message: impl Into<String>) -> Self {
        Self {
            member,
            message: message.into(),
        }
    }
}

impl TokenMembers {
    /// Sets on `token` what these members say.
    pub(super) fn apply(
        self,
        token: &mut Token,
        settings: &Settings,
        now: Micros,
    ) -> Result<(), InvalidMember> {
        if let Some(word) = self.role {
            token.role = Role::from_word(&word).ok_or_else(|| {
                InvalidMember::new("role", format!("must be one of {}", Role::WORDS.join(", ")))
            })?;
        }
        if let Some(tenant) = self.tenant {
            token.tenant = tenant.map(Into::into);
        }
        if let Some(devices) = self.devices {
            token.devices = devices
                .map(|devices| names("devices", devices, settings.devices_max))
                .transpose()?;
        }
        if let Some(permissions) = self.permissions {
            let permissions = permissions.unwrap_or_default();
            token.permissions = names("permissions", permissions, settings.grants_max)?;
        }
        if let Some(organizations) = self.organizations {
            let organizations = organizations.unwrap_or_default();
            token.organizations = names("organizations", organizations, settings.grants_max)?;
        }
        token.staff = self.staff.unwrap_or(token.staff);
        token.superuser = self.superuser.unwrap_or(token.superuser);
        if let Some(expires) = self.expires {
            token.expires_at = expires.map(|text| parse_expiry(&text, now)).transpose()?;
        }
        check(token)
    }
}

/// Names in order, each once.
fn names(member: &'static str, names: Vec<String>, most: usize) -> Result<Vec<Box<str>>, InvalidMember> {
    if names.len() > most {
        return Err(InvalidMember::new(member, format!("more than {most}")));
    }
    let mut names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Whether the members agree with each other.
fn check(token: &Token) -> Result<(), InvalidMember> {
    let tenantless = token.role == Role::System || token.superuser;
    match &token.tenant {
        Some(_) if tenantless => {
            let message = "a system token or superuser belongs to no tenant: leave it out";
            return Err(InvalidMember::new("tenant", message));
        }
        None if !tenantless => return Err(InvalidMember::new("tenant", "is needed for this role")),
        Some(tenant) if !is_tenant(tenant) => {
            let message = "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -";
            return Err(InvalidMember::new("tenant", message));
        }
        Some(_) | None => {}
    }
    if token.role == Role::System && token.devices.is_some() {
        let message = "a system token covers every device: leave it out";
        return Err(InvalidMember::new("devices", message));
    }
    for device in token.devices.iter().flatten() {
        schemas::json::check_device(device)
            .map_err(|error| InvalidMember::new("devices", format!("{device:?}: {error}")))?;
    }
    let is_word = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
    };
    if let Some(name) = token.permissions.iter().find(|name| !is_word(name)) {
        return Err(InvalidMember::new(
            "permissions",
            format!("{name:?} is no name of one"),
        ));
    }
    if let Some(name) = token.organizations.iter().find(|name| !is_tenant(name)) {
        return Err(InvalidMember::new(
            "organizations",
            format!("{name:?} is no name of a tenant"),
        ));
    }
    Ok(())
}

/// When something ends that is said to end in a duration (`30d`, `12h`, `5m`, `1s`, `2w`) or at an
/// RFC 3339 time.
///
/// # Errors
/// When it is neither, or not in the future.
pub fn parse_expiry(text: &str, now: Micros) -> Result<Micros, InvalidMember> {
    let invalid = |message: &str| InvalidMember::new("expires", message);
    let expires_at = match duration(text) {
        Some(duration) => now.checked_add(duration),
        None => text
            .parse::<jiff::Timestamp>()
            .ok()
            .map(jiff::Timestamp::as_microsecond),
    };
    match expires_at {
        None => Err(invalid(
            "must be a duration such as 30d, 12h, 5m, 1s, or an RFC 3339 time",
        )),
        Some(at) if at <= now => Err(invalid("must lie in the future")),
        Some(at) if jiff::Timestamp::from_microsecond(at).is_err() => Err(invalid("is too far away")),
        Some(at) => Ok(at),
    }
}

fn duration(text: &str) -> Option<Micros> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits
        .parse::<Micros>()
        .ok()?
        .checked_mul(seconds)?
        .checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_duration_or_a_time() {
        let now = 1_000_000;
        assert_eq!(parse_expiry("1s", now), Ok(2_000_000));
        assert_eq!(parse_expiry("30d", now), Ok(2_592_001_000_000));
        assert_eq!(parse_expiry("1970-01-01T00:00:05Z", now), Ok(5_000_000));
        assert_eq!(parse_expiry("1970-01-01T01:00:05+01:00", now), Ok(5_000_000));
    }

    #[test]
    fn an_expiry_that_is_past_or_garbled_is_refused() {
        for text in [
            "",
            "s",
            "-1s",
            "+1s",
            "0s",
            "1y",
            "1970-01-01T00:00:00Z",
            "99999999999999w",
            "1 d",
            "é",
        ] {
            assert!(parse_expiry(text, 1_000_000).is_err(), "{text:?}");
        }
        assert!(parse_expiry("400000w", 0).is_ok());
        assert!(parse_expiry("430000w", 0).is_err());
    }

    #[test]
    fn null_and_absent_are_told_apart() {
        let members: TokenMembers = serde_json::from_str(r#"{"devices":null}"#).unwrap();
        assert_eq!(members.devices, Some(None));
        assert_eq!(members.expires, None);
    }
}
