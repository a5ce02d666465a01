//! What streams ask of the state: tenants leave each other room, and a search is no more than its pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use access::Scope;
use journal::Clock;
use parking_lot::Mutex;
use schemas::Document;
use schemas::document::DeviceAlert;
use schemas::event::AlertStatus;
use state::{Applied, Counts, Stored};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::fake::{FakeAccess, FakeStore, Log, Shelf, store};
use super::world::{run, small};
use crate::dialect::conversation::Search;
use crate::dialect::{Answer, Ask};
use crate::engine::lookups::{Lookup, LookupAnswer};
use crate::engine::mailbox::{Inbox, Mailbox, Reply};
use crate::engine::metrics::Metrics;
use crate::engine::tails::Wake;
use crate::engine::worker::Environment;
use crate::engine::{Access, Token, environment};
use crate::settings::Settings;
use crate::subscription::TenantScope;

struct Deaf;

impl Wake for Deaf {
    fn wake(&self) {}
}

struct Desk {
    shelf: Arc<FakeStore>,
    env: Arc<Environment>,
    mailbox: Arc<Mailbox>,
    inbox: Inbox,
    asked: u32,
    _tasks: JoinSet<()>,
}

impl Desk {
    fn new(settings: &Settings) -> Self {
        let shelf = Arc::new(FakeStore(Mutex::new(Shelf::default())));
        let clock: Clock = Arc::new(|| 1_000_000_000);
        let (env, _, _, tasks) = environment(
            settings,
            Log::new(Duration::ZERO).journal(),
            store(&shelf),
            Arc::new(FakeAccess::default()) as Arc<dyn Access>,
            clock,
            Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()),
            &Handle::current(),
        );
        let (mailbox, inbox) = Mailbox::new(64, 10_000, Box::new(Deaf));
        Self {
            shelf,
            env,
            mailbox,
            inbox,
            asked: 0,
            _tasks: tasks,
        }
    }

    fn ask(&mut self, tenant: &str, ask: Ask) {
        self.asked += 1;
        let token = Token {
            slot: self.asked,
            generation: 0,
        };
        let lookup = Lookup::Asked {
            tenant: TenantScope::One(tenant.into()),
            scope: Scope::All,
            ask,
        };
        assert!(self.env.lookups.request(lookup, tenant, token, &self.mailbox));
    }

    /// What is answered within some virtual seconds.
    async fn answers(&self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for _ in 0..3_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            while let Ok(reply) = self.inbox.replies.try_recv() {
                if let Reply::Lookup {
                    answer: LookupAnswer::Asked(answer),
                    ..
                } = reply
                {
                    answers.push(answer);
                }
            }
        }
        answers
    }
}

fn page() -> Ask {
    Ask::Devices(Search {
        filters: None,
        page: None,
        limit: 3,
        enough: 3,
        looks: 3,
    })
}

#[test]
fn a_tenant_whose_answers_take_long_leaves_room_to_others() {
    run(async {
        let settings = Settings {
            page_reads_max: 4,
            page_reads_per_tenant_max: 2,
            ..small()
        };
        let mut desk = Desk::new(&settings);
        desk.shelf.0.lock().stuck = Some("slow".into());
        for _ in 0..20 {
            desk.ask("slow", page());
        }
        assert!(desk.answers().await.is_empty());
        for _ in 0..5 {
            desk.ask("quick", page());
        }
        assert_eq!(desk.answers().await.len(), 5);
        desk.shelf.0.lock().stuck = None;
        assert_eq!(desk.answers().await.len(), 20);
    });
}

fn device(number: i64) -> (String, Stored) {
    let alert = DeviceAlert {
        alert_id: format!("a{number}").into(),
        alert_type: "HOT".into(),
        severity: 1,
        confidence: None,
        summary: "".into(),
        status: AlertStatus::Open,
        site_id: None,
        created_at: number,
    };
    let document = Document {
        tenant: "t".into(),
        id: format!("d{number}").into(),
        alerts: vec![alert],
        ..Document::default()
    };
    let stored = Stored {
        document: Arc::new(document),
        source: 1,
    };
    (format!("t/d{number}"), stored)
}

fn alerts(answer: &Answer) -> Vec<&str> {
    let Answer::Alerts(found) = answer else {
        panic!("{answer:?}")
    };
    found.iter().map(|found| &*found.alert.alert_id).collect()
}

/// A fleet of nine devices in one partition, an alert each; three documents are a page.
fn fleet(desk: &Desk) {
    let counts = Counts {
        devices: 9,
        alerts_open: 9,
        ..Counts::default()
    };
    let applied = Applied {
        counts: BTreeMap::from([("t".into(), counts)]),
        ..Applied::default()
    };
    let mut shelf = desk.shelf.0.lock();
    shelf.documents = (1..=9).map(device).collect();
    shelf.applied.insert(0, applied);
}

#[test]
fn those_who_ask_for_the_same_alerts_share_one_search() {
    run(async {
        let settings = Settings {
            page_reads_max: 1,
            ..small()
        };
        let mut desk = Desk::new(&settings);
        fleet(&desk);
        desk.shelf.0.lock().stuck = Some("t".into());
        desk.ask("t", Ask::Alerts { limit: 2 });
        assert!(desk.answers().await.is_empty());
        for _ in 0..5 {
            desk.ask("t", Ask::Alerts { limit: 2 });
        }
        assert!(desk.answers().await.is_empty());
        desk.shelf.0.lock().stuck = None;
        let answers = desk.answers().await;
        assert_eq!(answers.len(), 6);
        assert!(answers.iter().all(|answer| alerts(answer) == ["a9", "a8"]));
        // The one under way, and one for all who asked since.
        assert_eq!(desk.shelf.0.lock().pages_read, 6);
    });
}

#[test]
fn a_search_lets_others_of_its_tenant_ask_between_its_pages() {
    run(async {
        let settings = Settings {
            page_reads_max: 1,
            ..small()
        };
        let mut desk = Desk::new(&settings);
        fleet(&desk);
        desk.shelf.0.lock().stuck = Some("t".into());
        desk.ask("t", Ask::Alerts { limit: 2 });
        assert!(desk.answers().await.is_empty());
        desk.ask("t", Ask::Documents(vec!["d1".into()]));
        assert!(desk.answers().await.is_empty());
        desk.shelf.0.lock().stuck = None;
        let answers = desk.answers().await;
        assert!(matches!(answers[..], [Answer::Documents(_), Answer::Alerts(_)]));
    });
}
