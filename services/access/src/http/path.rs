//! Which paths a surface answers, as it says itself: the front door brings it requests for these and no
//! others, so that whoever wants to know every way in need only ask.

use ::http::Method;

/// A path, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Its methods, separated as in `Allow`.
    pub methods: &'static str,
    /// `{name}` stands for a segment that is not empty, `{name…}` at the end for all that is left, and
    /// `[/]` at the end for a slash that may be missing.
    pub pattern: &'static str,
}

impl Path {
    /// Takes these methods.
    #[must_use]
    pub const fn new(methods: &'static str, pattern: &'static str) -> Self {
        Self { methods, pattern }
    }

    /// Takes `GET`.
    #[must_use]
    pub const fn get(pattern: &'static str) -> Self {
        Self::new("GET", pattern)
    }

    /// Whether `path`, as it stands in a request, is this one.
    #[must_use]
    pub fn is(&self, path: &str) -> bool {
        fits(self.pattern, path)
    }

    /// Whether it takes this method.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.methods.split(", ").any(|name| name == method.as_str())
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = match pattern.strip_suffix("[/]") {
        Some(pattern) => (pattern, path.strip_suffix('/').unwrap_or(path)),
        None => (pattern, path),
    };
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if is_name(wanted) => {
                if found.is_empty() {
                    return false;
                }
                if wanted.ends_with("…}") {
                    return true;
                }
            }
            (Some(wanted), Some(found)) if wanted == found => {}
            (_, _) => return false,
        }
    }
}

fn is_name(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_segment() {
        let path = Path::get("/v1/devices/{device}/events");
        assert!(path.is("/v1/devices/a%2Fb/events"));
        for other in [
            "/v1/devices//events",
            "/v1/devices/a/b/events",
            "/v1/devices/a/events/",
            "/v1/devices/a",
            "v1/devices/a/events",
        ] {
            assert!(!path.is(other), "{other}");
        }
    }

    #[test]
    fn a_slash_at_the_end_may_be_missing_where_it_says_so() {
        let path = Path::get("/ws/locations/{location}[/]");
        assert!(path.is("/ws/locations/a") && path.is("/ws/locations/a/"));
        assert!(!path.is("/ws/locations/") && !path.is("/ws/locations/a//"));
    }

    #[test]
    fn what_is_left_may_have_slashes() {
        let path = Path::get("/v1/tokens/{id…}");
        assert!(path.is("/v1/tokens/a") && path.is("/v1/tokens/a/b/"));
        assert!(!path.is("/v1/tokens") && !path.is("/v1/tokens/"));
    }

    #[test]
    fn its_methods_are_whole_words() {
        let path = Path::new("GET, PATCH", "/");
        assert!(path.takes(&Method::GET) && path.takes(&Method::PATCH));
        assert!(!path.takes(&Method::POST) && !path.takes(&Method::from_bytes(b"PAT").unwrap()));
    }
}
