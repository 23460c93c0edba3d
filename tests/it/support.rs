//! What the tests share.

use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use squarecloud_blocking::{Client, ClientBuilder};

use crate::sandbox::Sandbox;

/// A builder for the sandbox, trusting it when it speaks TLS.
pub fn builder(sandbox: &Sandbox) -> ClientBuilder {
    let builder =
        Client::builder(sandbox.api_key()).base_url(sandbox.base_url()).snapshot_host(sandbox.snapshot_host());
    match sandbox.ca_pem() {
        Some(pem) => builder.root_certificates(pem),
        None => builder,
    }
}

pub fn client(sandbox: &Sandbox) -> Client {
    builder(sandbox).build().unwrap()
}

/// A sleep that only counts, in milliseconds.
#[derive(Clone, Default)]
pub struct Slept(Arc<AtomicU64>);

impl Slept {
    pub fn sleeper(&self) -> impl Fn(Duration) + Send + Sync + 'static {
        let slept = Arc::clone(&self.0);
        move |pause| {
            slept.fetch_add(u64::try_from(pause.as_millis()).unwrap(), Ordering::SeqCst);
        }
    }

    pub fn total(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Closed until a test opens it.
#[derive(Debug, Default)]
pub struct Gate(Mutex<bool>, Condvar);

impl Gate {
    pub fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    pub fn wait(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// Everything an error says: each layer's `Display` and `Debug`.
pub fn whole(error: &squarecloud_blocking::Error) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}");
    let mut cause = error.source();
    while let Some(layer) = cause {
        text.push_str(&format!("\n{layer}\n{layer:?}"));
        cause = layer.source();
    }
    text
}
