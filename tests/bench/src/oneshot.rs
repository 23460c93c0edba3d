//! A whole process that makes one HTTPS call and ends, against curl.

use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::extract::program;
use crate::server;
use crate::stats::{compare, contestant};

pub fn run() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let address = server::tls(Arc::new(server::status()), &ca);
    let base = format!("https://localhost:{}/v2", address.port());
    let exe = program("one_call");
    let run = |command: &mut Command| {
        assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
    };
    compare(
        "one process, one HTTPS call",
        41,
        vec![
            contestant("squarecloud-blocking", || run(Command::new(&exe).arg(&base).arg(&ca))),
            contestant("curl", || {
                run(Command::new("curl")
                    .args(["-sS", "-H", "Authorization: 841905532178461902-bench", "--cacert"])
                    .arg(&ca)
                    .arg(format!("{base}/apps/bench/status")));
            }),
        ],
    );
}
