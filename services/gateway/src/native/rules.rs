//! `PUT/GET/DELETE /v1/rules/{id}` and `GET /v1/rules`: alert rules.
//!
//! They are records of `wakeline.control`; the projector judges every change by them.

use std::sync::Arc;

use access::http::{Problem, json, no_content};
use http::StatusCode;
use query::{Filter, Limits, ParseError};
use schemas::control::Rule;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::page;
use super::{Answer, Caller, Native};

/// Longest name of a rule.
const ID_BYTES_MAX: usize = 64;
/// Longest type of an alert.
const TYPE_BYTES_MAX: usize = 200;
/// Longest summary of an alert, in characters.
const SUMMARY_CHARS_MAX: usize = 1_000;
/// Rules that are built in have names in this form.
const BUILT_IN: &str = "NO_HEARTBEAT";

/// A rule as it is put.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    when: Box<str>,
    #[serde(default)]
    close_when: Option<Box<str>>,
    alert_type: Box<str>,
    severity: i64,
    summary: Box<str>,
}

impl Native {
    pub(super) async fn put_rule(&self, caller: &Caller, id: &str, body: &[u8]) -> Answer {
        caller.knows(&[])?;
        self.administers(caller)?;
        let rule = read(&caller.tenant, id, body)?;
        let text = describe(&rule).to_string();
        let is_new = self.administration.put_rule(&caller.principal, rule).await?;
        let status = if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Ok(json(status, text))
    }

    pub(super) async fn delete_rule(&self, caller: &Caller, id: &str) -> Answer {
        caller.knows(&[])?;
        self.administers(caller)?;
        let administration = &self.administration;
        if administration
            .delete_rule(&caller.principal, &caller.tenant, id)
            .await?
        {
            Ok(no_content())
        } else {
            Err(no_rule())
        }
    }

    pub(super) fn rule(&self, caller: &Caller, id: &str) -> Answer {
        caller.knows(&[])?;
        self.administers(caller)?;
        let rule = self.directory.rule(&caller.tenant, id).ok_or_else(no_rule)?;
        Ok(json(StatusCode::OK, describe(&rule).to_string()))
    }

    pub(super) fn list_rules(&self, caller: &Caller) -> Answer {
        caller.knows(&[])?;
        self.administers(caller)?;
        // They are few: a tenant may have so many that one answer holds them.
        let rules: Vec<Arc<Rule>> = self.directory.rules(&caller.tenant);
        Ok(page("rules", &rules, None, |rule, out| {
            out.extend_from_slice(describe(rule).to_string().as_bytes());
        }))
    }

    fn administers(&self, caller: &Caller) -> Result<(), Problem> {
        if caller.principal.may_administer_all(&caller.tenant) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "only admin and system tokens that are not limited to devices manage alert rules",
        ))
    }
}

fn no_rule() -> Problem {
    Problem::not_found("there is no such rule")
}

fn read(tenant: &str, id: &str, body: &[u8]) -> Result<Rule, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if id.len() > ID_BYTES_MAX || !id.bytes().all(is_plain) {
        return Err(Problem::bad_request(format!(
            "a rule is named by 1 to {ID_BYTES_MAX} of the characters A-Z a-z 0-9 . _ -"
        )));
    }
    if id == BUILT_IN {
        return Err(Problem::bad_request(format!(
            "{BUILT_IN} is built in: choose another name"
        )));
    }
    let rule: NewRule = serde_json::from_slice(body).map_err(|error| {
        let expected = r#"{"when":"speed > 80","alert_type":"SPEEDING","severity":3,"summary":"too fast"}"#;
        Problem::bad_request(format!("the body is no rule, such as {expected}: {error}"))
    })?;
    check("when", &rule.when)?;
    if let Some(close_when) = &rule.close_when {
        check("close_when", close_when)?;
    }
    if !(1..=TYPE_BYTES_MAX).contains(&rule.alert_type.len()) || rule.alert_type.chars().any(char::is_control)
    {
        let detail = format!("alert_type must have 1 to {TYPE_BYTES_MAX} bytes, without control characters");
        return Err(Problem::bad_request(detail).with("member", "alert_type"));
    }
    if rule.summary.chars().count() > SUMMARY_CHARS_MAX {
        let detail = format!("summary must have at most {SUMMARY_CHARS_MAX} characters");
        return Err(Problem::bad_request(detail).with("member", "summary"));
    }
    Ok(Rule {
        tenant: tenant.into(),
        id: id.into(),
        when: rule.when,
        close_when: rule.close_when,
        alert_type: rule.alert_type,
        severity: rule.severity,
        summary: rule.summary,
    })
}

/// Whether a filter is one; else where it is none.
fn check(member: &'static str, text: &str) -> Result<(), Problem> {
    let parsed = Filter::parse(text, &Limits::default());
    parsed.map(drop).map_err(|error: ParseError| {
        Problem::bad_request(format!("{member}: {error}"))
            .with("member", member)
            .with("column", error.column)
            .with("found", error.found.to_string())
            .with("expected", error.expected.to_string())
    })
}

fn describe(rule: &Rule) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    put("id", (*rule.id).into());
    put("when", (*rule.when).into());
    if let Some(close_when) = &rule.close_when {
        put("close_when", (**close_when).into());
    }
    put("alert_type", (*rule.alert_type).into());
    put("severity", rule.severity.into());
    put("summary", (*rule.summary).into());
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(id: &str, body: &str) -> Value {
        let problem = read("acme", id, body.as_bytes()).unwrap_err();
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
        serde_json::from_str(&problem.to_json()).unwrap()
    }

    #[test]
    fn a_rule_is_shown_as_it_was_put() {
        let body = r#"{"when":"x > @x","close_when":"x = 0","alert_type":"UP","severity":-1,"summary":"up"}"#;
        let rule = read("acme", "up-1", body.as_bytes()).unwrap();
        let mut expected: Value = serde_json::from_str(body).unwrap();
        expected["id"] = "up-1".into();
        assert_eq!(describe(&rule), expected);
    }

    #[test]
    fn a_bad_filter_is_pointed_at_by_member_and_column() {
        let problem = refusal(
            "a",
            r#"{"when":"speed == 80","alert_type":"A","severity":1,"summary":""}"#,
        );
        assert_eq!(
            (&problem["member"], &problem["column"]),
            (&"when".into(), &7.into())
        );
        assert!(
            problem["detail"].as_str().unwrap().contains("use = for equality"),
            "{problem}"
        );
        let body = r#"{"when":"x","close_when":"x >","alert_type":"A","severity":1,"summary":""}"#;
        let problem = refusal("a", body);
        assert_eq!(
            (&problem["member"], &problem["column"]),
            (&"close_when".into(), &4.into())
        );
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let good = r#"{"when":"x","alert_type":"A","severity":1,"summary":""}"#;
        assert!(read("acme", "a", good.as_bytes()).is_ok());
        for id in ["a~b", "a/b", "ä", BUILT_IN, &"a".repeat(65)] {
            refusal(id, good);
        }
        for body in [
            "",
            "[]",
            r#"{"when":"x","alert_type":"A","severity":1}"#,
            r#"{"when":"x","alert_type":"A","severity":1.5,"summary":""}"#,
            r#"{"when":"x","alert_type":"","severity":1,"summary":""}"#,
            r#"{"when":"x","alert_type":"A","severity":1,"summary":"","then":1}"#,
        ] {
            refusal("a", body);
        }
    }
}
