//! Which entrance a request comes in by. A path that two dialects own is decided here, and nowhere else:
//! by where the credential stands.

use std::sync::Arc;

use access::http::{Body, Problem, Query, json};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Response, StatusCode};

use super::Entrance;

/// Belongs to two dialects: `token` in the query means the one, an `Authorization` header the other.
const SHARED: &str = "/api/v2/ws";

/// The entrance of a request.
///
/// # Errors
/// The answer, when it comes in by none.
pub(crate) fn choose<'a>(
    entrances: &'a [Arc<dyn Entrance>],
    parts: &Parts,
) -> Result<&'a Arc<dyn Entrance>, Box<Response<Body>>> {
    let path = parts.uri.path();
    let mut here = entrances.iter().filter(|entrance| entrance.takes(path));
    let found = if path == SHARED {
        let in_query = Query::parse(parts.uri.query()).all("token").next().is_some();
        match (in_query, parts.headers.contains_key(AUTHORIZATION)) {
            (true, false) => here.find(|entrance| entrance.surface().query.contains(&"token")),
            (false, true) => here.find(|entrance| entrance.surface().bearer),
            (true, true) => return Err(refusal(StatusCode::BAD_REQUEST, "ambiguous credentials")),
            (false, false) => return Err(refusal(StatusCode::UNAUTHORIZED, "unauthorized")),
        }
    } else {
        here.next()
    };
    found.ok_or_else(|| Box::new(Problem::not_found("there is nothing at this path").into_response()))
}

fn refusal(status: StatusCode, error: &str) -> Box<Response<Body>> {
    Box::new(json(status, format!("{{\"error\":\"{error}\"}}")))
}

#[cfg(test)]
mod tests {
    use access::http::Surface;
    use http::{HeaderValue, Request};

    use super::*;
    use crate::dialect::{Asked, Opening, Refusal};

    struct Door(&'static str, Surface);

    impl Entrance for Door {
        fn paths(&self) -> &[&'static str] {
            std::slice::from_ref(&self.0)
        }

        fn surface(&self) -> Surface {
            self.1
        }

        fn open(&self, _: &Asked<'_>) -> Result<Opening, Refusal> {
            Err(Problem::not_found(self.0).into())
        }
    }

    fn chosen(uri: &'static str, header: bool) -> Result<usize, u16> {
        let in_query = Surface {
            query: &["token"],
            ..Surface::NONE
        };
        let in_header = Surface {
            bearer: true,
            ..Surface::NONE
        };
        let entrances: Vec<Arc<dyn Entrance>> = vec![
            Arc::new(Door("/v1/stream", Surface::STREAM)),
            Arc::new(Door(SHARED, in_query)),
            Arc::new(Door(SHARED, in_header)),
        ];
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static(uri);
        if header {
            let value = HeaderValue::from_static("Bearer x");
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let parts = request.into_parts().0;
        let found = choose(&entrances, &parts).map_err(|refused| refused.status().as_u16())?;
        let place = entrances.iter().position(|other| Arc::ptr_eq(other, found));
        Ok(place.unwrap_or(usize::MAX))
    }

    #[test]
    fn a_shared_path_is_decided_by_where_the_credential_stands() {
        assert_eq!(chosen("/api/v2/ws?token=x", false), Ok(1));
        assert_eq!(chosen("/api/v2/ws", true), Ok(2));
        assert_eq!(chosen("/api/v2/ws?token=x", true), Err(400));
        assert_eq!(chosen("/api/v2/ws", false), Err(401));
    }

    #[test]
    fn any_other_path_has_one_entrance_or_none() {
        assert_eq!(chosen("/v1/stream?token=x", true), Ok(0));
        assert_eq!(chosen("/v2/stream", true), Err(404));
    }
}
