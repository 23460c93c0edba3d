//! Which connection fetches which piece of a snapshot, and which connections a host serves.
//!
//! A connection whose attempt brings nothing gives its piece back as long as others are at work, and comes back later: a host
//! may limit connections or requests (nginx's `limit_conn`, `limit_req`), or be away for all. The last one at work stays,
//! under the retry policy of a download with one connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::stream::Stream;

/// The missing rest of a piece.
pub(crate) struct Job {
    pub(crate) piece: usize,
    pub(crate) at: u64,
    /// `None` for a part file in one piece: to the end, wherever that is.
    pub(crate) end: Option<u64>,
    /// The stream that has already begun it.
    pub(crate) stream: Option<Stream>,
}

/// A connection, as the queue counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Connection {
    #[default]
    AtWork,
    /// It gave a piece back, and the host has not served it since.
    OnTrial,
}

/// What no connection has taken, the first piece at the end, and how many connections are at work and pausing before an attempt.
#[derive(Default)]
struct State {
    jobs: Vec<Job>,
    at_work: usize,
    pausing: usize,
}

impl State {
    fn insert(&mut self, job: Job) {
        let at = self.jobs.partition_point(|other| other.piece > job.piece);
        self.jobs.insert(at, job);
    }
}

/// The pieces that are still to be fetched, shared by the connections: the first one next.
pub(crate) struct Queue(Mutex<State>);

impl Queue {
    pub(crate) fn new(mut jobs: Vec<Job>) -> Self {
        jobs.reverse();
        Self(Mutex::new(State { jobs, ..State::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.state().jobs.len()
    }

    /// A connection begins.
    pub(crate) fn join(&self) {
        self.state().at_work += 1;
    }

    /// The next piece for a connection. Without one, it is no longer needed.
    pub(crate) fn next(&self, connection: Connection) -> Option<Job> {
        let mut state = self.state();
        let job = state.jobs.pop();
        if job.is_none() && connection == Connection::AtWork {
            state.at_work -= 1;
        }
        job
    }

    /// The host serves the connection.
    pub(crate) fn served(&self, connection: &mut Connection) {
        if std::mem::take(connection) == Connection::OnTrial {
            self.join();
        }
    }

    /// Gives a piece back, unless no other connection is at work.
    pub(crate) fn give_back(&self, job: Job, connection: &mut Connection) -> bool {
        let mut state = self.state();
        let others = state.at_work - usize::from(*connection == Connection::AtWork);
        *connection = if others > 0 { Connection::OnTrial } else { Connection::AtWork };
        state.at_work = others.max(1);
        if others > 0 {
            state.insert(job);
        }
        others > 0
    }

    /// Puts the rest of a piece back for later: another one is wanted first.
    pub(crate) fn put_back(&self, job: Job) {
        self.state().insert(job);
    }

    /// Whether a piece in front of this one was given back and waits for a connection.
    pub(crate) fn has_before(&self, piece: usize) -> bool {
        self.state().jobs.last().is_some_and(|job| job.piece < piece)
    }

    /// Whether a connection on trial may still be of use.
    pub(crate) fn is_at_work(&self) -> bool {
        self.state().at_work > 0
    }

    /// Runs `pause`, which a connection at work makes before an attempt.
    pub(crate) fn pausing<T>(&self, pause: impl FnOnce() -> T) -> T {
        self.state().pausing += 1;
        let result = pause();
        self.state().pausing -= 1;
        result
    }

    /// Whether nothing goes on but pauses.
    pub(crate) fn is_waiting(&self) -> bool {
        let state = self.state();
        state.pausing > 0 && state.pausing >= state.at_work
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(piece: usize) -> Job {
        Job { piece, at: 0, end: None, stream: None }
    }

    /// A host that serves one connection at a time: the others give back and come back.
    #[test]
    fn the_last_connection_at_work_keeps_its_piece() {
        let queue = Queue::new(vec![job(0), job(1)]);
        let (mut one, mut other) = (Connection::AtWork, Connection::AtWork);
        queue.join();
        queue.join();
        assert_eq!(queue.next(one).map(|job| job.piece), Some(0));
        let given = queue.next(other).unwrap();
        assert!(queue.give_back(given, &mut other) && other == Connection::OnTrial);
        assert!(!queue.give_back(job(0), &mut one), "it is alone");
        // On trial it does not count: an outage must not be one connection's failure after another's.
        let again = queue.next(other).unwrap();
        assert!(!queue.give_back(job(0), &mut one));
        assert!(queue.give_back(again, &mut other));
        let again = queue.next(other).unwrap();
        queue.served(&mut other);
        assert!(queue.give_back(job(0), &mut one) && !queue.give_back(again, &mut other));
    }

    #[test]
    fn a_connection_on_trial_that_is_alone_is_at_work() {
        let queue = Queue::new(vec![job(0)]);
        let mut trial = Connection::OnTrial;
        queue.join();
        let given = queue.next(trial).unwrap();
        assert!(queue.next(Connection::AtWork).is_none() && !queue.is_at_work());
        assert!(!queue.give_back(given, &mut trial) && trial == Connection::AtWork && queue.is_at_work());
        assert!(!queue.pausing(|| false) && !queue.is_waiting());
        assert!(queue.pausing(|| queue.is_waiting()));
    }

    proptest! {
        /// Whatever the host does: no piece is lost, and while pieces are missing someone is at work on one.
        #[test]
        fn every_piece_is_fetched(connections in 1_usize..5, served in proptest::collection::vec(any::<(usize, u8)>(), 500)) {
            let queue = Queue::new((0..6).map(job).collect());
            let mut all: Vec<(Connection, Option<Job>)> = Vec::new();
            for _ in 0..connections {
                queue.join();
                all.push((Connection::AtWork, queue.next(Connection::AtWork)));
            }
            let mut fetched = 0;
            for (which, how) in served {
                let (connection, held) = &mut all[which % connections];
                match (held.take(), how % 3) {
                    (Some(_), 0) => {
                        queue.served(connection);
                        fetched += 1;
                        *held = queue.next(*connection);
                    }
                    (Some(job), 1) => {
                        let piece = job.piece;
                        if !queue.give_back(job, connection) {
                            *held = Some(self::job(piece));
                        }
                    }
                    (None, _) if *connection == Connection::OnTrial => *held = queue.next(*connection),
                    (before, _) => *held = before,
                }
                let holding = all.iter().filter(|(_, held)| held.is_some()).count();
                prop_assert_eq!(holding + queue.len() + fetched, 6);
                prop_assert!(fetched == 6 || holding > 0);
            }
        }
    }
}
