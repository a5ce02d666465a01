//! The location: merged by member; made whole, with defaults, by the first event that places the device.

use schemas::Document;
use schemas::document::DeviceLocation;
use schemas::event::{Location, Point};
use uuid::Uuid;

/// Namespace of the ids of locations that nobody named. Once drawn at random; never changes.
const LOCATIONS: Uuid = Uuid::from_u128(0x8c5e_02f1_6d0b_5b0e_9d3a_5c6f_1f7a_4be2);

/// The id of a device's location where no event gave one: UUIDv5 of `tenant/device`.
#[must_use]
pub fn default_id(tenant: &str, device: &str) -> Box<str> {
    Uuid::new_v5(&LOCATIONS, format!("{tenant}/{device}").as_bytes())
        .to_string()
        .into()
}

pub(super) fn apply(document: &mut Document, event: &Location) {
    if *event == Location::default() {
        return;
    }
    let mut location = document.location.take().unwrap_or_else(|| created(document));
    merge(&mut location.id, event.id.as_ref());
    merge(&mut location.name, event.name.as_ref());
    merge(&mut location.address, event.address.as_ref());
    merge(&mut location.location_type, event.location_type.as_ref());
    merge(&mut location.is_mobile, event.is_mobile.as_ref());
    merge(&mut location.geometry, event.geometry.as_ref());
    document.location = Some(location);
}

/// Moves the device to `point`.
pub(super) fn place(document: &mut Document, point: Point) {
    let mut location = document.location.take().unwrap_or_else(|| created(document));
    merge(&mut location.geometry, Some(&point));
    document.location = Some(location);
}

fn created(document: &Document) -> DeviceLocation {
    DeviceLocation {
        id: Some(default_id(&document.tenant, &document.id)),
        name: Some(document.name.as_ref().unwrap_or(&document.id).clone()),
        address: Some("".into()),
        location_type: Some("outdoor".into()),
        is_mobile: Some(true),
        geometry: None,
    }
}

/// Takes what the event says; an equal value stays as it stands (0.0 and -0.0 have other bytes).
fn merge<T: Clone + PartialEq>(member: &mut Option<T>, said: Option<&T>) {
    if said.is_some() && member.as_ref() != said {
        *member = said.cloned();
    }
}
