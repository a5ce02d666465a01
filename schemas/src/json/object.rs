//! One JSON object while it is written. Absent members are left out.

use super::mask::masked;
use crate::event::Point;
use crate::{Micros, token};

pub(super) struct Object<'a> {
    pub(super) out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn start(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// Writes a member's name; its value is to follow. The name needs no escaping.
    pub(super) fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.out
            .extend_from_slice(if self.empty { b"\"" } else { b",\"" });
        self.empty = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Writes a member's name that may be anything; its value is to follow.
    pub(super) fn any_name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        token::string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text<'t>(&mut self, name: &'static str, text: impl Into<Option<&'t str>>) {
        if let Some(text) = text.into() {
            token::string(text, self.name(name));
        }
    }

    pub(super) fn boolean(&mut self, name: &'static str, value: impl Into<Option<bool>>) {
        if let Some(value) = value.into() {
            token::boolean(value, self.name(name));
        }
    }

    pub(super) fn integer(&mut self, name: &'static str, value: impl Into<Option<i64>>) {
        if let Some(value) = value.into() {
            token::integer(value, self.name(name));
        }
    }

    pub(super) fn number(&mut self, name: &'static str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            token::number(value, self.name(name));
        }
    }

    pub(super) fn time(&mut self, name: &'static str, at: impl Into<Option<Micros>>) {
        if let Some(at) = at.into() {
            token::time(at, self.name(name));
        }
    }

    /// JSON text, as JSON; secrets in it are masked.
    pub(super) fn json<'t>(&mut self, name: &'static str, json: impl Into<Option<&'t str>>) {
        if let Some(json) = json.into() {
            self.name(name).extend_from_slice(masked(json).as_bytes());
        }
    }

    pub(super) fn texts(&mut self, name: &'static str, texts: &[Box<str>]) {
        self.array(name, texts, |text, out| token::string(text, out));
    }

    pub(super) fn array<T>(&mut self, name: &'static str, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
        let out = self.name(name);
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(item, out);
        }
        out.push(b']');
    }

    /// A GeoJSON Point.
    pub(super) fn point(&mut self, name: &'static str, point: Option<&Point>) {
        let Some(point) = point else { return };
        let out = self.name(name);
        out.extend_from_slice(b"{\"type\":\"Point\",\"coordinates\":[");
        token::number(point.longitude, out);
        out.push(b',');
        token::number(point.latitude, out);
        if let Some(altitude) = point.altitude {
            out.push(b',');
            token::number(altitude, out);
        }
        out.extend_from_slice(b"]}");
    }
}
