//! `Fields` as six typed members, and `Scalar` as a record of which one member is set.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};

use super::{DecodeError, finite, json_text};
use crate::fields::ScalarRef;
use crate::{Fields, Scalar};

/// The record `Fields`. Borrowed on the way out, owned on the way in.
pub(super) struct FieldsRecord<'a>(pub(super) Cow<'a, Fields>);

impl Default for FieldsRecord<'_> {
    fn default() -> Self {
        Self(Cow::Owned(Fields::default()))
    }
}

/// The typed maps, in the order of the schema.
const MEMBERS: [&str; 6] = ["integers", "numbers", "booleans", "strings", "json", "removed"];

impl Serialize for FieldsRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = &self.0.0;
        // One pass counts, so that each map is one block of known length.
        let mut counts = [0_usize; 6];
        for value in fields.values() {
            counts[member_of(value)] += 1;
        }
        let mut record = serializer.serialize_struct("Fields", MEMBERS.len())?;
        for (index, member) in MEMBERS.into_iter().enumerate().take(5) {
            record.serialize_field(
                member,
                &TypedMap {
                    fields,
                    index,
                    count: counts[index],
                },
            )?;
        }
        record.serialize_field(
            MEMBERS[5],
            &Removed {
                fields,
                count: counts[5],
            },
        )?;
        record.end()
    }
}

/// Index in `MEMBERS` of the map that holds such a value.
const fn member_of(value: &Scalar) -> usize {
    match value {
        Scalar::Integer(_) => 0,
        Scalar::Number(_) => 1,
        Scalar::Boolean(_) => 2,
        Scalar::String(_) => 3,
        Scalar::Json(_) => 4,
        Scalar::Null => 5,
    }
}

struct TypedMap<'a> {
    fields: &'a BTreeMap<Box<str>, Scalar>,
    index: usize,
    count: usize,
}

impl Serialize for TypedMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.count))?;
        if self.count > 0 {
            for (path, value) in self
                .fields
                .iter()
                .filter(|(_, value)| member_of(value) == self.index)
            {
                match value {
                    Scalar::Integer(value) => map.serialize_entry(path, value)?,
                    Scalar::Number(value) => map.serialize_entry(path, value)?,
                    Scalar::Boolean(value) => map.serialize_entry(path, value)?,
                    Scalar::String(value) | Scalar::Json(value) => map.serialize_entry(path, value)?,
                    Scalar::Null => {}
                }
            }
        }
        map.end()
    }
}

struct Removed<'a> {
    fields: &'a BTreeMap<Box<str>, Scalar>,
    count: usize,
}

impl Serialize for Removed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut paths = serializer.serialize_seq(Some(self.count))?;
        if self.count > 0 {
            for (path, _) in self
                .fields
                .iter()
                .filter(|(_, value)| matches!(value, Scalar::Null))
            {
                paths.serialize_element(path)?;
            }
        }
        paths.end()
    }
}

impl<'de> Deserialize<'de> for FieldsRecord<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PathsRecord(paths) = PathsRecord::deserialize(deserializer)?;
        let fields = paths
            .into_iter()
            .map(|(path, value)| (path.into(), Scalar::from(value)));
        Ok(Self(Cow::Owned(Fields(fields.collect()))))
    }
}

/// The record `Fields` as it is read, by path, each once: what is only passed on is copied nowhere.
#[derive(Default)]
pub(super) struct PathsRecord<'a>(pub(super) Vec<(&'a str, ScalarRef<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for PathsRecord<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Fields", &MEMBERS, PathsVisitor(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    Integers,
    Numbers,
    Booleans,
    Strings,
    Json,
    Removed,
    #[serde(other)]
    Other,
}

struct PathsVisitor<'a>(PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for PathsVisitor<'a> {
    type Value = PathsRecord<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record of typed maps")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut record: A) -> Result<Self::Value, A::Error> {
        let mut paths: Vec<(&'de str, ScalarRef<'de>)> = Vec::new();
        while let Some(member) = record.next_key::<Member>()? {
            let into = &mut paths;
            match member {
                Member::Integers => record.next_value_seed(MapInto::<i64>::new(into))?,
                Member::Numbers => record.next_value_seed(MapInto::<f64>::new(into))?,
                Member::Booleans => record.next_value_seed(MapInto::<bool>::new(into))?,
                Member::Strings => record.next_value_seed(MapInto::<Text>::new(into))?,
                Member::Json => record.next_value_seed(MapInto::<Json>::new(into))?,
                Member::Removed => record.next_value_seed(RemovedInto(into))?,
                Member::Other => {
                    record.next_value::<IgnoredAny>()?;
                }
            }
        }
        // Other writers may put a path into two of the maps: the last one holds.
        paths.sort_by_key(|(path, _)| *path);
        paths.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        Ok(PathsRecord(paths))
    }
}

/// A value of one of the typed maps.
trait MapValue<'de>: Deserialize<'de> {
    fn into_scalar(self) -> Result<ScalarRef<'de>, String>;
}

impl<'de> MapValue<'de> for i64 {
    fn into_scalar(self) -> Result<ScalarRef<'de>, String> {
        Ok(ScalarRef::Integer(self))
    }
}

impl<'de> MapValue<'de> for f64 {
    fn into_scalar(self) -> Result<ScalarRef<'de>, String> {
        if self.is_finite() {
            Ok(ScalarRef::Number(self))
        } else {
            Err(format!("{self} is not finite"))
        }
    }
}

impl<'de> MapValue<'de> for bool {
    fn into_scalar(self) -> Result<ScalarRef<'de>, String> {
        Ok(ScalarRef::Boolean(self))
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(&'a str);

impl<'de> MapValue<'de> for Text<'de> {
    fn into_scalar(self) -> Result<ScalarRef<'de>, String> {
        Ok(ScalarRef::String(self.0))
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Json<'a>(&'a str);

impl<'de> MapValue<'de> for Json<'de> {
    fn into_scalar(self) -> Result<ScalarRef<'de>, String> {
        json_text::compact(self.0)
            .map(ScalarRef::Json)
            .map_err(|error| format!("not JSON text: {error}"))
    }
}

type Paths<'de> = Vec<(&'de str, ScalarRef<'de>)>;

struct MapInto<'a, 'de, T> {
    paths: &'a mut Paths<'de>,
    of: PhantomData<T>,
}

impl<'a, 'de, T> MapInto<'a, 'de, T> {
    const fn new(paths: &'a mut Paths<'de>) -> Self {
        Self {
            paths,
            of: PhantomData,
        }
    }
}

impl<'de, T: MapValue<'de>> DeserializeSeed<'de> for MapInto<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: MapValue<'de>> Visitor<'de> for MapInto<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map by path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((path, value)) = map.next_entry::<&str, T>()? {
            let value = value
                .into_scalar()
                .map_err(|reason| A::Error::custom(format!("{path}: {reason}")))?;
            self.paths.push((path, value));
        }
        Ok(())
    }
}

struct RemovedInto<'a, 'de>(&'a mut Paths<'de>);

impl<'de> DeserializeSeed<'de> for RemovedInto<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RemovedInto<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of paths")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut paths: A) -> Result<(), A::Error> {
        while let Some(path) = paths.next_element::<&str>()? {
            self.0.push((path, ScalarRef::Null));
        }
        Ok(())
    }
}

/// The record `Value`: at most one member is set; none means null.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ValueRecord<'a> {
    integer: Option<i64>,
    number: Option<f64>,
    boolean: Option<bool>,
    #[serde(borrow)]
    string: Option<&'a str>,
    #[serde(borrow)]
    json: Option<&'a str>,
}

impl<'a> From<&'a Scalar> for ValueRecord<'a> {
    fn from(value: &'a Scalar) -> Self {
        let none = Self::default();
        match value {
            Scalar::Null => none,
            Scalar::Integer(value) => Self {
                integer: Some(*value),
                ..none
            },
            Scalar::Number(value) => Self {
                number: Some(*value),
                ..none
            },
            Scalar::Boolean(value) => Self {
                boolean: Some(*value),
                ..none
            },
            Scalar::String(value) => Self {
                string: Some(value),
                ..none
            },
            Scalar::Json(value) => Self {
                json: Some(value),
                ..none
            },
        }
    }
}

impl TryFrom<ValueRecord<'_>> for Scalar {
    type Error = DecodeError;

    fn try_from(record: ValueRecord<'_>) -> Result<Self, DecodeError> {
        Ok(match record {
            ValueRecord {
                integer: Some(value), ..
            } => Self::Integer(value),
            ValueRecord {
                number: Some(value), ..
            } => Self::Number(finite("value.number", value)?),
            ValueRecord {
                boolean: Some(value), ..
            } => Self::Boolean(value),
            ValueRecord {
                string: Some(value), ..
            } => Self::String(value.into()),
            ValueRecord {
                json: Some(value), ..
            } => Self::Json(json_text::checked("value.json", value)?),
            ValueRecord {
                integer: None,
                number: None,
                boolean: None,
                string: None,
                json: None,
            } => Self::Null,
        })
    }
}
