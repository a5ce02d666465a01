//! `/api/v2/ws` belongs to two dialects.

use serde_json::json;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_credential_stands_decides() {
    let world = World::start().await;
    let token = world.admin.token.clone();
    let query = format!("/api/v2/ws?token={token}");
    let bearer = format!("Bearer {token}");
    let mut legacy = Socket::open(&world.admin, &query, &[]).await.expect("a socket");
    let header = [("authorization", &*bearer)];
    let mut filter = Socket::open(&world.admin, "/api/v2/ws", &header)
        .await
        .expect("a socket");
    for (socket, error) in [(&mut legacy, "/message"), (&mut filter, "/error/unknown_command")] {
        socket.send(&json!({"dance": 1})).await;
        let answer = socket.next().await;
        assert!(answer.pointer(error).is_some(), "{answer}");
    }
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
