//! The measure of a document's content.

use schemas::{Document, Scalar};

/// Counted for each value, its length and its tags; what they truly take is less.
const VALUE: usize = 12;
/// Counted for the members of an object that have a fixed length.
const OBJECT: usize = 64;

/// Length of the content of `document` in bytes: what it takes when stored, or a little more.
///
/// It does not depend on the codec, so that a replay by a later version refuses the same events, and
/// members of fixed length count whether they are there or not, so that a full document can still go
/// offline.
#[must_use]
pub fn size(document: &Document) -> usize {
    let head = [
        &document.name,
        &document.device_type,
        &document.site_id,
        &document.attributes,
    ];
    OBJECT
        + text(&document.tenant)
        + text(&document.id)
        + head.into_iter().map(optional).sum::<usize>()
        + document.tags.iter().map(|tag| text(tag)).sum::<usize>()
        + document.location.as_ref().map_or(0, |location| {
            let texts = [
                &location.id,
                &location.name,
                &location.address,
                &location.location_type,
            ];
            OBJECT + texts.into_iter().map(optional).sum::<usize>()
        })
        + document
            .lock
            .as_ref()
            .map_or(0, |lock| OBJECT + optional(&lock.code) + optional(&lock.metadata))
        + document
            .fields
            .0
            .iter()
            .map(|(path, value)| text(path) + scalar(value))
            .sum::<usize>()
        + entities(document)
        + commands(document)
        + alerts(document)
}

fn entities(document: &Document) -> usize {
    let entities = document.entities.iter();
    entities
        .map(|(id, entity)| OBJECT + text(id) + scalar(&entity.value) + text(&entity.source))
        .sum()
}

fn commands(document: &Document) -> usize {
    let commands = document.commands.iter();
    commands
        .map(|command| {
            let texts = [&command.input, &command.connection, &command.output, &command.by];
            OBJECT
                + text(&command.command_id)
                + text(&command.command_type)
                + texts.into_iter().map(optional).sum::<usize>()
        })
        .sum()
}

fn alerts(document: &Document) -> usize {
    let alerts = document.alerts.iter();
    alerts
        .map(|alert| {
            OBJECT
                + text(&alert.alert_id)
                + text(&alert.alert_type)
                + text(&alert.summary)
                + optional(&alert.site_id)
        })
        .sum()
}

fn scalar(value: &Scalar) -> usize {
    match value {
        Scalar::String(value) | Scalar::Json(value) => text(value),
        Scalar::Null | Scalar::Boolean(_) | Scalar::Integer(_) | Scalar::Number(_) => VALUE,
    }
}

fn optional(value: &Option<Box<str>>) -> usize {
    value.as_deref().map_or(0, text)
}

fn text(value: &str) -> usize {
    VALUE + value.len()
}
