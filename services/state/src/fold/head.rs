//! The head of the document: each member that the event has replaces the old one.

use schemas::Document;
use schemas::event::Device;

pub(super) fn apply(document: &mut Document, device: &Device) {
    replace(&mut document.name, device.name.as_ref());
    replace(&mut document.device_type, device.device_type.as_ref());
    replace(&mut document.site_id, device.site_id.as_ref());
    replace(&mut document.attributes, device.attributes.as_ref());
    if let Some(tags) = &device.tags {
        document.tags.clone_from(tags);
    }
}

fn replace(member: &mut Option<Box<str>>, said: Option<&Box<str>>) {
    if let Some(said) = said {
        *member = Some(said.clone());
    }
}
