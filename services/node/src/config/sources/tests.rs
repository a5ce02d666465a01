use super::*;
use crate::config::check;

fn resolve(
    file: Option<&str>,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> (Config, Vec<Mistake>) {
    let dir = tempfile::tempdir().unwrap();
    let path = file.map(|text| {
        let path = dir.path().join("wakeline.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Sources::read(path.as_deref(), environment, flags).resolve()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "stale_after = \"1s\"\noffline_after = \"2m\"\ndrain = \"3s\"\n";
    let environment = [("WAKELINE_STALE_AFTER", "4s"), ("WAKELINE_DRAIN", "5s")];
    let (config, mistakes) = resolve(Some(file), &environment, &[("drain", "6s")]);
    assert_eq!(mistakes, []);
    assert_eq!(config.drain.as_secs(), 6);
    assert_eq!(config.projector.stale_after.as_secs(), 4);
    assert_eq!(config.projector.offline_after.as_secs(), 120);
    assert_eq!(config.partitions, 16);
}

#[test]
fn every_mistake_is_reported_in_one_run() {
    let file = "partitions = \"many\"\npartitons = 3\n";
    let environment = [
        ("WAKELINE_LISTEN", "here"),
        ("WAKELINE_DRIAN", "1s"),
        ("WAKELINE_TOKE", "x"),
        ("OTHER", "x"),
    ];
    let (_, mistakes) = resolve(Some(file), &environment, &[("role", "captain")]);
    let text: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(mistakes.len(), 6, "{text:#?}");
    for said in [
        "did you mean `partitions`",
        "did you mean `WAKELINE_DRAIN`",
        "did you mean `WAKELINE_TOKEN`",
        "127.0.0.1:8080",
    ] {
        assert!(text.iter().any(|line| line.contains(said)), "{said}: {text:#?}");
    }
}

#[test]
fn a_section_holds_settings_without_its_name_and_the_environment_beats_it() {
    let file = "drain = \"3s\"\n[jwt]\nissuer = \"a\"\naudience = [\"x\", \"y\"]\n";
    let (config, mistakes) = resolve(Some(file), &[("WAKELINE_JWT_ISSUER", "b")], &[]);
    assert_eq!(mistakes, []);
    assert_eq!(config.jwt.issuer.as_deref(), Some("b"));
    assert_eq!(config.jwt.audience, ["x", "y"]);
    for (file, said) in [
        ("[jwt]\nissue = \"a\"\n", "did you mean `issuer`"),
        ("[jwt]\ndrain = \"3s\"\n", "is no setting"),
        ("[jwt.more]\nissuer = \"a\"\n", "is no setting"),
        ("[other]\nissuer = \"a\"\n", "is no setting"),
        ("jwt = 3\n", "is no setting"),
    ] {
        let (_, mistakes) = resolve(Some(file), &[], &[]);
        assert_eq!(mistakes.len(), 1, "{file}");
        assert!(mistakes[0].to_string().contains(said), "{}", mistakes[0]);
    }
}

#[test]
fn a_secret_is_not_shown_in_a_mistake() {
    let (_, mistakes) = resolve(None, &[("WAKELINE_ADMIN_TOKEN", "hunter2")], &[]);
    assert_eq!(mistakes.len(), 1);
    assert!(!mistakes[0].to_string().contains("hunter2"));
    assert!(mistakes[0].to_string().contains("32 characters"));
}

#[test]
fn no_storage_is_a_mistake_that_says_how_to_name_one() {
    let (config, _) = resolve(None, &[], &[]);
    let mistakes = check::together(&config, true);
    assert!(mistakes[0].to_string().contains("--data DIR"));
    let (config, _) = resolve(None, &[], &[("data", "d"), ("kafka", "k:1")]);
    assert!(
        check::together(&config, true)[0]
            .to_string()
            .contains("exclude each other")
    );
}

#[test]
fn the_tables_defaults_are_those_of_the_parts() {
    let (config, mistakes) = resolve(None, &[], &[]);
    assert_eq!(mistakes, []);
    assert_eq!(format!("{config:#?}"), format!("{:#?}", Config::default()));
}
