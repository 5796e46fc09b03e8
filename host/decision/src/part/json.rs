//! JSON form of a [`Part`]. It is written by hand because the names of two fields depend
//! on the question. Otherwise it equals a derived form with names in camelCase that
//! denies unknown fields.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Part;
use crate::policy::PolicyFailure;
use crate::question::Question;

/// Tag of a failure in place of an answer.
const FAILURE_TAG: &str = "failure";

/// Fields that are always written.
const FIELDS: usize = 8;

impl<Q: Question> Serialize for Part<Q> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let optional = usize::from(self.previous) + usize::from(!self.log.is_empty());
        let mut fields = serializer.serialize_struct("Part", FIELDS + optional)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("version", &self.version)?;
        fields.serialize_field("failed", &self.failed)?;
        if self.previous {
            fields.serialize_field("previous", &true)?;
        }
        fields.serialize_field("context", &self.context)?;
        fields.serialize_field(Q::OWN_FIELD, &self.own)?;
        fields.serialize_field("budget", &self.budget)?;
        fields.serialize_field("usage", &self.usage)?;
        fields.serialize_field("answer", &Written::<Q>(&self.answer))?;
        if !self.log.is_empty() {
            fields.serialize_field("log", &self.log)?;
        }
        fields.end()
    }
}

/// Serializes an answer or a failure.
struct Written<'a, Q: Question>(&'a Result<Q::Answer, PolicyFailure>);

impl<Q: Question> Serialize for Written<'_, Q> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Ok(answer) => serializer.serialize_newtype_variant("Answer", 0, Q::ANSWER_TAG, answer),
            Err(failure) => serializer.serialize_newtype_variant("Answer", 1, FAILURE_TAG, failure),
        }
    }
}

impl<'de, Q: Question> Deserialize<'de> for Part<Q> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartVisitor(PhantomData))
    }
}

struct PartVisitor<Q>(PhantomData<Q>);

impl<'de, Q: Question> Visitor<'de> for PartVisitor<Q> {
    type Value = Part<Q>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the part of a policy")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part<Q>, A::Error> {
        let (mut name, mut version, mut failed, mut previous) = (None, None, None, None);
        let (mut context, mut own, mut budget, mut usage) = (None, None, None, None);
        let (mut answer, mut log) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => read(&mut name, "name", &mut map)?,
                "version" => read(&mut version, "version", &mut map)?,
                "failed" => read(&mut failed, "failed", &mut map)?,
                "previous" => read(&mut previous, "previous", &mut map)?,
                "context" => read(&mut context, "context", &mut map)?,
                "budget" => read(&mut budget, "budget", &mut map)?,
                "usage" => read(&mut usage, "usage", &mut map)?,
                "answer" => read(&mut answer, "answer", &mut map)?,
                "log" => read(&mut log, "log", &mut map)?,
                key if key == Q::OWN_FIELD => read(&mut own, Q::OWN_FIELD, &mut map)?,
                unknown => return Err(A::Error::unknown_field(unknown, &[])),
            }
        }
        let Read::<Q>(answer) = there(answer, "answer")?;
        Ok(Part {
            name: there(name, "name")?,
            version: version.unwrap_or_default(),
            failed: failed.unwrap_or_default(),
            previous: previous.unwrap_or_default(),
            context: there(context, "context")?,
            own: there(own, Q::OWN_FIELD)?,
            budget: budget.unwrap_or_default(),
            usage: there(usage, "usage")?,
            answer,
            log: log.unwrap_or_default(),
        })
    }
}

/// Reads the value of a field. Refuses a second value.
fn read<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut Option<T>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if field.is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    *field = Some(map.next_value()?);
    Ok(())
}

fn there<T, E: serde::de::Error>(field: Option<T>, name: &'static str) -> Result<T, E> {
    field.ok_or_else(|| E::missing_field(name))
}

/// A deserialized answer or failure.
struct Read<Q: Question>(Result<Q::Answer, PolicyFailure>);

impl<'de, Q: Question> Deserialize<'de> for Read<Q> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnswerVisitor(PhantomData))
    }
}

struct AnswerVisitor<Q>(PhantomData<Q>);

impl<'de, Q: Question> Visitor<'de> for AnswerVisitor<Q> {
    type Value = Read<Q>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} or {FAILURE_TAG}", Q::ANSWER_TAG)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read<Q>, A::Error> {
        let tag = map.next_key::<String>()?;
        let answer = match tag.as_deref() {
            Some(FAILURE_TAG) => Err(map.next_value()?),
            Some(tag) if tag == Q::ANSWER_TAG => Ok(map.next_value()?),
            Some(tag) => return Err(A::Error::unknown_variant(tag, &[])),
            None => return Err(A::Error::missing_field(Q::ANSWER_TAG)),
        };
        match map.next_key::<String>()? {
            Some(more) => Err(A::Error::unknown_field(&more, &[])),
            None => Ok(Read(answer)),
        }
    }
}
