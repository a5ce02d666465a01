//! What devices speak at `/v1/connect`: events and steps of commands, each acknowledged.

use access::events::Outcome;
use access::http::{Path, Surface};

use super::frames::{self, Message, Step};
use crate::dialect::tongue::{Said, Tongue};

/// The native API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Native;

impl Tongue for Native {
    fn path(&self) -> Path {
        Path::get("/v1/connect")
    }

    fn surface(&self) -> Surface {
        Surface::STREAM
    }

    fn has_batches(&self) -> bool {
        true
    }

    fn read(&self, text: &str, events_max: usize) -> Said {
        match Message::read(text, events_max) {
            Ok(message) => Said::Events(message.items, None),
            Err(bad) => Said::Mistake(bad.to_string()),
        }
    }

    fn outcome(&self, index: usize, outcome: &Outcome) -> Option<String> {
        Some(frames::outcome(index, outcome))
    }

    fn error(&self, message: &str) -> Option<String> {
        Some(frames::error(message))
    }

    fn command(&self, step: &Step, input: Option<&str>) -> String {
        step.frame(input)
    }
}
