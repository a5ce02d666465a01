//! Who runs where: the node on the first core, its clients on the second, where those who do harm come
//! last. What they take of their core is not what the good ones are measured by.

use std::process::Stdio;

use tests::api::Api;
use tokio::process::Command;
use tokio::sync::oneshot;

/// Gives the node the first core, and this process the second.
pub(super) async fn part(node: u32) {
    for (core, process) in [("0", node), ("1", std::process::id())] {
        run("taskset", &["-a", "-c", "-p", core, &process.to_string()]).await;
    }
}

/// Does harm in a thread of its own that runs when no other wants to; answers when it is done.
pub(super) fn behind(api: Api, harm: impl AsyncFnOnce(Api) + Send + 'static) -> oneshot::Receiver<()> {
    let (done, is_done) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let thread = std::fs::read_link("/proc/thread-self").expect("this thread");
            let number = thread.file_name().expect("its number");
            run("renice", &["-n", "19", "-p", number.to_str().expect("a number")]).await;
            // Connections of another runtime are not used here.
            harm(Api::new(&api.base, &api.token)).await;
        });
        done.send(()).expect("somebody waits for it");
    });
    is_done
}

async fn run(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    let status = command.args(arguments).stdout(Stdio::null()).status().await;
    assert!(status.expect(program).success(), "{program} {arguments:?}");
}
