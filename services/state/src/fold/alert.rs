//! Alerts: those that are not closed stand in the document; their status only moves forward.

use schemas::document::DeviceAlert;
use schemas::event::{Alert, AlertStatus};
use schemas::{Document, Event};

use super::memory::{self, Ending};

pub(super) fn apply(document: &mut Document, event: &Event, alert: &Alert) {
    let ending = Ending::Alert(&alert.alert_id);
    if memory::has_ended(document, ending) {
        return;
    }
    let known = document
        .alerts
        .iter()
        .position(|open| open.alert_id == alert.alert_id);
    match alert.status {
        AlertStatus::Closed => {
            memory::end(document, ending);
            if let Some(index) = known {
                document.alerts.remove(index);
            }
        }
        AlertStatus::Open | AlertStatus::Acknowledged => match known {
            Some(index) => advance(&mut document.alerts[index], alert),
            None => insert(document, event, alert),
        },
    }
}

fn advance(known: &mut DeviceAlert, alert: &Alert) {
    if alert.status < known.status {
        return;
    }
    known.alert_type.clone_from(&alert.alert_type);
    known.severity = alert.severity;
    known.confidence = alert.confidence.or(known.confidence);
    known.summary.clone_from(&alert.summary);
    known.status = alert.status;
    if alert.site_id.is_some() {
        known.site_id.clone_from(&alert.site_id);
    }
}

fn insert(document: &mut Document, event: &Event, alert: &Alert) {
    let opened = DeviceAlert {
        alert_id: alert.alert_id.clone(),
        alert_type: alert.alert_type.clone(),
        severity: alert.severity,
        confidence: alert.confidence,
        summary: alert.summary.clone(),
        status: alert.status,
        site_id: alert.site_id.clone(),
        created_at: event.occurred_at,
    };
    let index = document
        .alerts
        .partition_point(|known| known.created_at <= opened.created_at);
    document.alerts.insert(index, opened);
}
