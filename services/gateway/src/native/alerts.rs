//! `GET /v1/alerts`, `POST /v1/alerts/{id}/acknowledge` and `…/close`.
//!
//! Alerts that stand are in the documents of their devices; those that were closed are in history. Which
//! partitions have any to look for, the projector's counts tell.

mod find;
mod place;

use access::http::{Problem, json};
use http::StatusCode;
use schemas::document::DeviceAlert;
use schemas::event::AlertStatus;
use schemas::json::{write_alert, write_event, write_string};
use schemas::{Body, Kind, Micros};
use serde_json::{Map, Value};
use state::HistoryQuery;

use super::answer::{page, store_problem};
use super::{Answer, Caller, Native};
use place::Place;

/// An alert and its device.
struct Standing {
    device: Box<str>,
    alert: DeviceAlert,
}

/// What becomes of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Acknowledge,
    Close,
}

impl Step {
    const fn status(self) -> AlertStatus {
        match self {
            Self::Acknowledge => AlertStatus::Acknowledged,
            Self::Close => AlertStatus::Closed,
        }
    }
}

impl Native {
    pub(super) async fn list_alerts(&self, caller: &Caller) -> Answer {
        caller.knows(&["status", "limit", "page"])?;
        caller.may_read()?;
        let limit = caller.limit(&self.settings)?;
        let wanted = statuses(caller)?;
        if wanted == [AlertStatus::Closed] {
            return self.list_closed(caller, limit).await;
        }
        let from = caller.page()?.map(Place::read).transpose()?.unwrap_or_default();
        let (found, next) = self.standing(caller, &wanted, from, limit).await?;
        let next = next.map(|place| place.write());
        Ok(page("alerts", &found, next.as_deref(), write_standing))
    }

    /// The events that closed alerts, newest first.
    async fn list_closed(&self, caller: &Caller, limit: usize) -> Answer {
        let mut query = HistoryQuery {
            tenant: caller.tenant.clone(),
            device: None,
            kinds: vec![Kind::Alert],
            from: 0,
            to: Micros::MAX,
            page: caller.page()?.map(Into::into),
            limit,
        };
        let (mut closed, mut rows) = (Vec::new(), 0);
        loop {
            let found = self.store.history.read(&query).await;
            let found = found.map_err(|error| store_problem(&error))?;
            rows += found.rows.len();
            let is_closed =
                |body: &Body| matches!(body, Body::Alert(alert) if alert.status == AlertStatus::Closed);
            closed.extend(found.rows.into_iter().filter(|row| {
                is_closed(&row.event.body) && caller.principal.devices.contains(&row.event.device)
            }));
            query.page = found.next;
            // What a look brings is never split, so what is left to find is all that is asked for.
            query.limit = limit.saturating_sub(closed.len());
            if query.page.is_none() || query.limit == 0 || rows >= self.settings.history_rows_max {
                break;
            }
        }
        Ok(page("alerts", &closed, query.page.as_deref(), |row, out| {
            write_event(&row.event, out)
        }))
    }

    pub(super) async fn settle_alert(&self, caller: &Caller, alert_id: &str, step: Step) -> Answer {
        caller.knows(&["device"])?;
        // Nobody else learns which alerts there are.
        caller.may_act_at_all()?;
        let named = caller.query.get("device")?;
        let found = self.find_alert(caller, alert_id, named).await?;
        let mut standing =
            found.ok_or_else(|| Problem::not_found("there is no such alert, or it is closed"))?;
        caller.may_act(&standing.device)?;
        // It only moves forward: what was done already is done.
        if standing.alert.status < step.status() {
            standing.alert.status = step.status();
            let event = event(&standing.alert);
            let accepted = self.append(caller, &standing.device, &event).await?;
            self.settle(&accepted).await;
        }
        let mut text = Vec::with_capacity(256);
        write_standing(&standing, &mut text);
        Ok(json(StatusCode::OK, text))
    }
}

fn statuses(caller: &Caller) -> Result<Vec<AlertStatus>, Problem> {
    let mut statuses = Vec::new();
    for name in caller.query.all("status").flat_map(|names| names.split(',')) {
        let status = AlertStatus::from_word(name).ok_or_else(|| {
            let known = AlertStatus::WORDS.join(", ");
            Problem::bad_request(format!("status: {name:?} is none of {known}"))
        })?;
        if !statuses.contains(&status) {
            statuses.push(status);
        }
    }
    if statuses.is_empty() {
        return Ok(vec![AlertStatus::Open, AlertStatus::Acknowledged]);
    }
    if statuses.contains(&AlertStatus::Closed) && statuses.len() > 1 {
        return Err(Problem::bad_request(
            "status: CLOSED stands alone: closed alerts are history, the others are as they are",
        ));
    }
    Ok(statuses)
}

/// An alert, with its device.
fn write_standing(standing: &Standing, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"device\":");
    write_string(&standing.device, out);
    out.push(b',');
    let mut alert = Vec::with_capacity(256);
    write_alert(&standing.alert, &mut alert);
    out.extend_from_slice(alert.get(1..).unwrap_or_default());
}

/// The next step of an alert: self-contained, as every step is.
fn event(alert: &DeviceAlert) -> Value {
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| drop(event.insert(name.to_owned(), value));
    put("kind", Kind::Alert.name().into());
    put("alert_id", (*alert.alert_id).into());
    put("alert_type", (*alert.alert_type).into());
    put("severity", alert.severity.into());
    if let Some(confidence) = alert.confidence {
        put("confidence", confidence.into());
    }
    put("summary", (*alert.summary).into());
    put("status", alert.status.word().into());
    if let Some(site_id) = &alert.site_id {
        put("site_id", (**site_id).into());
    }
    Value::Object(event)
}
