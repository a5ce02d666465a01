//! Events on their way up: appended in the order they came, answered when they are durable.
//!
//! What the connection itself has to say (that the device came, or has a command) is said again until the log
//! takes it: nobody else would.

use std::collections::VecDeque;

use access::Submission;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use state::DeviceKey;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frames::{self, Said, Step};
use super::session::Frame;
use super::{Device, Shared, right};

/// Attempts to append that a device came, before what it sends is taken.
const CAME_FIRST_ATTEMPTS: usize = 5;

/// What goes up.
#[derive(Clone)]
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

/// The commands that the device has, newest last.
pub(super) struct Known {
    commands: Mutex<VecDeque<KnownCommand>>,
    most: usize,
}

struct KnownCommand {
    step: Step,
    /// It went down this connection, not an earlier one.
    went_down: bool,
}

impl Known {
    pub(super) fn new(most: usize) -> Self {
        Self {
            commands: Mutex::default(),
            most: most.max(1),
        }
    }

    /// It goes down this connection; false when it did already.
    pub(super) fn goes_down(&self, step: &Step) -> bool {
        let mut commands = self.commands.lock();
        let known = commands
            .iter_mut()
            .find(|known| known.step.command_id == step.command_id);
        if let Some(known) = known {
            return !std::mem::replace(&mut known.went_down, true);
        }
        self.push(&mut commands, step, true);
        true
    }

    /// It went down an earlier connection.
    pub(super) fn remember(&self, step: &Step) {
        let mut commands = self.commands.lock();
        let mut known = commands.iter().map(|known| &known.step.command_id);
        if !known.any(|known| *known == step.command_id) {
            self.push(&mut commands, step, false);
        }
    }

    fn push(&self, commands: &mut VecDeque<KnownCommand>, step: &Step, went_down: bool) {
        if commands.len() == self.most {
            commands.pop_front();
        }
        commands.push_back(KnownCommand {
            step: step.clone(),
            went_down,
        });
    }

    pub(super) fn get(&self, command_id: &str) -> Option<Step> {
        let commands = self.commands.lock();
        let known = commands
            .iter()
            .find(|known| *known.step.command_id == *command_id);
        known.map(|known| known.step.clone())
    }
}

/// One device's way up.
pub(super) struct Uplink<'a> {
    pub(super) shared: &'a Shared,
    pub(super) device: &'a Device,
    pub(super) known: &'a Known,
}

impl Uplink<'_> {
    /// Appends that the device came, and what comes then until nothing more does. While the log does not take
    /// the first, the device learns from its answers that it is away.
    pub(super) async fn serve(
        &self,
        session: &str,
        replaced: &CancellationToken,
        messages: mpsc::Receiver<Up>,
        answers: mpsc::Sender<Frame>,
    ) {
        let is_told = self.came(session, replaced, CAME_FIRST_ATTEMPTS).await;
        let insists = async {
            if !is_told {
                self.came(session, replaced, usize::MAX).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.run(messages, answers) => {}
            () = insists => {}
        }
    }

    async fn run(&self, mut messages: mpsc::Receiver<Up>, answers: mpsc::Sender<Frame>) {
        let mut owed: Vec<Up> = Vec::new();
        loop {
            let next = if owed.is_empty() {
                messages.recv().await
            } else {
                tokio::select! {
                    next = messages.recv() => next,
                    () = tokio::time::sleep(self.shared.settings.retry) => {
                        owed = self.append(owed, &answers).await;
                        continue;
                    }
                }
            };
            let Some(first) = next else { break };
            let mut count = first.items().len();
            let mut batch = std::mem::take(&mut owed);
            batch.push(first);
            while count < self.shared.settings.batch_events_max
                && let Ok(next) = messages.try_recv()
            {
                count += next.items().len();
                batch.push(next);
            }
            owed = self.append(batch, &answers).await;
        }
        while !owed.is_empty() {
            tokio::time::sleep(self.shared.settings.retry).await;
            owed = self.append(owed, &answers).await;
        }
    }

    /// Answers with what the connection said and the log did not take.
    async fn append(&self, batch: Vec<Up>, answers: &mpsc::Sender<Frame>) -> Vec<Up> {
        let mut owed = Vec::new();
        // The connection is about to be closed: nothing of this was answered.
        if right::lost(self.shared, self.device).is_some() {
            return owed;
        }
        let mut items = Vec::new();
        for item in batch.iter().flat_map(Up::items) {
            items.push(self.completed(item).await);
        }
        let mut outcomes = self.submit(items, None).await.into_iter();
        for message in &batch {
            for index in 0..message.items().len() {
                let Some(outcome) = outcomes.next() else {
                    return owed;
                };
                match message {
                    // A device that is gone needs no answer; what it sent is appended all the same.
                    Up::Events(_) => {
                        if let Some(text) = self.device.tongue.outcome(index, &outcome) {
                            drop(answers.send(Frame::text(text)).await);
                        }
                    }
                    Up::Own(_) => match outcome {
                        Ok(_) => {}
                        Err(rejection)
                            if rejection.retry() && owed.len() < self.shared.settings.commands_known_max =>
                        {
                            owed.push(message.clone());
                        }
                        Err(rejection) => {
                            tracing::warn!(%rejection, device = %self.device.id, "a step of a command is not recorded");
                        }
                    },
                }
            }
        }
        owed
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
        // What is not known here the fold may know.
        let completed = match known {
            Some(step) => step.complete(reported),
            None => frames::bare(reported),
        };
        completed.unwrap_or_else(|| item.to_owned())
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

    /// Appends that the device came; false when so many attempts were in vain. Not once a newer connection has
    /// taken its place: that one must stand last in the log.
    async fn came(&self, session: &str, replaced: &CancellationToken, attempts: usize) -> bool {
        for _ in 0..attempts {
            if replaced.is_cancelled() || self.told(Said::Came, session).await {
                return true;
            }
            tokio::time::sleep(self.shared.settings.retry).await;
        }
        tracing::warn!(device = %self.device.id, "that a device came could not be appended yet");
        false
    }

    /// Appends that the device is gone, however long that takes, unless it is back by then.
    pub(super) async fn left(&self, session: &str, replaced: &CancellationToken) {
        let left = async {
            while !self.told(Said::Left, session).await {
                tokio::time::sleep(self.shared.settings.retry).await;
            }
        };
        replaced.run_until_cancelled(left).await;
    }

    /// Whether nothing more is to be done about it.
    async fn told(&self, said: Said, session: &str) -> bool {
        let Some(item) = frames::presence(said, session) else {
            return true;
        };
        let traceparent = self.device.traceparent.clone().filter(|_| said == Said::Came);
        match self.submit(vec![item], traceparent).await.pop() {
            Some(Err(rejection)) if rejection.retry() => false,
            Some(Err(rejection)) => {
                tracing::warn!(%rejection, device = %self.device.id, "a device's presence was refused");
                true
            }
            Some(Ok(_)) | None => true,
        }
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
