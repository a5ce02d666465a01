//! The outside of a batch: where its messages lie in the body, and how many they are. Nothing is built of
//! what the messages say: nobody knows yet who sent them.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The messages of a batch.
pub(super) struct Envelope {
    /// Each as it stands in the body; at most as many as are taken.
    pub(super) messages: Vec<Bytes>,
    /// How many they are.
    pub(super) count: usize,
}

impl Envelope {
    /// Finds the messages; none where there is no array of them. Keeps at most `most`.
    pub(super) fn read(body: &Bytes, most: usize) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let found = reader.deserialize_map(Outside { most }).ok()?;
        reader.end().ok()?;
        let (texts, count) = found?;
        let messages = texts.into_iter().map(|text| body.slice_ref(text.as_bytes()));
        Some(Self {
            messages: messages.collect(),
            count,
        })
    }
}

type Texts<'de> = (Vec<&'de str>, usize);

struct Outside {
    most: usize,
}

impl<'de> Visitor<'de> for Outside {
    type Value = Option<Texts<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(IsMessages(is_messages)) = map.next_key()? {
            if is_messages {
                found = Some(map.next_value_seed(Messages { most: self.most })?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a member is the one that is looked for; other names are not kept.
struct IsMessages(bool);

impl<'de> Deserialize<'de> for IsMessages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = IsMessages;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<IsMessages, E> {
                Ok(IsMessages(name == "messages"))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

struct Messages {
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Messages {
    type Value = Texts<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages {
    type Value = Texts<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while texts.len() < self.most {
            match messages.next_element::<&RawValue>()? {
                Some(message) => texts.push(message.get()),
                None => {
                    let count = texts.len();
                    return Ok((texts, count));
                }
            }
        }
        let mut count = texts.len();
        while messages.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok((texts, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str, most: usize) -> Option<(Vec<Bytes>, usize)> {
        let body = Bytes::from_static(body.as_bytes());
        Envelope::read(&body, most).map(|envelope| (envelope.messages, envelope.count))
    }

    #[test]
    fn messages_are_found_where_they_lie() {
        let found = read(r#" {"a":[1],"messages":[{"x": 1}, 2 ,"three"],"b":{}} "#, 3);
        let texts = [r#"{"x": 1}"#, "2", r#""three""#];
        assert_eq!(found, Some((texts.map(Bytes::from).to_vec(), 3)));
        assert_eq!(read(r#"{"messages":[]}"#, 3), Some((Vec::new(), 0)));
    }

    #[test]
    fn more_messages_than_are_taken_are_counted_and_not_kept() {
        let found = read(r#"{"messages":[1,2,3,4]}"#, 2);
        assert_eq!(found, Some((vec![Bytes::from("1"), Bytes::from("2")], 4)));
    }

    #[test]
    fn what_is_no_batch_has_no_messages() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"messages":{}}"#,
            r#"{"messages":[1]"#,
            r#"{"messages":[1]} 2"#,
        ] {
            assert_eq!(read(body, 3), None, "{body}");
        }
    }
}
