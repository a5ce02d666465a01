//! Paths of the controller dialect, with or without a slash at the end.

use access::http::Path;
use percent_encoding::percent_decode_str;

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    /// Updates of the commands of a device.
    Commands(Box<str>),
    /// Updates of one location.
    Location(Box<str>),
    /// Updates of every location.
    Locations,
}

/// A resource that is no socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    /// Where a device is.
    Coordinates(Box<str>),
    /// A device's commands.
    Commands(Box<str>),
    /// One of them.
    Command(Box<str>, Box<str>),
}

impl Socket {
    pub(super) const PATHS: &[&str] = &[
        "/ws/controller/device/{device}/command[/]",
        "/ws/loci/location/{location}[/]",
        "/ws/loci/location[/]",
    ];

    pub(super) fn read(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/ws/loci/location") {
            return match rest {
                "" | "/" => Some(Self::Locations),
                rest => Some(Self::Location(decoded(rest.strip_prefix('/')?.trim_end_slash())?)),
            };
        }
        let rest = path.strip_prefix("/ws/controller/device/")?;
        let (device, tail) = rest.split_once('/')?;
        (tail.trim_end_slash() == "command").then_some(Self::Commands(decoded(device)?))
    }
}

impl Resource {
    pub(super) const PATHS: &[Path] = &[
        Path::new("PUT", "/api/v1/controller/device/{device}/coordinates[/]"),
        Path::new("GET, POST", "/api/v1/controller/device/{device}/command[/]"),
        Path::get("/api/v1/controller/device/{device}/command/{command}[/]"),
    ];
    pub(super) fn read(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/v1/controller/device/")?.trim_end_slash();
        let (device, tail) = rest.split_once('/')?;
        let device = decoded(device)?;
        match tail.split_once('/') {
            None if tail == "coordinates" => Some(Self::Coordinates(device)),
            None if tail == "command" => Some(Self::Commands(device)),
            Some(("command", id)) => Some(Self::Command(device, decoded(id)?)),
            Some(_) | None => None,
        }
    }
}

/// One slash less at the end, where there is one.
trait TrimEndSlash {
    fn trim_end_slash(&self) -> &str;
}

impl TrimEndSlash for str {
    fn trim_end_slash(&self) -> &str {
        self.strip_suffix('/').unwrap_or(self)
    }
}

/// A segment of a path, decoded; none is empty or has a slash of its own.
fn decoded(segment: &str) -> Option<Box<str>> {
    if segment.is_empty() || segment.contains('/') {
        return None;
    }
    Some(percent_decode_str(segment).decode_utf8().ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sockets_are_found_with_and_without_a_slash_at_the_end() {
        for end in ["", "/"] {
            let read = |path: &str| Socket::read(&format!("{path}{end}"));
            assert_eq!(
                read("/ws/controller/device/a%2Fb/command"),
                Some(Socket::Commands("a/b".into()))
            );
            assert_eq!(read("/ws/loci/location/x"), Some(Socket::Location("x".into())));
            assert_eq!(read("/ws/loci/location"), Some(Socket::Locations));
        }
        for path in [
            "/ws/controller/device//command",
            "/ws/controller/device/a",
            "/ws/controller/device/a/commands",
            "/ws/loci/location/a/b",
            "/ws/loci/locations",
            "/ws/loci/location//",
        ] {
            assert_eq!(Socket::read(path), None, "{path}");
        }
    }

    #[test]
    fn the_resources_are_found_with_and_without_a_slash_at_the_end() {
        for end in ["", "/"] {
            let read = |tail: &str| Resource::read(&format!("/api/v1/controller/device/a/{tail}{end}"));
            assert_eq!(read("coordinates"), Some(Resource::Coordinates("a".into())));
            assert_eq!(read("command"), Some(Resource::Commands("a".into())));
            assert_eq!(read("command/c"), Some(Resource::Command("a".into(), "c".into())));
            assert_eq!(read("command/c/d"), None);
            assert_eq!(read("other"), None);
        }
    }
}
