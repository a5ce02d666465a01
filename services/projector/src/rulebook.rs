//! The alert rules in force: a fold of the rules in `wakeline.control`. Pure; `follow` keeps it at the
//! topic's end.
//!
//! A partition never judges a device before the process has folded the topic to the end that it had when
//! the partition was claimed: a rule that is not known yet, though whoever had the partition before judged
//! by it, must not pass for one that is gone.

pub(crate) mod follow;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Offset, Record};
use query::{Fields, Filter, Limits};
use rustc_hash::FxHashMap;
use schemas::Control;
use schemas::control::Rule;

/// What the key of a rule's record begins with.
const KEY: &str = "rule/";

/// The rules of all tenants, as of one offset of `wakeline.control`. Cheap to clone: copies share the rules.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    tenants: FxHashMap<Box<str>, Arc<TenantRules>>,
    next: Offset,
    changed: Offset,
}

/// The rules of one tenant; it may have had some, and have none any more.
#[derive(Debug, Clone, Default)]
struct TenantRules {
    by_id: BTreeMap<Box<str>, Arc<AlertRule>>,
    /// Offset after the last record about one of them.
    changed: Offset,
}

/// One alert rule.
#[derive(Debug)]
pub struct AlertRule {
    /// As it was put.
    pub rule: Rule,
    /// Where its record lies in `wakeline.control`: another one of its name has another.
    pub offset: Offset,
    /// `None` of a rule whose filters this release cannot read. It opens nothing, and what it opened stays.
    condition: Option<Condition>,
}

/// When an alert stands.
#[derive(Debug)]
struct Condition {
    when: Filter,
    close_when: Option<Filter>,
}

impl Rulebook {
    /// Takes in the next record of the topic, whatever it is about.
    pub fn apply(&mut self, record: &Record) {
        self.next = self.next.max(record.offset + 1);
        let Some((tenant, id)) = record.key.strip_prefix(KEY).and_then(|key| key.split_once('/')) else {
            return;
        };
        self.changed = self.next;
        let rules = Arc::make_mut(self.tenants.entry(tenant.into()).or_default());
        rules.changed = self.next;
        let rules = &mut rules.by_id;
        match record.value.as_ref().map(|value| Control::decode(value)) {
            Some(Ok(Control::Rule(rule))) if *rule.tenant == *tenant && *rule.id == *id => {
                let rule = AlertRule::new(rule, record.offset);
                rules.insert(id.into(), Arc::new(rule));
            }
            Some(_) => {
                tracing::warn!(
                    tenant,
                    rule = id,
                    offset = record.offset,
                    "an alert rule cannot be read; it opens nothing"
                );
                let rule = AlertRule::unreadable(tenant, id, record.offset);
                rules.insert(id.into(), Arc::new(rule));
            }
            None => drop(rules.remove(id)),
        }
    }

    /// Everything before `next` is folded.
    pub(crate) fn folded_to(&mut self, next: Offset) {
        self.next = self.next.max(next);
    }

    /// The rules of `tenant` by id, if it has any.
    pub(crate) fn of(&self, tenant: &str) -> Option<&BTreeMap<Box<str>, Arc<AlertRule>>> {
        let rules = &self.tenants.get(tenant)?.by_id;
        (!rules.is_empty()).then_some(rules)
    }

    /// The tenants of which a rule came or went at or after `since`, in order.
    pub(crate) fn changed_since(&self, since: Offset) -> Vec<Box<str>> {
        let changed = self.tenants.iter().filter(|(_, rules)| rules.changed > since);
        let mut tenants: Vec<Box<str>> = changed.map(|(tenant, _)| tenant.clone()).collect();
        tenants.sort_unstable();
        tenants
    }

    /// Offset after the last record folded.
    #[must_use]
    pub const fn next(&self) -> Offset {
        self.next
    }

    /// Offset after the last record that was about a rule; 0 if there was none.
    #[must_use]
    pub const fn changed(&self) -> Offset {
        self.changed
    }
}

impl AlertRule {
    fn new(rule: Rule, offset: Offset) -> Self {
        let parse = |text: &str| Filter::parse(text, &Limits::default());
        let close_when = rule.close_when.as_deref().map(parse).transpose();
        let condition = match (parse(&rule.when), close_when) {
            (Ok(when), Ok(close_when)) => Some(Condition { when, close_when }),
            (Err(error), _) | (Ok(_), Err(error)) => {
                tracing::warn!(
                    tenant = %rule.tenant,
                    rule = %rule.id,
                    %error,
                    "the filter of an alert rule cannot be read; it opens nothing"
                );
                None
            }
        };
        Self {
            rule,
            offset,
            condition,
        }
    }

    fn unreadable(tenant: &str, id: &str, offset: Offset) -> Self {
        Self {
            rule: Rule {
                tenant: tenant.into(),
                id: id.into(),
                when: "".into(),
                close_when: None,
                alert_type: "".into(),
                severity: 0,
                summary: "".into(),
            },
            offset,
            condition: None,
        }
    }

    /// Whether the change from `before` (`None`: there was no device) to `after` opens an alert.
    ///
    /// A rule without `@` speaks of a device as it is, and opens where it holds after the change and did
    /// not before. One with `@` speaks of a change, and opens with each that satisfies it; the one before
    /// ends then.
    pub(crate) fn opens<F: Fields>(&self, before: Option<&F>, after: &F) -> bool {
        let Some(condition) = &self.condition else {
            return false;
        };
        if condition.is_of_state() {
            return condition.holds_of(after) && !before.is_some_and(|before| condition.holds_of(before));
        }
        let is_new = condition.when.uses_previous()
            || !before.is_some_and(|before| condition.when.matches(before, before));
        is_new && condition.when.matches(after, &before) && !condition.closes(before, after)
    }

    /// Whether a device satisfies it, whatever it was before; false where that says nothing.
    pub(crate) fn holds<F: Fields>(&self, device: &F) -> bool {
        let condition = self.condition.as_ref();
        condition.is_some_and(|condition| condition.is_of_state() && condition.holds_of(device))
    }

    /// Whether an alert that stands ends, now that the device went from `before` to `after`. `is_own_step`:
    /// only alerts moved, which is no change that a rule with `@` could speak of.
    pub(crate) fn ends<F: Fields>(&self, before: Option<&F>, after: &F, is_own_step: bool) -> bool {
        let Some(condition) = &self.condition else {
            return false;
        };
        if condition.is_of_state() {
            return !condition.holds_of(after);
        }
        if is_own_step {
            return false;
        }
        // What a change was does not last: with `close_when`, that alone says when its alert ends.
        let lasts = condition.when.uses_previous() && condition.close_when.is_some();
        condition.closes(before, after) || (!lasts && !condition.when.matches(after, &before))
    }
}

impl Condition {
    /// Whether it can be judged by a device as it is.
    fn is_of_state(&self) -> bool {
        let closes_by_change = self.close_when.as_ref().is_some_and(Filter::uses_previous);
        !self.when.uses_previous() && !closes_by_change
    }

    /// Of a condition of state: whether an alert should stand.
    fn holds_of<F: Fields>(&self, device: &F) -> bool {
        let is_closed = |filter: &Filter| filter.matches(device, device);
        self.when.matches(device, device) && !self.close_when.as_ref().is_some_and(is_closed)
    }

    fn closes<F: Fields>(&self, before: Option<&F>, after: &F) -> bool {
        let close_when = self.close_when.as_ref();
        close_when.is_some_and(|filter| filter.matches(after, &before))
    }
}
