//! Listeners and connections: from accepted sockets to recorded requests and written answers.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::api;
use super::clock::{self, Clock};
use super::control;
use super::distort;
use super::door::Door;
use super::fault::{End, Fault};
use super::faults::{Entry, Faults};
use super::host::{self, View};
use super::http::{Answer, Reader, Request, Stream};
use super::judge;
use super::record::{Port, Recorded};
use super::routes::Route;
use super::tls::Tls;
use super::wire::{self, After, Output, Stop};
use super::world::World;

/// A request that is being answered.
struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Open {
    port: Port,
    socket: TcpStream,
    idle: Arc<AtomicBool>,
}

/// What all threads share.
pub struct Shared {
    pub world: Mutex<World>,
    pub clock: Clock,
    pub faults: Arc<Faults>,
    pub log: Mutex<Vec<Recorded>>,
    pub judged: Mutex<judge::Judged>,
    pub tls: Option<Tls>,
    pub doors: [Door; 2],
    pub accepted: [AtomicU64; 2],
    /// Requests that are being answered.
    busy: [AtomicUsize; 2],
    pub stop: Stop,
    serial: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

pub fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(world: World, tls: Option<Tls>, doors: [Door; 2]) -> Self {
        Self {
            world: Mutex::new(world),
            clock: Clock::default(),
            faults: Arc::default(),
            log: Mutex::default(),
            judged: Mutex::default(),
            tls,
            doors,
            accepted: Default::default(),
            busy: Default::default(),
            stop: Stop::default(),
            serial: AtomicU64::new(0),
            open: Mutex::default(),
            threads: Mutex::default(),
        }
    }

    /// Listens on a port.
    pub fn open(self: &Arc<Self>, port: Port) -> io::Result<()> {
        let shared = self.clone();
        self.doors[port as usize].open(&self.stop, move |socket| {
            shared.accepted[port as usize].fetch_add(1, Ordering::SeqCst);
            let child = shared.clone();
            shared.spawn(move || child.connection(port, socket));
        })
    }

    /// Refuses connections on a port and ends those it has.
    pub fn shut(&self, port: Port) -> io::Result<()> {
        self.doors[port as usize].close(|| {
            let open = guard(&self.open);
            open.values().filter(|o| o.port == port).for_each(|o| drop(o.socket.shutdown(Shutdown::Both)));
        })
    }

    /// Shuts these ports after `delay` and opens them when `time` more has passed.
    pub fn outage(self: &Arc<Self>, ports: Vec<Port>, delay: Duration, time: Duration) {
        let shared = self.clone();
        self.spawn(move || {
            let each = |act: &dyn Fn(Port) -> io::Result<()>| ports.iter().try_for_each(|port| act(*port));
            let _ = shared.stop.sleep(delay).and_then(|()| each(&|port| shared.shut(port)));
            let _ = shared.stop.sleep(time).and_then(|()| each(&|port| shared.open(port)));
        });
    }

    fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(work);
        let mut threads = guard(&self.threads);
        threads.retain(|t| !t.is_finished());
        threads.push(thread);
    }

    /// Ends every connection and waits for its thread.
    pub fn close_all(&self) {
        for open in guard(&self.open).values() {
            let _ = open.socket.shutdown(Shutdown::Both);
        }
        let threads: Vec<_> = guard(&self.threads).drain(..).collect();
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Closes the connections on which nothing is under way.
    pub fn close_idle(&self) -> usize {
        let open = guard(&self.open);
        let idle: Vec<_> = open.values().filter(|o| o.idle.load(Ordering::SeqCst)).collect();
        idle.iter().for_each(|o| drop(o.socket.shutdown(Shutdown::Both)));
        idle.len()
    }

    fn connection(self: &Arc<Self>, port: Port, socket: TcpStream) {
        let _ = socket.set_nodelay(true);
        let id = self.serial.fetch_add(1, Ordering::SeqCst);
        let idle = Arc::new(AtomicBool::new(true));
        let Ok(copy) = socket.try_clone() else { return };
        guard(&self.open).insert(id, Open { port, socket: copy, idle: idle.clone() });
        // The port may have been shut between accepting and this.
        let mut stream = match &self.tls {
            _ if self.doors[port as usize].is_shut() => None,
            None => Some(Stream::Plain(socket)),
            Some(tls) => ServerConnection::new(tls.config.clone()).ok().map(|mut connection| {
                connection.set_buffer_limit(Some(512 << 10));
                Stream::Tls(Box::new(StreamOwned::new(connection, socket)))
            }),
        };
        let mut end = After::Stale;
        if let Some(stream) = &mut stream {
            end = self.converse(port, id, stream, &idle).unwrap_or(After::Stale);
            match end {
                After::Reset => {
                    let linger = socket2::SockRef::from(stream.socket());
                    let _ = linger.set_linger(Some(Duration::ZERO));
                }
                _ => self.part(stream),
            }
        }
        // A reset goes out when the last handle of the socket is gone: this one first.
        guard(&self.open).remove(&id);
        if end != After::Reset
            && let Some(stream) = &stream
        {
            let _ = stream.socket().shutdown(Shutdown::Both);
        }
    }

    /// Says goodbye and reads what still comes, or an unread rest would turn the close into a reset.
    fn part(&self, stream: &mut Stream) {
        stream.finish();
        let _ = stream.socket().set_read_timeout(Some(Duration::from_millis(200)));
        let mut rest = vec![0; 64 << 10];
        let mut left = 256 << 20;
        let mut socket = stream.socket();
        while left > 0 && !self.stop.is_set() {
            match socket.read(&mut rest) {
                Ok(n) if n > 0 => left -= n.min(left),
                _ => break,
            }
        }
    }

    fn converse(self: &Arc<Self>, port: Port, id: u64, stream: &mut Stream, idle: &AtomicBool) -> io::Result<After> {
        let mut reader = Reader::default();
        loop {
            idle.store(true, Ordering::SeqCst);
            let mut request = match reader.head(stream) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(After::Stale),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                    guard(&self.judged).remarks.push(format!("{port:?}: {e}"));
                    let answer = Answer::new(400, "text/html", "<html><h1>400 Bad Request</h1></html>");
                    return Output::new(answer, false, false).write(stream, &self.stop);
                }
                Err(e) => return Err(e),
            };
            idle.store(false, Ordering::SeqCst);
            if port == Port::Api && control::is_meant(&request.path) {
                reader.body(stream, &mut request)?;
                let answer = control::answer(self, &request);
                match Output::new(answer, request.method == "HEAD", request.keep_alive()).write(stream, &self.stop)? {
                    After::Keep => continue,
                    end => return Ok(end),
                }
            }
            let (route, resource) = match port {
                Port::Api => Route::of(&request.method, &request.path),
                Port::Snapshots => (Route::Object, String::new()),
            };
            for entry in self.faults.meet_early(route, &request.method, &request.path) {
                match &entry.fault {
                    Fault::InRequest(bytes, end) => {
                        request.body = Arc::new(reader.exactly(stream, *bytes)?);
                        self.record(port, route, id, &request, self.clock.now_ms());
                        return Ok(match end {
                            // The kernel resets a connection that is closed with unread bytes.
                            End::Close => After::Reset,
                            end => wire::finish(*end, stream, &self.stop),
                        });
                    }
                    _ => request.unread = true,
                }
            }
            if !request.unread {
                reader.body(stream, &mut request)?;
            }
            let busy = self.enter(port);
            let output = self.respond(port, route, &resource, id, &request, busy.as_ref().err());
            match output.write(stream, &self.stop)? {
                After::Keep => {}
                end => return Ok(end),
            }
        }
    }

    /// One more request is being answered; the status of a refusal when the rules allow no more.
    fn enter(&self, port: Port) -> Result<Busy<'_>, u16> {
        let (most, status) = match guard(&self.world).rules.concurrent {
            Some(limit) if port == Port::Snapshots => limit,
            _ => (usize::MAX, 0),
        };
        let count = &self.busy[port as usize];
        // One whose client has everything and whose thread has not come back yet is waited for.
        for _ in 0..10 {
            if count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < most).then_some(n + 1)).is_ok() {
                return Ok(Busy(count));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(status)
    }

    fn respond(
        &self,
        port: Port,
        route: Route,
        id: &str,
        connection: u64,
        request: &Request,
        refused: Option<&u16>,
    ) -> Output {
        let now = self.clock.now_ms();
        let status = self.record(port, route, connection, request, now);
        let met = self.faults.meet(route, &request.method, &request.path);
        let mut answer = match (refused, distort::standing_in(&met)) {
            (Some(status), _) => distort::instead(&Fault::html(*status), request),
            (None, Some(entry)) => distort::instead(&entry.fault, request),
            _ if port == Port::Api => api::answer(&self.world, request, route, id, now),
            _ => self.object(request, &met, now),
        };
        if guard(&self.world).rules.date_header {
            answer.headers.insert(0, ("Date".into(), clock::http_date(now)));
        }
        let mut output = Output::new(answer, request.method == "HEAD", request.keep_alive());
        for entry in &met {
            distort::distort(entry, &mut output);
        }
        if output.before.is_none() && output.garbage.is_none() {
            status.store(output.answer.status, Ordering::SeqCst);
        }
        output
    }

    fn object(&self, request: &Request, met: &[Arc<Entry>], now: i64) -> Answer {
        let mut view = View { serial: self.serial.fetch_add(1, Ordering::SeqCst), ..View::default() };
        let mut world = guard(&self.world);
        for entry in met {
            match &entry.fault {
                Fault::IgnoreRange => view.ignore_range = true,
                Fault::Etag(etag) => view.etag = Some(*etag),
                Fault::ObjectChanges(bytes, new_tag) => {
                    world.replace(&request.path, bytes.clone(), *new_tag, now);
                }
                _ => {}
            }
        }
        host::answer(&mut world, request, now, view)
    }

    fn record(&self, port: Port, route: Route, connection: u64, request: &Request, now: i64) -> Arc<AtomicU16> {
        let keys: Vec<String> = guard(&self.world).keys.iter().map(|k| k.text.clone()).collect();
        guard(&self.judged).look(port, request, &keys);
        let status = Arc::new(AtomicU16::new(0));
        guard(&self.log).push(Recorded {
            port,
            route,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            connection,
            at_ms: now,
            status: status.clone(),
        });
        status
    }
}
