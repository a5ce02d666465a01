//! Entities: the newest value of each by the device's time.

use schemas::document::DeviceEntity;
use schemas::event::Entity;
use schemas::{Document, Event};

pub(super) fn apply(document: &mut Document, event: &Event, entity: &Entity) {
    match document.entities.get_mut(&entity.entity_id) {
        Some(known) if event.occurred_at < known.at => {}
        Some(known) => {
            // An equal value stays as it stands: 0.0 and -0.0 are equal and have other bytes.
            if known.value != entity.value {
                known.value = entity.value.clone();
            }
            known.source.clone_from(&entity.source);
            known.at = event.occurred_at;
        }
        None => {
            let first = DeviceEntity {
                value: entity.value.clone(),
                source: entity.source.clone(),
                at: event.occurred_at,
            };
            document.entities.insert(entity.entity_id.clone(), first);
        }
    }
}
