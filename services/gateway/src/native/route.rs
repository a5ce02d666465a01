//! The paths of the native API.

use access::http::Path;
use percent_encoding::percent_decode_str;

use super::alerts;

/// Every path of this service.
pub(super) const PATHS: &[Path] = &[
    Path::new("GET, DELETE", "/v1/devices"),
    Path::new("GET, DELETE", "/v1/devices/{device}"),
    Path::get("/v1/devices/{device}/events"),
    Path::new("GET, POST", "/v1/devices/{device}/commands"),
    Path::get("/v1/devices/{device}/commands/{command}"),
    Path::get("/v1/alerts"),
    Path::new("POST", "/v1/alerts/{alert}/acknowledge"),
    Path::new("POST", "/v1/alerts/{alert}/close"),
    Path::get("/v1/rules"),
    Path::new("GET, PUT, DELETE", "/v1/rules/{rule}"),
    Path::get("/v1/summary"),
];

/// A path of this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Devices,
    Device(Box<str>),
    Events(Box<str>),
    Commands(Box<str>),
    Command(Box<str>, Box<str>),
    Alerts,
    AlertStep(Box<str>, alerts::Step),
    Rules,
    Rule(Box<str>),
    Summary,
}

impl Route {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix("/v1/")?.split('/');
        let (root, one, two, three) = (
            segments.next()?,
            segments.next(),
            segments.next(),
            segments.next(),
        );
        if segments.next().is_some() {
            return None;
        }
        match (root, one, two, three) {
            ("summary", None, ..) => Some(Self::Summary),
            ("devices", None, ..) => Some(Self::Devices),
            ("devices", Some(id), None, _) => Some(Self::Device(decoded(id)?)),
            ("devices", Some(id), Some("events"), None) => Some(Self::Events(decoded(id)?)),
            ("devices", Some(id), Some("commands"), None) => Some(Self::Commands(decoded(id)?)),
            ("devices", Some(id), Some("commands"), Some(command)) => {
                Some(Self::Command(decoded(id)?, decoded(command)?))
            }
            ("alerts", None, ..) => Some(Self::Alerts),
            ("alerts", Some(id), Some("acknowledge"), None) => {
                Some(Self::AlertStep(decoded(id)?, alerts::Step::Acknowledge))
            }
            ("alerts", Some(id), Some("close"), None) => {
                Some(Self::AlertStep(decoded(id)?, alerts::Step::Close))
            }
            ("rules", None, ..) => Some(Self::Rules),
            ("rules", Some(id), None, _) => Some(Self::Rule(decoded(id)?)),
            _ => None,
        }
    }

    /// The methods of the path, separated by commas.
    pub(super) const fn methods(&self) -> &'static str {
        match self {
            Self::Devices | Self::Device(_) => "GET, DELETE",
            Self::Commands(_) => "GET, POST",
            Self::AlertStep(..) => "POST",
            Self::Rule(_) => "GET, PUT, DELETE",
            Self::Events(_) | Self::Command(..) | Self::Alerts | Self::Rules | Self::Summary => "GET",
        }
    }
}

/// A segment of a path; nothing is no id.
fn decoded(segment: &str) -> Option<Box<str>> {
    let id = percent_decode_str(segment).decode_utf8().ok()?;
    (!id.is_empty()).then(|| Box::from(&*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_is_percent_encoded_in_a_path() {
        assert_eq!(Route::parse("/v1/devices"), Some(Route::Devices));
        assert_eq!(
            Route::parse("/v1/devices/a%2Fb%20c"),
            Some(Route::Device("a/b c".into()))
        );
        assert_eq!(
            Route::parse("/v1/devices/a%2Fb/events"),
            Some(Route::Events("a/b".into()))
        );
        assert_eq!(Route::parse("/v1/summary"), Some(Route::Summary));
        assert_eq!(
            Route::parse("/v1/devices/a%2Fb/commands/c%20"),
            Some(Route::Command("a/b".into(), "c ".into()))
        );
        assert_eq!(
            Route::parse("/v1/alerts/hot~1/close"),
            Some(Route::AlertStep("hot~1".into(), alerts::Step::Close))
        );
        assert_eq!(Route::parse("/v1/rules/hot"), Some(Route::Rule("hot".into())));
    }

    #[test]
    fn every_path_is_read_and_takes_what_it_says() {
        for path in PATHS {
            let route = Route::parse(path.pattern).unwrap();
            assert_eq!(route.methods(), path.methods, "{}", path.pattern);
        }
    }

    #[test]
    fn other_paths_are_left_to_others() {
        for path in [
            "/v1/devices/",
            "/v1/devicesx",
            "/v1/devices/a/commands/",
            "/v1/devices/a/commands/b/c",
            "/v1/alerts/a",
            "/v1/rules/",
            "/v1/devices/a/events/b",
            "/v1",
            "/",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
        assert_eq!(Route::parse("/v1/devices/%ff"), None);
    }
}
