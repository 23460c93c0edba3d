//! An offline Square Cloud on loopback, to point any client at, in any language. Ends with its standard input or Ctrl-C.
//!
//! `cargo run --example sandbox [-- --port 8080]`

use std::io::{self, Read, Write};

#[path = "../tests/sandbox/mod.rs"]
mod sandbox;

use sandbox::Sandbox;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let port = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 0,
        ["--port", number] => number.parse().map_err(|_| wrong("--port wants a number up to 65535"))?,
        _ => return Err(wrong("the only option is --port NUMBER")),
    };
    let sandbox = Sandbox::builder().ports(port, 0).history(5).lenient().start();
    let mut out = io::stdout().lock();
    writeln!(out, "A Square Cloud of your own, on this machine only.\n")?;
    writeln!(out, "  API            {}", sandbox.base_url())?;
    writeln!(out, "  snapshot host  {}", sandbox.snapshot_host())?;
    writeln!(out, "  API key        {}", sandbox.api_key())?;
    writeln!(out, "  app            {}", sandbox.app_id())?;
    writeln!(out, "  database       {}\n", sandbox.database_id())?;
    writeln!(out, "Point a client at it:\n")?;
    writeln!(out, "  export SQUARECLOUD_BASE_URL={}", sandbox.base_url())?;
    writeln!(out, "  export SQUARECLOUD_API_KEY={}\n", sandbox.api_key())?;
    writeln!(out, "  curl -H \"Authorization: $SQUARECLOUD_API_KEY\" $SQUARECLOUD_BASE_URL/users/me\n")?;
    writeln!(out, "Its cooldowns and quotas are the service's. It runs until Ctrl-C or the end of its input.")?;
    out.flush()?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    for leak in sandbox.take_leaks() {
        writeln!(out, "A client leaked: {leak}")?;
    }
    writeln!(out, "{} requests were answered.", sandbox.requests().len())
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
