//! How native streams are asked for: `GET /v1/stream`.

use std::sync::Arc;

use access::Role;
use access::http::{Problem, Surface};
use http::{HeaderName, StatusCode};

use super::Native;
use crate::dialect::{Asked, Entrance, Opening, Refusal, Transports};
use crate::open::parameters::{BadParameter, Parameters};
use crate::subscription::{DeviceSet, Selection, TenantScope, Told};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The native stream.
pub(super) struct Stream;

impl Entrance for Stream {
    fn paths(&self) -> &[&'static str] {
        &["/v1/stream"]
    }

    fn transports(&self) -> Transports {
        Transports::Both
    }

    fn surface(&self) -> Surface {
        Surface::STREAM
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        let last_event_id = asked.parts.headers.get(LAST_EVENT_ID);
        let parameters = Parameters::read(asked.query, last_event_id, asked.settings)
            .map_err(BadParameter::into_problem)?;
        let tenant = tenant(asked, &parameters)?;
        let bound = matches!(&parameters.devices, DeviceSet::Set(devices) if devices.len() == 1);
        let selection = Selection {
            tenant,
            devices: parameters.devices,
            kinds: parameters.kinds,
            metrics: parameters.metrics,
            filters: parameters.filters,
            told: Told::default(),
        };
        let native = Native::new(asked.settings);
        Ok(Opening {
            delivery: parameters.delivery,
            every: parameters.every,
            snapshot: parameters.snapshot,
            from: parameters.from,
            cursors: true,
            bound,
            conversation: Box::new(native.clone()),
            ..Opening::of(parameters.view, selection, Arc::new(native))
        })
    }
}

/// What the principal may see of what it asks for.
fn tenant(asked: &Asked<'_>, parameters: &Parameters) -> Result<TenantScope, Problem> {
    let principal = asked.principal;
    if !principal.reads() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this credential does not read: streams need a user, admin or system token",
        ));
    }
    let named = parameters.tenant.as_deref();
    let tenant = if principal.role == Role::System && principal.tenant.is_none() && named.is_none() {
        TenantScope::All
    } else {
        TenantScope::One(principal.resolve_tenant(named)?)
    };
    if let DeviceSet::Set(devices) = &parameters.devices
        && let Some(device) = devices.iter().find(|device| !principal.devices.contains(device))
    {
        return Err(
            Problem::forbidden(format!("this credential does not cover device {device:?}"))
                .with("device", &**device),
        );
    }
    Ok(tenant)
}
