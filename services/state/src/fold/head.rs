//! The head of the document: each member that the event has replaces the old one.

use schemas::Document;
use schemas::event::Device;

pub(super) fn apply(document: &mut Document, device: &Device) {
    replace(&mut document.name, device.name.as_deref());
    replace(&mut document.device_type, device.device_type.as_deref());
    replace(&mut document.site_id, device.site_id.as_deref());
    replace(&mut document.attributes, device.attributes.as_deref());
    if let Some(tags) = &device.tags {
        document.tags.clone_from(tags);
    }
}

fn replace(member: &mut Option<Box<str>>, said: Option<&str>) {
    if let Some(said) = said {
        *member = Some(said.into());
    }
}
