//! How the sockets begin: who may open them, and what they show.

use std::collections::BTreeSet;
use std::sync::Arc;

use access::http::Problem;
use access::principal::is_tenant;
use schemas::Kind;
use state::DeviceKey;

use super::command;
use super::earlier::Earlier;
use super::location::{All, One, Places};
use super::{DEVICES, LOCATIONS, allowed, may_anywhere, not_allowed};
use crate::dialect::{Answer, Ask, Asked, Dialect, Opening, Refusal};
use crate::open::parameters::{BadParameter, from};
use crate::subscription::{DeviceSet, KindSet, Selection, TenantScope, Told, View};

/// Devices that are looked at for those at a location.
const DEVICES_AT_MAX: usize = 10_000;

/// Updates of the commands of one device.
pub(super) fn commands(asked: &Asked<'_>, device: Box<str>) -> Result<Opening, Refusal> {
    let principal = Arc::clone(asked.principal);
    if !may_anywhere(&principal, DEVICES) || !principal.devices.contains(&device) {
        return Err(not_allowed());
    }
    let told = Told {
        kinds: KindSet::NONE.with(Kind::Command),
        of_all: KindSet::NONE,
    };
    let named = named(asked)?;
    let devices = [device.clone()];
    let mut opening = opening(asked, View::Events, &devices, told, Arc::new(command::Frames))?;
    opening.bound = true;
    let rows_max = asked.settings.command_rows_max;
    opening.question = Some((
        Ask::TenantsOf(device.clone()),
        Box::new(move |opening, answer| {
            let Answer::Tenants(tenants) = answer else {
                return Err(unavailable());
            };
            let known = allowed(&principal, tenants, DEVICES);
            let looked_at: Vec<Box<str>> = match &named {
                Some(named) => vec![named.clone()],
                None => known.iter().cloned().collect(),
            };
            opening.selection.tenant = match named {
                // A superuser may wait for a device.
                Some(tenant) if principal.is_superuser() => TenantScope::One(tenant),
                Some(tenant) if known.contains(&tenant) => TenantScope::One(tenant),
                Some(_) => return Err(not_allowed()),
                None if known.len() == 1 => one_or_some(known),
                None if principal.is_superuser() => TenantScope::All,
                None if known.is_empty() => return Err(not_allowed()),
                None => one_or_some(known),
            };
            Earlier::new(device, looked_at, rows_max).go_on(opening);
            Ok(())
        }),
    ));
    Ok(opening)
}

/// Updates of one location, whichever devices are there.
pub(super) fn location(asked: &Asked<'_>, location: Box<str>) -> Result<Opening, Refusal> {
    let principal = Arc::clone(asked.principal);
    if !may_anywhere(&principal, LOCATIONS) {
        return Err(not_allowed());
    }
    let told = Told {
        kinds: KindSet::NONE.with(Kind::Telemetry),
        of_all: KindSet::NONE.with(Kind::Location),
    };
    let named = named(asked)?;
    let mut opening = opening(asked, View::Devices, &[], told, Arc::new(One))?;
    let tenants = match &named {
        Some(named) => Some(Arc::new(BTreeSet::from([named.clone()]))),
        None if principal.is_superuser() => None,
        None => Some(Arc::clone(&principal.organizations)),
    };
    // Who comes while it is asked who is there is told of.
    opening.begins_before = Some(tenants.clone().map_or(TenantScope::All, TenantScope::Some));
    let ask = Ask::DevicesAt {
        location: location.clone(),
        tenants,
        limit: DEVICES_AT_MAX,
    };
    opening.question = Some((
        ask,
        Box::new(move |opening, answer| {
            let Answer::Places(keys) = answer else {
                return Err(unavailable());
            };
            let is_visible = |key: &&DeviceKey| {
                principal.devices.contains(&key.device)
                    && named.as_ref().is_none_or(|named| *named == key.tenant)
            };
            let tenants = keys.iter().filter(is_visible).map(|key| key.tenant.clone());
            let tenants = allowed(&principal, tenants, LOCATIONS);
            if tenants.is_empty() {
                return Err(not_allowed());
            }
            let there = keys.into_iter().filter(|key| tenants.contains(&key.tenant));
            let there: Vec<DeviceKey> = there.collect();
            let devices = there.iter().map(|key| key.device.clone()).collect();
            opening.conversation = Box::new(Places::of(location, there));
            opening.selection.devices = DeviceSet::Set(Arc::new(devices));
            opening.selection.tenant = one_or_some(tenants);
            Ok(())
        }),
    ));
    Ok(opening)
}

/// Updates of every location of the organizations that one manages.
pub(super) fn locations(asked: &Asked<'_>) -> Result<Opening, Refusal> {
    let principal = asked.principal;
    if !may_anywhere(principal, LOCATIONS) {
        return Err(not_allowed());
    }
    let mut opening = opening(asked, View::Devices, &[], Told::default(), Arc::new(All))?;
    opening.selection.kinds = KindSet::NONE.with(Kind::Telemetry).with(Kind::Location);
    opening.selection.devices = DeviceSet::All;
    opening.selection.tenant = match named(asked)? {
        Some(tenant) if principal.manages(&tenant) => TenantScope::One(tenant),
        Some(_) => return Err(not_allowed()),
        None if principal.is_superuser() => TenantScope::All,
        None => TenantScope::Some(Arc::clone(&principal.organizations)),
    };
    Ok(opening)
}

fn opening(
    asked: &Asked<'_>,
    view: View,
    devices: &[Box<str>],
    told: Told,
    dialect: Arc<dyn Dialect>,
) -> Result<Opening, Refusal> {
    let last_event_id = asked.parts.headers.get("last-event-id");
    let from = from(asked.query, last_event_id)
        .map_err(|bad: BadParameter| Problem::bad_request(bad.to_string()))?;
    let selection = Selection {
        tenant: TenantScope::All,
        devices: DeviceSet::Set(Arc::new(devices.iter().cloned().collect())),
        kinds: KindSet::NONE,
        metrics: None,
        filters: None,
        told,
    };
    Ok(Opening {
        from,
        cursors: asked.query.get("cursor")? == Some("1"),
        ..Opening::of(view, selection, dialect)
    })
}

/// The organization that the query names.
fn named(asked: &Asked<'_>) -> Result<Option<Box<str>>, Refusal> {
    match asked.query.get("tenant")? {
        None => Ok(None),
        Some(tenant) if is_tenant(tenant) => Ok(Some(tenant.into())),
        Some(_) => Err(not_allowed()),
    }
}

fn one_or_some(mut tenants: BTreeSet<Box<str>>) -> TenantScope {
    match (tenants.len(), tenants.pop_first()) {
        (1, Some(tenant)) => TenantScope::One(tenant),
        (_, first) => {
            tenants.extend(first);
            TenantScope::Some(Arc::new(tenants))
        }
    }
}

pub(super) fn unavailable() -> Refusal {
    Problem::unavailable("the state does not answer at present", 1).into()
}
