//! Alert rules: kept here, judged by projectors. What a rule's filters say is for its caller to check.

use schemas::control::{Control, Rule};

use super::{Administration, TenantRefused, WriteError};
use crate::directory::{record, tombstone};
use crate::{Principal, Role};

/// Why a rule is not as was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleRefused {
    /// Only those who administer the tenant, and every device of it, do that.
    #[error("only admin and system tokens that are not limited to devices manage alert rules")]
    Forbidden,
    /// The tenant has as many as it may.
    #[error("the tenant has {most} alert rules, and that is the most: delete one")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// The tenant cannot be made.
    #[error(transparent)]
    Tenant(#[from] TenantRefused),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] WriteError),
}

impl Administration {
    /// Puts a rule in the place of the one of its name, if there is one. Answers whether it is new.
    ///
    /// # Errors
    /// When `actor` may not, the tenant has too many, or the log does not take it.
    pub async fn put_rule(&self, actor: &Principal, rule: Rule) -> Result<bool, RuleRefused> {
        if !actor.may_administer_all(&rule.tenant) {
            return Err(RuleRefused::Forbidden);
        }
        if actor.role == Role::System {
            self.ensure_tenant(&rule.tenant).await?;
        }
        let _turn = self.putting_rule.lock().await;
        let rules = self.directory.rules(&rule.tenant);
        let is_new = !rules.iter().any(|known| known.id == rule.id);
        if is_new && rules.len() >= self.settings.rules_max {
            let most = self.settings.rules_max;
            return Err(RuleRefused::TooMany { most });
        }
        let (tenant, id) = (rule.tenant.clone(), rule.id.clone());
        let rule = Control::Rule(rule);
        self.write(record(&rule, self.layout.generation, self.now()))
            .await?;
        tracing::info!(%tenant, rule = %id, by = %actor.id, "alert rule put");
        Ok(is_new)
    }

    /// Removes a rule. Answers whether there was one.
    ///
    /// # Errors
    /// When `actor` may not, or the log does not take it.
    pub async fn delete_rule(&self, actor: &Principal, tenant: &str, id: &str) -> Result<bool, RuleRefused> {
        if !actor.may_administer_all(tenant) {
            return Err(RuleRefused::Forbidden);
        }
        if self.directory.rule(tenant, id).is_none() {
            return Ok(false);
        }
        let key = format!("rule/{tenant}/{id}");
        self.write(tombstone(&key, "rule", self.layout.generation, self.now()))
            .await?;
        tracing::info!(tenant, rule = id, by = %actor.id, "alert rule removed");
        Ok(true)
    }
}
