//! One case of one row: who tries what, and what must become of it.

use tests::tap::Request;

use super::cast::{ELSEWHERE, FOREIGN, HIDDEN, OWN, PAGE, Who, id, mark};
use super::row::{Carrier, Expect, Grant, Place, Row, role};

/// A page that may not use cookies.
const EVIL: &str = "https://evil.example";

/// Which case it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) enum Case {
    Nobody,
    Wrong,
    Expired,
    Page,
    Revoked,
    Expires,
    Loses,
    Foreign,
    Tenant,
    Scope,
    Lacking,
    Right,
    /// A good credential where none may stand.
    Misplaced,
    /// A good one in another place where it may.
    Replaced,
    /// The same, done by somebody of the other tenant: so it is seen that its marks would be found.
    Opposite,
    /// The device that some may not see, asked for by somebody who may: likewise.
    Unlimited,
}

/// Those that are told of, in the order of the table.
pub(in crate::access) const CASES: [Case; 12] = [
    Case::Nobody,
    Case::Wrong,
    Case::Expired,
    Case::Page,
    Case::Revoked,
    Case::Expires,
    Case::Loses,
    Case::Foreign,
    Case::Tenant,
    Case::Scope,
    Case::Lacking,
    Case::Right,
];

#[derive(Debug, Clone)]
pub(in crate::access) struct Cell {
    pub(in crate::access) row: Row,
    pub(in crate::access) case: Case,
    pub(in crate::access) who: Who,
    /// The device that is asked for.
    pub(in crate::access) name: String,
    pub(in crate::access) place: Option<Place>,
    /// The page that it is tried from; empty: none.
    pub(in crate::access) origin: &'static str,
    pub(in crate::access) expect: Expect,
}

impl Row {
    /// What is expected in a case of the table.
    pub(in crate::access) const fn expected(&self, case: Case) -> Expect {
        let expect = &self.expect;
        match case {
            Case::Nobody | Case::Misplaced => expect.nobody,
            Case::Wrong => expect.wrong,
            Case::Expired => expect.expired,
            Case::Page => expect.page,
            Case::Revoked => expect.revoked,
            Case::Expires => expect.expires,
            Case::Loses => expect.loses,
            Case::Foreign => expect.foreign,
            Case::Tenant => expect.tenant,
            Case::Scope => expect.scope,
            Case::Lacking => expect.lacking,
            Case::Right | Case::Replaced | Case::Opposite | Case::Unlimited => expect.right,
        }
    }

    /// Every cell of the row; `number` tells rows apart.
    pub(in crate::access) fn cells(&self, number: usize) -> Vec<Cell> {
        let told = CASES.into_iter().map(|case| self.cell(case, number));
        let mut cells: Vec<Cell> = told.filter(|cell| cell.expect != Expect::Na).collect();
        let right = self.cell(Case::Right, number);
        let at = |case: Case, place: Place| Cell {
            case,
            place: Some(place),
            expect: self.expected(case),
            ..right.clone()
        };
        let is_open = self.grant == Grant::Nobody;
        for place in Place::ALL {
            let is_known = self.places.contains(&place) || self.ambiguous.contains(&place);
            if !is_known && !is_open {
                cells.push(at(Case::Misplaced, place));
            }
        }
        // What changes something is done once.
        if self.method == "GET" {
            let others = self.places.iter().skip(1);
            cells.extend(others.map(|place| at(Case::Replaced, *place)));
        }
        let shows = self.expect.right == Expect::Shows;
        if shows && self.grant != Grant::System {
            cells.push(self.cell(Case::Opposite, number));
        }
        let asks_one = !matches!(self.expect.scope, Expect::Na | Expect::Shows);
        if shows && asks_one && !matches!(self.grant, Grant::Device) && self.method == "GET" {
            cells.push(self.cell(Case::Unlimited, number));
        }
        cells
    }

    fn cell(&self, case: Case, number: usize) -> Cell {
        let is_limited = case == Case::Scope && self.expect.scope != Expect::Shows;
        let name = if case == Case::Foreign {
            ELSEWHERE.to_owned()
        } else if is_limited || case == Case::Unlimited {
            HIDDEN.to_owned()
        } else if case == Case::Revoked && self.grant == Grant::Device {
            // Its tokens are revoked all at once.
            format!("revoked-{number}")
        } else {
            self.device.to_owned()
        };
        // One that is connected already must not be replaced.
        let is_another = matches!(case, Case::Scope | Case::Foreign);
        let device = if is_another { "spare" } else { &name };
        let mut who = Who {
            grant: if case == Case::Lacking {
                self.lacking
            } else {
                self.grant
            },
            tenant: if case == Case::Opposite { FOREIGN } else { OWN },
            devices: (case == Case::Scope).then(|| vec![id(self.device)]),
            device: device.to_owned(),
            is_short: case == Case::Expired,
        };
        if who.grant == Grant::Nobody {
            who.grant = role("user");
        }
        let cookie = self.places.iter().find(|place| matches!(place, Place::Cookie(_)));
        let first = self.places.first().copied().unwrap_or(Place::Bearer);
        let place = if case == Case::Page {
            cookie.copied()
        } else {
            Some(first).filter(|_| case != Case::Nobody)
        };
        Cell {
            row: *self,
            case,
            who,
            name,
            place,
            origin: if case == Case::Page { EVIL } else { PAGE },
            expect: self.expected(case),
        }
    }
}

impl Cell {
    /// Whether it is a stream that stays.
    pub(in crate::access) fn is_stream(&self) -> bool {
        self.row.carrier != Carrier::Request
    }

    /// The request with that credential; `token` is the id of one.
    pub(in crate::access) fn request(&self, credential: &str, token: &str) -> Request {
        let row = &self.row;
        let target = if row.target.is_empty() {
            row.pattern
        } else {
            row.target
        };
        let names_tenant = self.case == Case::Tenant;
        let fill = |text: &str| self.fill(text, credential, token);
        let mut request = Request {
            method: row.method.to_owned(),
            target: fill(target),
            body: fill(row.body),
            upgrades: row.carrier == Carrier::Socket,
            ..Request::default()
        };
        let mut ask = |text: String| {
            let sign = if request.target.contains('?') { '&' } else { '?' };
            request.target.push(sign);
            request.target.push_str(&text);
        };
        if names_tenant && !target.contains("{tenant}") && !row.body.contains("{tenant}") {
            ask(format!("tenant={FOREIGN}"));
        }
        match self.place {
            Some(Place::Query(name)) => ask(format!("{name}={credential}")),
            Some(Place::Bearer) => request = request.with("Authorization", &format!("Bearer {credential}")),
            Some(Place::Header(name)) => request = request.with(name, credential),
            Some(Place::Cookie(name)) => {
                request = request
                    .with("Cookie", &format!("{name}={credential}"))
                    .with("Origin", self.origin);
            }
            Some(Place::Body) | None => {}
        }
        request
    }

    /// What is said once the stream is open.
    pub(in crate::access) fn says(&self) -> Vec<String> {
        let says = self.row.says.iter();
        says.map(|text| self.fill(text, "", "")).collect()
    }

    fn fill(&self, text: &str, credential: &str, token: &str) -> String {
        let name = &self.name;
        let in_body = if self.place == Some(Place::Body) {
            credential
        } else {
            ""
        };
        let tenant = if self.case == Case::Tenant {
            FOREIGN
        } else {
            self.who.tenant
        };
        text.replace("[/]", "")
            .replace("{device}", &id(name).replace('/', "%2F"))
            .replace("{id}", &id(name))
            .replace("{name}", name)
            .replace("{command}", &format!("command-{name}-0"))
            .replace("{tenant}", tenant)
            .replace("{token…}", token)
            .replace("{credential}", in_body)
    }

    /// What is seen in round `n` by whoever may.
    pub(in crate::access) fn mark(&self, n: usize) -> String {
        mark(self.who.tenant, &self.name, n)
    }

    /// What must not be seen, by a client that sent `sent`: what it names itself may come back.
    pub(in crate::access) fn forbidden(&self, sent: &str) -> Vec<&'static str> {
        let mut marks = if self.case == Case::Opposite {
            vec!["ownmark", "hiddenmark", HIDDEN, OWN]
        } else {
            vec!["foreignmark", ELSEWHERE, FOREIGN]
        };
        if self.case == Case::Scope {
            marks.extend(["hiddenmark", HIDDEN]);
        }
        if matches!(self.expect, Expect::Is(_)) {
            marks.extend(["ownmark", "hiddenmark"]);
        }
        marks.retain(|mark| !sent.contains(mark));
        marks
    }

    /// For people.
    pub(in crate::access) fn title(&self) -> String {
        let Row { dialect, what, .. } = self.row;
        let place = match (self.case, self.place) {
            (Case::Misplaced | Case::Replaced, Some(place)) => format!(" at {place:?}"),
            _ => String::new(),
        };
        format!("{dialect}, {what}, {:?}{place}", self.case)
    }
}

/// A row of a stream, as somebody opens it who may, for a device of its own.
pub(in crate::access) fn opened(row: &Row, who: Who) -> Cell {
    let name = who.device.clone();
    Cell {
        who,
        name,
        ..row.cell(Case::Right, 0)
    }
}
