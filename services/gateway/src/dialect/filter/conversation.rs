//! What clients of the filter dialect say: filters to add, and that there shall be none.

use bytes::Bytes;
use query::{Filter, Limits};
use serde_json::Value;

use super::{FILTER_PARSE, error};
use crate::dialect::{Action, Conversation, Moment};
use crate::filters::Filters;
use crate::subscription::Selection;

/// One client. What it has chosen stands in the selection.
pub(super) struct Talk {
    limits: Limits,
}

impl Talk {
    /// Filters are within `limits`.
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Conversation for Talk {
    fn text(&mut self, text: &str, at: &Moment<'_>) -> Vec<Action> {
        let message: Value = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(mistake) => return vec![invalid_json(&mistake.to_string())],
        };
        let chosen = &at.subscription.selection.filters;
        match (message.get("filter"), message.get("clear")) {
            (Some(Value::String(text)), None) => match Filter::parse(text, &self.limits) {
                Ok(filter) => select(at, chosen.clone().unwrap_or_default().with(filter)),
                Err(mistake) => vec![Action::send(error(FILTER_PARSE, &mistake.to_string()))],
            },
            (None, Some(Value::Object(_))) => select(at, Filters::silent()),
            (Some(_), Some(_)) => vec![unknown("a command has one member, filter or clear")],
            (Some(_), None) => vec![unknown("the filter must be a string: {\"filter\":\"<query>\"}")],
            (None, Some(_)) => vec![unknown("clear takes an object: {\"clear\":{}}")],
            (None, None) => vec![unknown(&named(&message))],
        }
    }

    fn binary(&mut self, _: &Moment<'_>) -> Vec<Action> {
        vec![invalid_json("a binary message: commands are texts")]
    }

    /// The one thing that the session refuses is a filter too many.
    fn refusal(&self, reason: &str) -> Option<Bytes> {
        Some(error(FILTER_PARSE, &format!("the filter was not added: {reason}")).into())
    }
}

/// There is no acknowledgement.
fn select(at: &Moment<'_>, filters: Filters) -> Vec<Action> {
    vec![Action::Select(Selection {
        filters: Some(filters),
        ..at.subscription.selection.clone()
    })]
}

/// Characters of a command's name that an error repeats.
const SHOWN_MAX: usize = 40;

fn named(message: &Value) -> String {
    let name = message.as_object().and_then(|members| members.keys().next());
    let found = match name {
        Some(name) => format!("{:?}", name.chars().take(SHOWN_MAX).collect::<String>()),
        None => "no command".to_owned(),
    };
    format!("found {found}, expected filter or clear")
}

fn unknown(explanation: &str) -> Action {
    Action::send(error("unknown_command", explanation))
}

fn invalid_json(explanation: &str) -> Action {
    Action::send(error("invalid_json", explanation))
}
