//! Events on their way up: appended in the order they came, answered when they are durable.

use std::collections::VecDeque;

use access::Submission;
use access::events::Reason;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use state::DeviceKey;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::frames::{self, Step};
use super::{Device, Shared, right};

/// Attempts to append that a device came or went.
const PRESENCE_ATTEMPTS: usize = 5;

/// What goes up.
pub(super) enum Up {
    /// The events of one message.
    Events(Vec<Box<RawValue>>),
    /// A step that the connection itself reports; nobody is answered.
    Own(Box<RawValue>),
}

impl Up {
    fn items(&self) -> &[Box<RawValue>] {
        match self {
            Self::Events(items) => items,
            Self::Own(item) => std::slice::from_ref(item),
        }
    }
}

/// The commands that went down this connection, newest last.
pub(super) struct Known {
    commands: Mutex<VecDeque<Step>>,
    most: usize,
}

impl Known {
    pub(super) fn new(most: usize) -> Self {
        Self {
            commands: Mutex::default(),
            most: most.max(1),
        }
    }

    /// False when it is known already.
    pub(super) fn insert(&self, step: &Step) -> bool {
        let mut commands = self.commands.lock();
        if commands.iter().any(|known| known.command_id == step.command_id) {
            return false;
        }
        if commands.len() == self.most {
            commands.pop_front();
        }
        commands.push_back(step.clone());
        true
    }

    pub(super) fn get(&self, command_id: &str) -> Option<Step> {
        let commands = self.commands.lock();
        commands
            .iter()
            .find(|known| *known.command_id == *command_id)
            .cloned()
    }
}

/// One device's way up.
pub(super) struct Uplink<'a> {
    pub(super) shared: &'a Shared,
    pub(super) device: &'a Device,
    pub(super) known: &'a Known,
}

impl Uplink<'_> {
    /// Appends what comes until nothing more does.
    pub(super) async fn run(&self, mut messages: mpsc::Receiver<Up>, answers: mpsc::Sender<Message>) {
        while let Some(first) = messages.recv().await {
            let mut count = first.items().len();
            let mut batch = vec![first];
            while count < self.shared.settings.batch_events_max
                && let Ok(next) = messages.try_recv()
            {
                count += next.items().len();
                batch.push(next);
            }
            self.append(batch, &answers).await;
        }
    }

    async fn append(&self, batch: Vec<Up>, answers: &mpsc::Sender<Message>) {
        // The connection is about to be closed: nothing of this was answered.
        if right::lost(self.shared, self.device).is_some() {
            return;
        }
        let mut items = Vec::new();
        for item in batch.iter().flat_map(Up::items) {
            items.push(self.completed(item).await);
        }
        let mut outcomes = self.submit(items, None).await.into_iter();
        for message in &batch {
            for index in 0..message.items().len() {
                let Some(outcome) = outcomes.next() else { return };
                match message {
                    // A device that is gone needs no answer; what it sent is appended all the same.
                    Up::Events(_) => {
                        if let Some(text) = self.device.tongue.outcome(index, &outcome) {
                            drop(answers.send(Message::text(text)).await);
                        }
                    }
                    Up::Own(_) => {
                        if let Err(rejection) = outcome {
                            tracing::warn!(%rejection, device = %self.device.id, "a step of a command is not recorded");
                        }
                    }
                }
            }
        }
    }

    /// A step that the device reports of a command, completed; anything else as it is.
    async fn completed(&self, item: &RawValue) -> Box<RawValue> {
        let Some((command_id, reported)) = frames::reported_step(item) else {
            return item.to_owned();
        };
        let known = match self.known.get(&command_id) {
            Some(step) => Some(step),
            None => self.open_command(&command_id).await,
        };
        known
            .and_then(|step| step.complete(reported))
            .unwrap_or_else(|| item.to_owned())
    }

    /// A command that went down an earlier connection.
    pub(super) async fn open_command(&self, command_id: &str) -> Option<Step> {
        let key = DeviceKey {
            tenant: self.device.tenant.clone(),
            device: self.device.id.clone(),
        };
        let keys = [(self.shared.partition(self.device), key)];
        let stored = self.shared.store.documents.get(&keys).await.ok()?.pop()??;
        let commands = &stored.document.commands;
        commands
            .iter()
            .find(|command| *command.command_id == *command_id)
            .map(Step::from)
    }

    /// Appends that the device came or went, with some patience.
    pub(super) async fn presence(&self, connected: bool, session: &str) {
        for _ in 0..PRESENCE_ATTEMPTS {
            let Some(item) = frames::presence(connected, session) else {
                return;
            };
            let traceparent = self.device.traceparent.clone().filter(|_| connected);
            match self.submit(vec![item], traceparent).await.pop() {
                Some(Err(rejection)) if matches!(rejection.reason, Reason::Retry | Reason::RateLimited) => {
                    tokio::time::sleep(self.shared.settings.retry).await;
                }
                Some(Err(rejection)) => {
                    tracing::warn!(%rejection, device = %self.device.id, "a device's presence was refused");
                    return;
                }
                Some(Ok(_)) | None => return,
            }
        }
        tracing::warn!(device = %self.device.id, connected, "a device's presence could not be appended");
    }

    async fn submit(
        &self,
        items: Vec<Box<RawValue>>,
        traceparent: Option<Box<str>>,
    ) -> Vec<access::events::Outcome> {
        let submission = Submission {
            tenant: self.device.tenant.clone(),
            device: Some(self.device.id.clone()),
            items,
            traceparent,
        };
        self.shared
            .events
            .submit(&self.device.principal, submission)
            .await
    }
}
