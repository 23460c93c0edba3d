//! Faults in force: on which requests, and how often.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::fault::Fault;
use super::routes::{Route, fits};
use super::words::Wanted;

/// Which requests a fault is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// Both ports.
    Any,
    /// Every request of the API.
    Api,
    /// Every request of the snapshot host.
    Snapshots,
    Route(Route),
    /// The routes of apps and of databases with this word.
    Word(&'static str),
    /// A method (or `*`) and a path without `/v2`, where `*` is one part and a last `**` the rest.
    Path(String, String),
}

impl On {
    pub fn path(method: &str, pattern: &str) -> Self {
        Self::Path(method.into(), pattern.into())
    }

    pub fn matches(&self, route: Route, method: &str, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Api => route != Route::Object,
            Self::Snapshots => route == Route::Object,
            Self::Route(wanted) => *wanted == route,
            Self::Word(word) => *word == route.word(),
            Self::Path(wanted, pattern) => (wanted == "*" || wanted == method) && fits(pattern, path),
        }
    }
}

impl From<Route> for On {
    fn from(route: Route) -> Self {
        Self::Route(route)
    }
}

/// A fault in force.
#[derive(Debug)]
pub struct Entry {
    on: On,
    pub fault: Fault,
    state: Mutex<State>,
    hits: AtomicU64,
}

#[derive(Debug)]
struct State {
    skip: u64,
    left: u64,
    unserved: bool,
}

impl Entry {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses it once, if it is still to be used and is not `queued` behind another one.
    pub fn take(&self, queued: bool) -> bool {
        let mut state = self.state();
        if state.left == 0 {
            return false;
        }
        if state.skip > 0 {
            state.skip -= 1;
            return false;
        }
        if queued {
            return false;
        }
        state.left = if state.left == u64::MAX { u64::MAX } else { state.left - 1 };
        self.hits.fetch_add(1, Ordering::SeqCst);
        true
    }

    pub fn is_instead(&self) -> bool {
        self.fault.is_instead() || self.state().unserved
    }
}

/// Every fault in force, in the order they were asked for.
#[derive(Debug, Default)]
pub struct Faults {
    entries: Mutex<Vec<Arc<Entry>>>,
}

impl Faults {
    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new fault, in force from now on.
    pub fn add(self: &Arc<Self>, on: On, fault: Fault) -> FaultHandle {
        let state = Mutex::new(State { skip: 0, left: u64::MAX, unserved: false });
        let entry = Arc::new(Entry { on, fault, state, hits: AtomicU64::new(0) });
        self.entries().push(entry.clone());
        FaultHandle { entry, all: self.clone() }
    }

    /// One that was asked for in words.
    pub fn want(self: &Arc<Self>, wanted: Wanted) {
        self.add(wanted.on, wanted.fault).times(wanted.times.unwrap_or(u64::MAX));
    }

    /// Those still to happen.
    pub fn len(&self) -> usize {
        self.entries().iter().filter(|e| e.state().left > 0).count()
    }

    pub fn clear(&self) {
        self.entries().clear();
    }

    /// The faults a request meets before its body is read.
    pub fn meet_early(&self, route: Route, method: &str, path: &str) -> Vec<Arc<Entry>> {
        self.matching(route, method, path).filter(|e| e.fault.is_early() && e.take(false)).collect()
    }

    /// The other faults a request meets. It uses up all, except those that wait for a byte of the object and those
    /// that answer instead of the world when another one does already: they queue.
    pub fn meet(&self, route: Route, method: &str, path: &str) -> Vec<Arc<Entry>> {
        let met = self.matching(route, method, path).filter(|e| !e.fault.is_early());
        let mut answered = false;
        met.filter(|e| {
            let instead = e.fault.is_instead();
            let taken = matches!(e.fault, Fault::AtObjectByte(..)) || e.take(instead && answered);
            answered |= instead && taken;
            taken
        })
        .collect()
    }

    fn matching(&self, route: Route, method: &str, path: &str) -> impl Iterator<Item = Arc<Entry>> {
        let all = self.entries().clone();
        all.into_iter().filter(move |e| e.on.matches(route, method, path))
    }
}

/// A fault that was asked for: how often, from when, and whether it happened. Without more said it happens always.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    entry: Arc<Entry>,
    all: Arc<Faults>,
}

impl FaultHandle {
    pub fn once(self) -> Self {
        self.times(1)
    }

    pub fn times(self, n: u64) -> Self {
        self.entry.state().left = n;
        self
    }

    /// Lets the first `n` requests through.
    pub fn after(self, n: u64) -> Self {
        self.entry.state().skip = n;
        self
    }

    /// The request has no effect in the world.
    pub fn unserved(self) -> Self {
        self.entry.state().unserved = true;
        self
    }

    /// How often it happened.
    pub fn hits(&self) -> u64 {
        self.entry.hits.load(Ordering::SeqCst)
    }

    /// Takes it out of force.
    pub fn remove(self) {
        self.all.entries().retain(|e| !Arc::ptr_eq(e, &self.entry));
    }
}
