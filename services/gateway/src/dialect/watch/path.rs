//! Paths of the watch dialect: `/v1/projects/<project>/devices/<device>/…`.

use percent_encoding::percent_decode_str;
use schemas::json::check_device;

/// The socket.
pub(super) const WATCH: &str = "/v1/projects/{project}/devices/{device}/watch";
/// The legacy event stream.
pub(super) const LOG_STREAM: &str = "/v1/projects/{project}/devices/{device}/logs/stream";
/// Older logs.
pub(super) const LOGS: &str = "/v1/projects/{project}/devices/{device}/logs";
/// The status.
pub(super) const STATUS: &str = "/v1/projects/{project}/devices/{device}/status";
/// A command.
pub(super) const COMMAND: &str = "/v1/projects/{project}/devices/{device}/command";
/// The device's own socket.
pub(super) const CONNECT: &str = "/v1/projects/{project}/devices/{device}/connect/websocket";

/// The project of devices whose ids name none.
const NO_PROJECT: &str = "default";

/// What stands behind the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// The socket.
    Watch,
    /// The legacy event stream.
    LogStream,
    /// Older logs.
    Logs,
    /// The status.
    Status,
    /// A command.
    Command,
    /// The device's own socket.
    Connect,
}

/// Project and device, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    project: Box<str>,
    device: Box<str>,
}

impl Path {
    /// Reads a path.
    pub(super) fn read(path: &str) -> Option<(Self, Tail)> {
        let (project, device, tail) = split(path)?;
        let decode = |segment: &str| Some(percent_decode_str(segment).decode_utf8().ok()?.into());
        let path = Self {
            project: decode(project)?,
            device: decode(device)?,
        };
        Some((path, tail))
    }

    /// The device's id; `None` where no device can have it.
    pub(super) fn device(&self) -> Option<Box<str>> {
        let id = match &*self.project {
            // An id with a slash has a project.
            NO_PROJECT => (!self.device.contains('/')).then(|| self.device.clone())?,
            project if project.contains('/') => return None,
            project => format!("{project}/{}", self.device).into(),
        };
        check_device(&id).is_ok().then_some(id)
    }

    /// How the ids of the project's devices begin; `None` for the project of those without one, which is
    /// always there.
    pub(super) fn prefix(&self) -> Option<Box<str>> {
        (*self.project != *NO_PROJECT).then(|| format!("{}/", self.project).into())
    }
}

fn split(path: &str) -> Option<(&str, &str, Tail)> {
    let (project, rest) = path.strip_prefix("/v1/projects/")?.split_once('/')?;
    let (device, tail) = rest.strip_prefix("devices/")?.split_once('/')?;
    let tail = match tail {
        "watch" => Tail::Watch,
        "logs/stream" => Tail::LogStream,
        "logs" => Tail::Logs,
        "status" => Tail::Status,
        "command" => Tail::Command,
        "connect/websocket" => Tail::Connect,
        _ => return None,
    };
    (!project.is_empty() && !device.is_empty()).then_some((project, device, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(path: &str) -> Option<Box<str>> {
        Path::read(path)?.0.device()
    }

    #[test]
    fn a_device_is_its_project_and_its_name_or_its_name_in_the_default_project() {
        assert_eq!(
            device("/v1/projects/house/devices/lamp/watch").as_deref(),
            Some("house/lamp")
        );
        assert_eq!(
            device("/v1/projects/default/devices/lamp/watch").as_deref(),
            Some("lamp")
        );
        assert_eq!(
            device("/v1/projects/a%20b/devices/l%C3%A4mp/logs").as_deref(),
            Some("a b/lämp")
        );
        assert_eq!(
            device("/v1/projects/a/devices/b%2Fc/status").as_deref(),
            Some("a/b/c")
        );
    }

    #[test]
    fn what_no_device_is_called_is_none() {
        for path in [
            "/v1/projects/default/devices/a%2Fb/watch",
            "/v1/projects/a%2Fb/devices/c/watch",
            "/v1/projects/a/devices/b%2Cc/watch",
            "/v1/projects/a/devices/%FF/watch",
        ] {
            assert_eq!(device(path), None, "{path}");
        }
    }

    #[test]
    fn other_paths_are_not_of_this_dialect() {
        for path in [
            "/v1/projects/a/devices/b",
            "/v1/projects/a/devices/b/watch/",
            "/v1/projects//devices/b/watch",
            "/v1/projects/a/b/watch",
            "/v1/devices/b/watch",
        ] {
            assert!(Path::read(path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_path_is_read() {
        for (path, tail) in [
            (WATCH, Tail::Watch),
            (LOG_STREAM, Tail::LogStream),
            (LOGS, Tail::Logs),
            (STATUS, Tail::Status),
            (COMMAND, Tail::Command),
            (CONNECT, Tail::Connect),
        ] {
            assert_eq!(Path::read(path).map(|(_, found)| found), Some(tail));
        }
    }
}
