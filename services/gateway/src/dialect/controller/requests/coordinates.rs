//! `PUT …/coordinates/?key=<device token>`: a device says where it is, as GeoJSON.

use std::sync::Arc;

use access::http::json;
use access::{Principal, Role, Submission};
use http::StatusCode;
use schemas::Kind;
use schemas::document::DeviceLocation;
use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json as value};

use super::{bad_request, not_allowed, not_found, refused, rejected, unavailable};
use crate::dialect::requests::{Do, Done, Request, Step};
use crate::dialect::text::quoted;
use crate::dialect::{Answer, Ask, Refusal};

/// A point, or a feature that is one.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Place {
    Feature { geometry: Value },
    Point { coordinates: Value },
}

pub(super) fn begin(
    device: Box<str>,
    request: Request,
    body_bytes_max: usize,
    registration_required: bool,
) -> Step {
    let key = match request.query.get("key") {
        Ok(key) => key.unwrap_or_default().to_owned(),
        Err(problem) => return refused(&problem.into()),
    };
    Step::then(Do::Prove(key), move |done| {
        let step = done.principal().and_then(|principal| {
            let tenant = principal
                .resolve_tenant(request.query.get("tenant")?)
                .map_err(|_| not_allowed())?;
            if !principal.may_write(&tenant, &device, Kind::Location) {
                return Err(not_allowed());
            }
            let body = Do::Body {
                bytes_max: body_bytes_max,
                principal: Some(Arc::clone(&principal)),
            };
            Ok(Step::then(body, move |done| {
                let point = done.body().and_then(|body| point(&body));
                point.map_or_else(
                    |refusal| refused(&refusal),
                    |point| find(principal, tenant, device, point, registration_required),
                )
            }))
        });
        step.unwrap_or_else(|refusal| refused(&refusal))
    })
}

/// Looks the device up, and goes on with it.
fn find(
    principal: Arc<Principal>,
    tenant: Box<str>,
    device: Box<str>,
    point: Value,
    registration_required: bool,
) -> Step {
    // A device makes itself known by what it sends; another must know it.
    let must_exist = registration_required || principal.role != Role::Device;
    let ask = Do::ask(&tenant, &principal, Ask::Documents(vec![device.clone()]));
    Step::then(ask, move |done| {
        place(principal, tenant, device, point, must_exist, done).unwrap_or_else(|refusal| refused(&refusal))
    })
}

/// The point in a body, not yet judged.
fn point(body: &[u8]) -> Result<Value, Refusal> {
    let expected = "a GeoJSON Point, or a Feature whose geometry is one, is expected";
    let read = |place: Place| match place {
        Place::Feature { geometry } => geometry,
        Place::Point { coordinates } => value!({"type": "Point", "coordinates": coordinates}),
    };
    let place =
        serde_json::from_slice::<Place>(body).map_err(|error| bad_request(format!("{expected}: {error}")))?;
    let point = read(place);
    if point.get("type").and_then(Value::as_str) != Some("Point") {
        return Err(bad_request(expected));
    }
    Ok(point)
}

fn place(
    principal: Arc<Principal>,
    tenant: Box<str>,
    device: Box<str>,
    point: Value,
    must_exist: bool,
    done: Done,
) -> Result<Step, Refusal> {
    let Answer::Documents(documents) = done.answer() else {
        return Err(unavailable());
    };
    let stored = documents.into_iter().next();
    if must_exist && stored.is_none() {
        return Err(not_found());
    }
    let document = stored.map(|stored| stored.document);
    let named = |location: &DeviceLocation| location.name.clone();
    let name = document
        .as_ref()
        .and_then(|document| {
            let location = document.location.as_ref().and_then(named);
            location.or_else(|| document.name.clone())
        })
        .unwrap_or_else(|| device.clone());
    let event = to_raw_value(&value!({"kind": "location", "geometry": point}))
        .map_err(|error| bad_request(error.to_string()))?;
    let submit = Do::Submit {
        principal,
        submission: Submission {
            tenant,
            device: Some(device),
            items: vec![event],
            traceparent: None,
        },
    };
    Ok(Step::then(submit, move |done| match done.outcome() {
        Some(Ok(_)) => Step::Answer(json(
            StatusCode::OK,
            format!(
                "{{\"type\":\"Feature\",\"geometry\":{point},\"properties\":{{\"name\":{}}}}}",
                quoted(&name)
            ),
        )),
        Some(Err(rejection)) => refused(&rejected(&rejection)),
        None => refused(&unavailable()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_or_a_feature_that_is_one_is_taken_and_nothing_else() {
        let expected = value!({"type": "Point", "coordinates": [12.5, 41.9]});
        let feature = value!({"type": "Feature", "geometry": expected, "properties": {}});
        for good in [&expected, &feature] {
            assert_eq!(point(good.to_string().as_bytes()).unwrap(), expected);
        }
        for bad in [
            value!({"type": "LineString", "coordinates": [[1, 2]]}),
            value!({"type": "Feature", "geometry": {"type": "Polygon"}}),
            value!({"type": "Feature"}),
            value!([1, 2]),
        ] {
            assert!(point(bad.to_string().as_bytes()).is_err(), "{bad}");
        }
        assert!(point(b"{").is_err());
    }
}
