//! The query of a URI, with each parameter once.

use std::borrow::Cow;

use super::Problem;

/// A query, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl Query {
    /// Decodes a query as it stands behind `?`; invalid UTF-8 becomes U+FFFD, which no name has.
    #[must_use]
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let own = |text: Cow<'_, str>| text.into_owned().into_boxed_str();
        Self {
            parameters: pairs.map(|(name, value)| (own(name), own(value))).collect(),
        }
    }

    /// The value of a parameter that may stand once.
    ///
    /// # Errors
    /// 400 when it stands twice with different values.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(Problem::bad_request(format!(
                "the query names {name} more than once, with different values"
            )));
        }
        Ok(first)
    }

    /// A parameter that is a whole number from `least` to `most`.
    ///
    /// # Errors
    /// 400 when it is something else.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(Problem::bad_request(format!(
                "{name} must be a whole number from {least} to {most}"
            ))),
        }
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.parameters
            .iter()
            .filter(move |(parameter, _)| **parameter == *name)
            .map(|(_, value)| &**value)
    }

    /// The names that stand in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| &**name)
    }
}
