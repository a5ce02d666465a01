//! Who gets in: the fold of the control topic, and the keys of JWTs.

use std::sync::Arc;

use access::http::Origins;
use access::jwt::{KeySource, Keys};
use access::{AdminToken, Administration, Directory, directory};

use super::{Checks, Wiring, failed};
use crate::admin_server::Condition;
use crate::app::RunError;
use crate::jwt_keys;
use crate::tasks::Tasks;

impl Wiring<'_> {
    /// The fold of the control topic, followed, and its administration.
    pub(in crate::app) fn access(
        &self,
        tasks: &mut Tasks,
        checks: &mut Checks,
    ) -> Result<(Arc<Directory>, Arc<Administration>), RunError> {
        let mut settings = directory::Settings::new(self.opened.node_key.clone());
        settings.admin_token = match &self.config.admin_token {
            Some(secret) => Some(AdminToken::new(&secret.0).map_err(failed)?),
            None => None,
        };
        settings.failed_authentications_per_minute = self.config.failed_authentications_per_minute;
        settings.failed_addresses_max = self.config.failed_addresses_max;
        settings.allowed_origins = Origins::new(&self.config.front_door.allowed_origins).map_err(failed)?;
        let keys = self.config.jwt.source();
        settings.jwt = keys.as_ref().map(|(_, form)| self.config.jwt.settings(*form));
        let journal = &self.opened.journal;
        let directory = Directory::new(settings, journal.layout.partitions, self.registry).map_err(failed)?;
        let administration = Administration::new(
            self.config.administration.clone(),
            journal,
            Arc::clone(&directory),
            Arc::clone(self.clock),
        );
        if let Some((source, _)) = keys {
            let source = jwt_keys::source(&self.config.jwt, source).map_err(failed)?;
            follow_keys(&directory, source, tasks, checks);
        }
        let (followed, journal, cancel) = (Arc::clone(&directory), journal.clone(), tasks.cancelled());
        tasks.spawn("directory", async move {
            followed.follow(&journal, cancel).await;
            Ok::<(), String>(())
        });
        let judged = Arc::clone(&directory);
        checks.push((
            "access",
            Box::new(move || {
                let health = judged.health();
                match (health.ready, health.current) {
                    (true, true) => Condition::Good,
                    (true, false) => Condition::Degraded(
                        "wakeline.control stalls: changes of tokens and tenants are not seen".to_owned(),
                    ),
                    (false, _) => {
                        Condition::Failed("wakeline.control is not folded to its end yet".to_owned())
                    }
                }
            }),
        ));
        Ok((directory, administration))
    }
}

/// Keeps the keys of JWTs those of their issuer. Without them, everybody else still gets in.
fn follow_keys(
    directory: &Arc<Directory>,
    source: Box<dyn KeySource>,
    tasks: &mut Tasks,
    checks: &mut Checks,
) {
    let (followed, cancel) = (Arc::clone(directory), tasks.cancelled());
    tasks.spawn("keys of JWTs", async move {
        followed.follow_keys(source.as_ref(), cancel).await;
        Ok::<(), String>(())
    });
    let judged = Arc::clone(directory);
    checks.push((
        "jwt",
        Box::new(move || {
            let trouble = judged.jwt_keys().and_then(Keys::trouble);
            trouble.map_or(Condition::Good, |reason| {
                Condition::Degraded(format!("the keys of JWTs cannot be read: {reason}"))
            })
        }),
    ));
}
