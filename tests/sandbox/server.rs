//! Listeners and connections: from accepted sockets to recorded requests and written answers.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::api;
use super::clock::{self, Clock};
use super::distort;
use super::fault::{End, Fault};
use super::faults::{Entry, Faults};
use super::host::{self, View};
use super::http::{Answer, Reader, Request, Stream};
use super::judge;
use super::routes::Route;
use super::tls::Tls;
use super::wire::{self, After, Output, Stop};
use super::world::World;

/// Which of the two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    Api,
    Snapshots,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub port: Port,
    pub route: Route,
    pub method: String,
    /// Still encoded, with `/v2`.
    pub path: String,
    /// Still encoded, without `?`.
    pub query: String,
    /// In their order, names as sent.
    pub headers: Vec<(String, String)>,
    pub body: Arc<Vec<u8>>,
    /// Which connection of the sandbox it came on.
    pub connection: u64,
    /// When, by the world's clock.
    pub at_ms: i64,
}

impl Recorded {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        super::http::header(&self.headers, name)
    }
}

struct Open {
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
    pub accepted: [AtomicU64; 2],
    pub stop: Stop,
    serial: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

pub fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(world: World, tls: Option<Tls>) -> Self {
        Self {
            world: Mutex::new(world),
            clock: Clock::default(),
            faults: Arc::default(),
            log: Mutex::default(),
            judged: Mutex::default(),
            tls,
            accepted: [AtomicU64::new(0), AtomicU64::new(0)],
            stop: Stop::default(),
            serial: AtomicU64::new(0),
            open: Mutex::default(),
            threads: Mutex::default(),
        }
    }

    /// Listens on loopback; port 0 is any.
    pub fn listen(self: &Arc<Self>, port: Port, number: u16) -> io::Result<(SocketAddr, JoinHandle<()>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number))?;
        let (address, shared) = (listener.local_addr()?, self.clone());
        let thread = std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if shared.stop.is_set() {
                    return;
                }
                shared.accepted[port as usize].fetch_add(1, Ordering::SeqCst);
                let child = shared.clone();
                let thread = std::thread::spawn(move || child.connection(port, socket));
                let mut threads = guard(&shared.threads);
                threads.retain(|t| !t.is_finished());
                threads.push(thread);
            }
        });
        Ok((address, thread))
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

    fn connection(&self, port: Port, socket: TcpStream) {
        let _ = socket.set_nodelay(true);
        let id = self.serial.fetch_add(1, Ordering::SeqCst);
        let idle = Arc::new(AtomicBool::new(true));
        let Ok(copy) = socket.try_clone() else { return };
        guard(&self.open).insert(id, Open { socket: copy, idle: idle.clone() });
        // The sandbox may have stopped between accepting and this.
        let mut stream = match &self.tls {
            _ if self.stop.is_set() => None,
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

    fn converse(&self, port: Port, id: u64, stream: &mut Stream, idle: &AtomicBool) -> io::Result<After> {
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
            let output = self.respond(port, route, &resource, id, &request);
            match output.write(stream, &self.stop)? {
                After::Keep => {}
                end => return Ok(end),
            }
        }
    }

    fn respond(&self, port: Port, route: Route, id: &str, connection: u64, request: &Request) -> Output {
        let now = self.clock.now_ms();
        self.record(port, route, connection, request, now);
        let met = self.faults.meet(route, &request.method, &request.path);
        let mut answer = match distort::standing_in(&met) {
            Some(entry) => distort::instead(&entry.fault, request),
            None if port == Port::Api => api::answer(&self.world, request, route, id, now),
            None => self.object(request, &met, now),
        };
        if guard(&self.world).rules.date_header {
            answer.headers.insert(0, ("Date".into(), clock::http_date(now)));
        }
        let mut output = Output::new(answer, request.method == "HEAD", request.keep_alive());
        for entry in &met {
            distort::distort(entry, &mut output);
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

    fn record(&self, port: Port, route: Route, connection: u64, request: &Request, now: i64) {
        let keys: Vec<String> = guard(&self.world).keys.iter().map(|k| k.text.clone()).collect();
        guard(&self.judged).look(port, request, &keys);
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
        });
    }
}
