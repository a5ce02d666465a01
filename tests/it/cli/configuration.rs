//! Wrong configuration: a message that says what to do, and an exit code that is not zero.

use tests::program::Program;

#[tokio::test]
async fn config_check_prints_every_setting_and_no_mistake() {
    let data = tempfile::tempdir().unwrap();
    let token = "a-secret-that-nobody-may-ever-read-anywhere";
    let arguments = [
        "config",
        "check",
        "--data",
        data.path().to_str().unwrap(),
        "--retention",
        "3d",
    ];
    let ended = Program::run(
        &arguments,
        &[
            ("WAKELINE_ADMIN_TOKEN", token),
            ("WAKELINE_LISTEN", "127.0.0.1:1234"),
        ],
    )
    .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = |name: &str| {
        let found = ended
            .output
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        found.unwrap_or_else(|| panic!("{name} is not listed")).to_owned()
    };
    assert!(line("retention").contains("3d") && line("retention").contains("--retention"));
    assert!(line("listen").contains("127.0.0.1:1234") && line("listen").contains("WAKELINE_LISTEN"));
    assert!(line("partitions").contains("16") && line("partitions").contains("default"));
    assert!(line("admin-token").contains("********"));
    assert!(!format!("{ended:?}").contains(token), "{ended:?}");
}

#[tokio::test]
async fn config_check_prints_all_mistakes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wakeline.toml");
    std::fs::write(
        &file,
        "partitions = \"many\"\nunheard_of = 1\nlisten = \"127.0.0.1:8080\"\n",
    )
    .unwrap();
    let arguments = [
        "config",
        "check",
        "--config",
        file.to_str().unwrap(),
        "--listen",
        "nowhere",
        "--stale-after",
        "20m",
    ];
    let variables = [
        ("WAKELINE_ADMIN_TOKEN", "short"),
        ("WAKELINE_PARTITONS", "4"),
        ("WAKELINE_TOKEN", "x"),
    ];
    let ended = Program::run(&arguments, &variables).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let (_, mistakes) = ended.output.split_once("to correct:").expect("mistakes");
    for named in [
        "partitions",
        "unheard_of",
        "--listen",
        "WAKELINE_ADMIN_TOKEN",
        "WAKELINE_PARTITONS",
        "--data DIR",
        "offline-after",
    ] {
        assert!(
            mistakes.contains(named),
            "{named} is not among the mistakes:{mistakes}"
        );
    }
    assert_eq!(mistakes.trim().lines().count(), 7, "{mistakes}");
}

#[tokio::test]
async fn config_check_knows_the_section_of_jwts_and_reads_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (file, key) = (dir.path().join("wakeline.toml"), dir.path().join("secret"));
    std::fs::write(&key, "a secret of at least thirty-two bytes").unwrap();
    let check = async |section: &str| {
        let data = dir.path().join("data");
        std::fs::write(
            &file,
            format!("data = {data:?}\n[jwt]\nkey_file = {key:?}\n{section}"),
        )
        .unwrap();
        let arguments = ["config", "check", "--config", file.to_str().unwrap()];
        Program::run(&arguments, &[]).await
    };
    let good = check("algorithm = \"HS256\"\nissuer = \"i\"\naudience = [\"a\", \"b\"]\n").await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.output.contains("a,b"), "{}", good.output);
    let wrong = "algorithm = \"HS265\"\njwks_url = \"certs\"\nleeway = \"long\"\nisuer = \"i\"\n";
    let wrong = check(wrong).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    let (_, mistakes) = wrong.output.split_once("to correct:").expect("mistakes");
    for said in [
        "HS256, RS256, ES256",
        "is not a URL",
        "jwt-leeway",
        "did you mean `issuer`",
        "keys come from one place",
        "is no PEM file",
    ] {
        assert!(mistakes.contains(said), "{said}: {mistakes}");
    }
}

#[tokio::test]
async fn serve_with_mistakes_names_them_and_ends() {
    let arguments = ["serve", "--ingest-body-bytes-max", "lots"];
    let ended = Program::run(&arguments, &[("WAKELINE_UNHEARD_OF", "1")]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for named in ["ingest-body-bytes-max", "WAKELINE_UNHEARD_OF", "--data DIR"] {
        assert!(ended.errors.contains(named), "{named}: {}", ended.errors);
    }
}

#[tokio::test]
async fn arguments_that_are_none_are_explained() {
    for arguments in [
        &["serve", "--no-such-flag"][..],
        &["nonsense"],
        &[],
        &["token", "create"],
    ] {
        let ended = Program::run(arguments, &[]).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.errors.contains("Usage"), "{ended:?}");
    }
    let help = Program::run(&["--help"], &[]).await;
    assert_eq!(help.code, Some(0));
    for command in [
        "demo", "serve", "migrate", "rebuild", "config", "token", "tail", "simulate",
    ] {
        assert!(help.output.contains(command), "{command}: {}", help.output);
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for setting in ["listen", "admin-listen"] {
        let data = tempfile::tempdir().unwrap();
        let other = if setting == "listen" {
            "--admin-listen"
        } else {
            "--listen"
        };
        let flag = format!("--{setting}");
        let arguments = [
            "serve",
            "--data",
            data.path().to_str().unwrap(),
            &flag,
            &address,
            other,
            "127.0.0.1:0",
        ];
        let ended = Program::run(&arguments, &[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.errors.contains(&format!("{setting} {address}")),
            "{}",
            ended.errors
        );
    }
}

#[tokio::test]
async fn a_data_directory_that_another_process_holds_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let (held, _) = Program::serve(data.path(), &[]).await;
    let path = data.path().to_str().unwrap();
    let second = [
        "serve",
        "--data",
        path,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let ended = Program::run(&second, &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains(path), "{}", ended.errors);
    let token = [
        "token", "create", "--role", "admin", "--tenant", "acme", "--data", path,
    ];
    let ended = Program::run(&token, &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.errors.contains("--url") && ended.errors.contains("WAKELINE_TOKEN"),
        "{}",
        ended.errors
    );
    held.terminate().await;
    assert_eq!(held.ended().await.code, Some(0));
}

#[tokio::test]
async fn brokers_that_are_not_there_are_named() {
    // Nothing listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let arguments = [
        "serve",
        "--kafka",
        &free,
        "--cql",
        &free,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let ended = Program::run(&arguments, &[("WAKELINE_KAFKA_CONNECT_TIMEOUT", "2s")]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.errors.contains(&free) && ended.errors.contains("afka"),
        "{}",
        ended.errors
    );
}
