//! What the nights of `mirror_year` are compared with: what the account had, the policy in its plainest form, and what goes
//! wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};
use squarecloud_blocking::time::OffsetDateTime;

use crate::mirror_year::Year;
use crate::sandbox::{End, Fault, Kind, ListingForm, Port, Route, Sandbox};

/// Relative to the mirror.
pub type Paths = BTreeSet<String>;

pub const DAY: i64 = 86_400;
pub const KINDS: [Kind; 2] = [Kind::App, Kind::Database];

/// A snapshot that the account has or had.
pub struct Had {
    pub kind: Kind,
    pub resource: String,
    /// Where the host has it.
    pub object: String,
    pub version: String,
    /// When it was created, in seconds.
    pub at: i64,
    pub bytes: Vec<u8>,
    pub is_gone: bool,
}

/// How many of the last snapshots, hours, days, weeks, months and years are kept, and within how many seconds. Days begin
/// at an offset.
#[derive(Clone, Default, PartialEq)]
pub struct Policy(pub [i64; 8]);

impl Policy {
    /// As `mirror_kill` reads it.
    pub fn text(&self) -> String {
        self.0.map(|number| number.to_string()).join(",")
    }

    pub fn is_everything(&self) -> bool {
        self.0[..7] == [0; 7]
    }

    /// The number of the hour, day, ... in which a time lies.
    fn period(&self, rule: usize, at: i64, number: usize) -> i64 {
        let at = at + self.0[7];
        let (day, date) = (at.div_euclid(DAY), OffsetDateTime::from_unix_timestamp(at).unwrap().date());
        let month = i64::from(date.year()) * 12 + i64::from(u8::from(date.month()));
        // 1970 began on a Thursday.
        [number as i64, at.div_euclid(3600), day, (day + 3).div_euclid(7), month, date.year().into()][rule]
    }

    /// What is kept of `all`.
    pub fn names(&self, all: &Paths, had: &BTreeMap<String, Had>) -> Paths {
        if self.is_everything() {
            return all.clone();
        }
        let mut resources = BTreeMap::<_, Vec<(i64, &String)>>::new();
        for path in all {
            resources.entry(folder(path)).or_default().push((had[path].at, path));
        }
        let mut named = Paths::new();
        for mut files in resources.into_values() {
            files.sort();
            let newest = files.last().unwrap().0;
            named.extend(files.iter().filter(|(at, _)| newest - at < self.0[6]).map(|(_, path)| path.to_string()));
            for rule in (0..6).filter(|rule| self.0[*rule] > 0) {
                let each = files.iter().enumerate().map(|(n, (at, path))| (self.period(rule, *at, n), *path));
                // The newest of each period comes last, and stays.
                let periods: BTreeMap<i64, &String> = each.collect();
                named.extend(periods.values().rev().take(self.0[rule] as usize).map(|path| path.to_string()));
                named.extend((periods.len() < self.0[rule] as usize).then(|| files[0].1.clone()));
            }
        }
        named
    }
}

/// Of an app or a database.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').unwrap().0
}

/// A night: what goes wrong, and what is to be expected of the run.
#[derive(Default)]
pub struct Night {
    pub what: String,
    pub policy: Policy,
    pub verify: bool,
    /// What the run can learn of.
    pub listed: Paths,
    /// Of which kinds nothing is pruned, and whether the report says so.
    pub incomplete: BTreeSet<Kind>,
    pub is_told: bool,
    /// Nothing can be listed at all.
    pub is_away: bool,
    /// Whatever is wanted comes, after so many requests of the API.
    pub is_smooth: bool,
    pub requests: Option<usize>,
    pub is_killed: bool,
    /// At which report of its progress the run is cancelled.
    pub cancel: Option<u64>,
    /// Of what the host has wrong bytes.
    pub wrong: Option<String>,
}

impl Year {
    /// Something happens to a file.
    pub fn harm(&mut self) -> String {
        let there: Vec<String> = self.there().into_keys().filter(|path| !self.hurt.contains_key(path)).collect();
        if there.is_empty() {
            return String::new();
        }
        let path = there[self.pick(there.len())].clone();
        let (file, mut bytes) = (self.dir.path().join(&path), self.had[&path].bytes.clone());
        let (modified, keeps_time) = (fs::metadata(&file).unwrap().modified().unwrap(), self.pick(2) == 0);
        match self.pick(4) {
            0 => {
                fs::remove_file(file).unwrap();
                self.lost.insert(path.clone());
                return format!(", deleted {path}");
            }
            1 => bytes.truncate(self.pick(bytes.len())),
            // In the first entry's data.
            _ => bytes[50 + self.pick(100)] ^= 1 << self.pick(8),
        }
        fs::write(&file, &bytes).unwrap();
        if keeps_time {
            fs::File::options().append(true).open(&file).unwrap().set_modified(modified).unwrap();
        }
        self.hurt.insert(path.clone(), bytes.len() == self.had[&path].bytes.len());
        format!(", damaged {path}")
    }

    /// Decides what goes wrong, and sees to it.
    pub fn night(&mut self) -> Night {
        let listed: Paths = self.had.iter().filter(|(_, had)| !had.is_gone).map(|(path, _)| path.clone()).collect();
        // For some nights, less is to be kept.
        let is_strict = self.pick(12) == 0 && !self.policy.is_everything();
        let policy = if is_strict { Policy([2, 0, 1, 0, 0, 0, 0, 0]) } else { self.policy.clone() };
        let verify = self.pick(5) == 0;
        let mut night = Night { policy, listed, verify, is_smooth: true, ..Night::default() };
        let (which, times, variant) = (self.pick(3), 1 + self.pick(6) as u64, self.pick(100));
        let always = if variant % 3 == 0 { u64::MAX } else { times };
        let kinds = [&KINDS[..1], &KINDS[1..], &KINDS[..]][which];
        let is_one_of = |had: &Had| kinds.contains(&had.kind);
        let count = |kind| night.listed.iter().filter(|path| self.had[*path].kind == kind).count();
        let few = kinds.iter().any(|kind| count(*kind) < 2);
        let outage = 120 + self.seed as u32 % 100;
        let is_outage = (outage..outage + 30 + self.seed as u32 % 6).contains(&self.day);
        let number = if is_outage { 19 } else { self.pick(30) };
        let sandbox = &self.sandbox;
        // What listings look like changes, too.
        let form = [ListingForm::New, ListingForm::Old, ListingForm::Seed].get(variant);
        sandbox.rules(|rules| rules.listing = *form.unwrap_or(&rules.listing));
        // Apps are listed first.
        let listing =
            |fault| sandbox.fault(Route::ListAccount, fault).after(which as u64 % 2).times(1 + which as u64 / 2);
        let objects = |fault| sandbox.fault(Route::Object, fault);
        let slow = || objects(Fault::Trickle(100, Duration::from_millis(1)));
        night.what = match number {
            1 | 2 => {
                let faults = [
                    Fault::Code(500, "INTERNAL_SERVER_ERROR", ""),
                    Fault::html(502),
                    Fault::Truncate(9),
                    Fault::Word("error"),
                    Fault::NoResponse,
                    Fault::null(),
                    Fault::rate_limited(),
                    Fault::Garbage(b"garbage".to_vec()),
                    Fault::Response(json!([{"name": "x"}])),
                ];
                let fault = faults[variant % faults.len()].clone();
                night.listed.retain(|path| !is_one_of(&self.had[path]));
                (night.is_told, night.is_away) = (true, which == 2);
                night.incomplete.extend(kinds);
                let what = format!("no listing of {kinds:?}: {fault:?}");
                listing(fault);
                what
            }
            3 => {
                listing(Fault::Response(json!([])));
                night.listed.retain(|path| !is_one_of(&self.had[path]));
                night.incomplete.extend(kinds);
                format!("an empty listing of {kinds:?}")
            }
            4 if !few => {
                listing(Fault::Edit(|value| value["response"][0] = json!({"name": "x"})));
                for kind in kinds {
                    let of_kind = night.listed.iter().filter(|path| self.had[*path].kind == *kind);
                    let first = of_kind.min_by_key(|path| &self.had[*path].version).unwrap().clone();
                    night.listed.remove(&first);
                }
                night.is_told = true;
                night.incomplete.extend(kinds);
                format!("an undecodable item in the listing of {kinds:?}")
            }
            5 | 6 => {
                let mut world = sandbox.world();
                world.accounts.values_mut().for_each(|account| account.plan = "free".into());
                night.requests = (number == 5).then(|| 2 + world.resources.len());
                let app = world.resources.values().find(|resource| resource.kind == Kind::App).unwrap();
                if number == 6 {
                    sandbox.fault(Route::List(Kind::App), Fault::html(503)).once();
                    night.listed.retain(|path| self.had[path].resource != app.id);
                    night.incomplete.insert(Kind::App);
                    night.is_told = true;
                }
                format!("HTTP 402, {} listing fails", number - 5)
            }
            7 => {
                listing(Fault::Edit(expire));
                format!("expired links of {kinds:?}")
            }
            8 => {
                let missing = night.listed.iter().filter(|path| !self.dir.path().join(path).exists());
                night.wrong = missing.max().cloned();
                if let Some(had) = night.wrong.as_ref().map(|path| &self.had[path]) {
                    let mut bytes = had.bytes.clone();
                    bytes[60] ^= 1;
                    replace(sandbox, had, bytes);
                }
                (night.is_smooth, night.verify) = (false, true);
                format!("damaged bytes of {:?}", night.wrong)
            }
            9..=13 => {
                let (what, fault) = match number {
                    9 => ("cut bodies", Fault::HalfBody([End::Close, End::Reset][variant % 2])),
                    10 => ("503", Fault::xml(503, "SlowDown")),
                    11 => ("404", Fault::xml(404, "NoSuchKey")),
                    12 => ("403", Fault::Expired),
                    _ => ("wrong bytes", Fault::WrongBytes),
                };
                night.is_smooth = false;
                objects(fault).times(always);
                format!("{what}, {} times", if always > 9 { "all".into() } else { always.to_string() })
            }
            14 => {
                sandbox.pause(Port::Snapshots);
                night.is_smooth = false;
                "refused connections".into()
            }
            15 => {
                slow();
                night.cancel = Some(variant as u64 % 15);
                night.is_smooth = false;
                format!("cancelled at {:?}", night.cancel)
            }
            16 | 17 => {
                slow();
                night.is_killed = true;
                "killed".into()
            }
            18 | 19 => {
                sandbox.pause(Port::Api);
                sandbox.pause(Port::Snapshots);
                night.is_away = true;
                "no network".into()
            }
            _ => {
                night.requests = Some(2);
                "calm".into()
            }
        };
        night
    }

    /// The night is over, and so is what went wrong.
    pub fn make_good(&self, night: &Night) {
        self.sandbox.clear_faults();
        [Port::Api, Port::Snapshots].into_iter().for_each(|port| self.sandbox.resume(port));
        self.sandbox.world().accounts.values_mut().for_each(|account| account.plan = "standard-4".into());
        if let Some(had) = night.wrong.as_ref().map(|path| &self.had[path]) {
            replace(&self.sandbox, had, had.bytes.clone());
        }
    }
}

/// Links whose signature is not valid any more.
fn expire(listing: &mut Value) {
    for item in listing["response"].as_array_mut().unwrap() {
        for field in ["key", "url"] {
            if let Some(text) = item[field].as_str() {
                item[field] = text.replace("Expires=", "Expires=1").into();
            }
        }
    }
}

/// Gives the host's copy of a snapshot other bytes.
fn replace(sandbox: &Sandbox, had: &Had, bytes: Vec<u8>) {
    let mut world = sandbox.world();
    let versions = world.objects.get_mut(&had.object).into_iter().flatten();
    versions.filter(|version| version.id == had.version).for_each(|version| version.data = bytes.clone().into());
}

/// The seeds and the number of days to run: from the environment, if that says so.
pub fn years(days: u32) -> (RangeInclusive<u64>, u32) {
    let set = |name| std::env::var(name).ok();
    let seeds = set("MIRROR_SEED").unwrap_or("1".into());
    let (first, last) = seeds.split_once("..").unwrap_or((&seeds, &seeds));
    let days = set("MIRROR_DAYS").map_or(days, |days| days.parse().unwrap());
    (first.parse().unwrap()..=last.parse().unwrap(), days)
}
