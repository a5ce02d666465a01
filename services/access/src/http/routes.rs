//! `/v1/tokens…`, `/v1/tenants…` and `/v1/session`.

mod sessions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::request::Parts;
use ::http::{Method, Request, Response, StatusCode};
use async_trait::async_trait;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use schemas::Micros;
use schemas::control::{Role, Tenant};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    Attempt, Body, Handled, HttpService, Path, Problem, Query, Surface, authenticate, json, no_content,
    read_body,
};
use crate::administration::{
    RuleRefused, TenantRefused, TokenMembers, TokenPage, TokenRefused, Visible, WriteError,
};
use crate::{Administration, Principal};

/// Settings of an [`AdministrationService`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Length of a body.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_within: Duration,
    /// Items of a page, where the request does not say.
    pub page_items: usize,
    /// Items of a page at most.
    pub page_items_max: usize,
    /// Whether sessions' cookies are for TLS only: this node's own listener speaks it. Behind a proxy that
    /// ends TLS, and that is trusted, `X-Forwarded-Proto` says so.
    pub secure_cookies: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            body_within: Duration::from_secs(10),
            page_items: 100,
            page_items_max: 1_000,
            secure_cookies: false,
        }
    }
}

/// Answers `/v1/tokens…`, `/v1/tenants…` and `/v1/session`.
pub struct AdministrationService {
    settings: Settings,
    administration: Arc<Administration>,
}

/// A path of this service.
enum Route {
    Tokens,
    Token(String),
    Tenants,
    Tenant(String),
    Session,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        match path {
            "/v1/tokens" => Some(Self::Tokens),
            "/v1/tenants" => Some(Self::Tenants),
            "/v1/session" => Some(Self::Session),
            _ => path
                .strip_prefix("/v1/tokens/")
                .map(|id| Self::Token(decoded(id)))
                .or_else(|| {
                    path.strip_prefix("/v1/tenants/")
                        .map(|id| Self::Tenant(decoded(id)))
                }),
        }
    }

    const fn methods(&self) -> &'static str {
        match self {
            Self::Tokens => "GET, POST",
            Self::Token(_) => "GET, PATCH, DELETE",
            Self::Tenants => "GET",
            Self::Tenant(_) => "GET, PUT",
            Self::Session => "POST, DELETE",
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TenantMembers {
    spread: Option<u32>,
}

#[async_trait]
impl HttpService for AdministrationService {
    fn paths(&self) -> Vec<Path> {
        vec![
            Path::new("GET, POST", "/v1/tokens"),
            // The id of a device's own tokens has slashes.
            Path::new("GET, PATCH, DELETE", "/v1/tokens/{token…}"),
            Path::get("/v1/tenants"),
            Path::new("GET, PUT", "/v1/tenants/{tenant}"),
            Path::new("POST, DELETE", "/v1/session"),
        ]
    }

    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled {
        let Some(route) = Route::of(request.uri().path()) else {
            return Handled::NotMine(request);
        };
        let (head, body) = request.into_parts();
        let response = self.answer(&route, &head, body, peer).await;
        Handled::Response(response.unwrap_or_else(Problem::into_response))
    }
}

impl AdministrationService {
    /// The routes over this administration.
    #[must_use]
    pub fn new(settings: Settings, administration: Arc<Administration>) -> Self {
        Self {
            settings,
            administration,
        }
    }

    async fn answer(
        &self,
        route: &Route,
        head: &Parts,
        body: Incoming,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Problem> {
        let directory = self.administration.directory();
        let attempt = Attempt::of(head, peer.ip(), self.administration.now());
        if matches!(route, Route::Session) {
            return self.session(attempt).await;
        }
        let actor = authenticate(directory, Surface::API, attempt).await?;
        let query = Query::parse(head.uri.query());
        match (route, &head.method) {
            (Route::Tokens, &Method::GET) => self.list_tokens(&actor, &query),
            (Route::Tokens, &Method::POST) => self.create_token(&actor, &query, body).await,
            (Route::Token(id), &Method::GET) => {
                let token = self.administration.token(&actor, id)?;
                Ok(json(StatusCode::OK, Value::Object(describe(&token)).to_string()))
            }
            (Route::Token(id), &Method::PATCH) => {
                let members = self.read(body).await?;
                let token = self.administration.change_token(&actor, id, members).await?;
                Ok(json(StatusCode::OK, Value::Object(describe(&token)).to_string()))
            }
            (Route::Token(id), &Method::DELETE) => {
                self.administration.revoke_token(&actor, id).await?;
                Ok(no_content())
            }
            (Route::Tenants, &Method::GET) => self.list_tenants(&actor, &query),
            (Route::Tenant(id), &Method::GET) => {
                let tenant = actor
                    .covers_tenant(id)
                    .then(|| directory.tenant(id))
                    .flatten()
                    .ok_or_else(|| Problem::not_found("there is no such tenant"))?;
                Ok(json(StatusCode::OK, describe_tenant(&tenant).to_string()))
            }
            (Route::Tenant(id), &Method::PUT) => self.create_tenant(&actor, id, body).await,
            _ => Err(Problem::method_not_allowed(route.methods())),
        }
    }

    async fn create_token(
        &self,
        actor: &Principal,
        query: &Query,
        body: Incoming,
    ) -> Result<Response<Body>, Problem> {
        let mut members: TokenMembers = self.read(body).await?;
        if let Some(named) = query.get("tenant")? {
            if members.tenant.iter().flatten().any(|tenant| tenant != named) {
                return Err(Problem::bad_request(
                    "the query and the body name different tenants",
                ));
            }
            members.tenant = Some(Some(named.to_owned()));
        }
        let issued = self.administration.create_token(actor, members).await?;
        let mut answer = Map::new();
        answer.insert("id".to_owned(), (*issued.token.0.id).into());
        answer.insert("token".to_owned(), issued.credential.into());
        answer.extend(describe(&issued.token));
        Ok(json(StatusCode::CREATED, Value::Object(answer).to_string()))
    }

    fn list_tokens(&self, actor: &Principal, query: &Query) -> Result<Response<Body>, Problem> {
        let tenant = match (query.get("tenant")?, actor.role) {
            // What belongs to no tenant can be seen in no other way.
            (None, Role::System) => None,
            (named, _) => Some(actor.resolve_tenant(named)?),
        };
        let after = query.get("page")?.map(parse_page).transpose()?;
        let after = after.as_ref().map(|(at, id)| (*at, &**id));
        let page = self
            .administration
            .tokens(actor, tenant.as_deref(), after, self.limit(query)?)?;
        let TokenPage { tokens, next } = page;
        let tokens: Vec<Value> = tokens
            .iter()
            .map(|token| Value::Object(describe(token)))
            .collect();
        let mut answer = json!({ "tokens": tokens });
        if let Some((at, id)) = next {
            answer["next"] = format!("{at}.{id}").into();
        }
        Ok(json(StatusCode::OK, answer.to_string()))
    }

    fn list_tenants(&self, actor: &Principal, query: &Query) -> Result<Response<Body>, Problem> {
        let limit = self.limit(query)?;
        let after = query.get("page")?.unwrap_or_default();
        let mut tenants = self.administration.directory().tenants();
        tenants.retain(|tenant| actor.covers_tenant(&tenant.id) && *tenant.id > *after);
        let more = tenants.len() > limit;
        tenants.truncate(limit);
        let items: Vec<Value> = tenants.iter().map(|tenant| describe_tenant(tenant)).collect();
        let mut answer = json!({ "tenants": items });
        if let Some(last) = tenants.last().filter(|_| more) {
            answer["next"] = (*last.id).into();
        }
        Ok(json(StatusCode::OK, answer.to_string()))
    }

    async fn create_tenant(
        &self,
        actor: &Principal,
        id: &str,
        body: Incoming,
    ) -> Result<Response<Body>, Problem> {
        let members: TenantMembers = self.read(body).await?;
        let (tenant, new) = self
            .administration
            .create_tenant(actor, id, members.spread)
            .await?;
        let status = if new { StatusCode::CREATED } else { StatusCode::OK };
        Ok(json(status, describe_tenant(&tenant).to_string()))
    }

    /// A body that is an object of JSON; an empty one is an empty object.
    async fn read<T: DeserializeOwned + Default>(&self, body: Incoming) -> Result<T, Problem> {
        let bytes = read_body(body, self.settings.body_bytes_max, self.settings.body_within).await?;
        match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Ok(T::default()),
            Some(b'{') => serde_json::from_slice(&bytes)
                .map_err(|error| Problem::bad_request(format!("the body: {error}"))),
            // A list would be taken for the members in order.
            Some(_) => Err(Problem::bad_request("the body must be a JSON object")),
        }
    }

    fn limit(&self, query: &Query) -> Result<usize, Problem> {
        let limit = query.number("limit", 1, self.settings.page_items_max as u64)?;
        Ok(limit.map_or(self.settings.page_items, |limit| limit as usize))
    }
}

fn parse_page(text: &str) -> Result<(Micros, Box<str>), Problem> {
    text.split_once('.')
        .and_then(|(at, id)| Some((at.parse().ok()?, id.into())))
        .ok_or_else(|| Problem::bad_request("page must be the next of an earlier answer"))
}

/// A token without its secret; absent rather than null.
fn describe(token: &Visible) -> Map<String, Value> {
    let token = &token.0;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    put("id", (*token.id).into());
    put("last_four", (*token.last_four).into());
    put("role", token.role.word().into());
    if let Some(tenant) = &token.tenant {
        put("tenant", (**tenant).into());
    }
    if let Some(devices) = &token.devices {
        put("devices", names(devices));
    }
    put("permissions", names(&token.permissions));
    put("staff", token.staff.into());
    put("superuser", token.superuser.into());
    put("organizations", names(&token.organizations));
    put("created_at", time(token.created_at));
    if let Some(expires_at) = token.expires_at {
        put("expires_at", time(expires_at));
    }
    members
}

fn describe_tenant(tenant: &Tenant) -> Value {
    json!({ "id": &*tenant.id, "spread": tenant.spread, "created_at": time(tenant.created_at) })
}

fn names(names: &[Box<str>]) -> Value {
    names.iter().map(|name| Value::from(&**name)).collect()
}

fn time(at: Micros) -> Value {
    jiff::Timestamp::from_microsecond(at).map_or(Value::Null, |time| format!("{time:.3}").into())
}

impl From<TokenRefused> for Problem {
    fn from(refused: TokenRefused) -> Self {
        match refused {
            TokenRefused::Invalid(invalid) => {
                Self::bad_request(invalid.to_string()).with("member", invalid.member)
            }
            TokenRefused::Forbidden(message) => Self::forbidden(message),
            TokenRefused::NotFound => Self::not_found(refused.to_string()),
            TokenRefused::TooMany(message) => Self::new(StatusCode::CONFLICT, message),
            TokenRefused::Tenant(refused) => refused.into(),
            TokenRefused::Log(error) => error.into(),
        }
    }
}

impl From<TenantRefused> for Problem {
    fn from(refused: TenantRefused) -> Self {
        match refused {
            TenantRefused::Name(error) => error.into(),
            TenantRefused::Forbidden => Self::forbidden(refused.to_string()),
            TenantRefused::Spread { .. } => Self::bad_request(refused.to_string()).with("member", "spread"),
            TenantRefused::Exists { spread } => {
                Self::new(StatusCode::CONFLICT, refused.to_string()).with("spread", spread)
            }
            TenantRefused::Log(error) => error.into(),
        }
    }
}

impl From<RuleRefused> for Problem {
    fn from(refused: RuleRefused) -> Self {
        match refused {
            RuleRefused::Forbidden => Self::forbidden(refused.to_string()),
            RuleRefused::TooMany { .. } => Self::new(StatusCode::CONFLICT, refused.to_string()),
            RuleRefused::Tenant(refused) => refused.into(),
            RuleRefused::Log(error) => error.into(),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        tracing::warn!(%error, "a change of the control topic failed");
        Self::unavailable(error.to_string(), 1)
    }
}
