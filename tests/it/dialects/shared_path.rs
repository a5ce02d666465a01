//! `/api/v2/ws` belongs to two dialects.

use tests::socket::Socket;
use tests::stream::Ended;
use tests::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_credential_stands_decides() {
    let world = World::start().await;
    let token = world.admin.token.clone();
    let query = format!("/api/v2/ws?token={token}");
    let bearer = format!("Bearer {token}");
    assert!(Socket::open(&world.admin, &query, &[]).await.is_ok());
    for (path, headers, status, error) in [
        (
            &*query,
            &[("authorization", &*bearer)][..],
            400,
            "ambiguous credentials",
        ),
        ("/api/v2/ws", &[], 401, "unauthorized"),
    ] {
        let refused = Socket::open(&world.admin, path, headers).await.err();
        let body = format!("{{\"error\":\"{error}\"}}");
        assert_eq!(refused, Some(Ended::Status(status, body)));
    }
    world.end().await;
}
