//! Downloads from nginx: what a real server makes of ranges, conditions and kept-alive connections.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use squarecloud_blocking::{DownloadOptions, Snapshot};
use tempfile::{TempDir, tempdir};

use crate::download_origin::{archive, names};

/// A running nginx that serves a directory; ends when dropped.
struct Nginx {
    process: Child,
    home: TempDir,
    port: u16,
}

impl Nginx {
    /// `None` where there is no nginx.
    fn start() -> Option<Self> {
        let home = tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = home.path().display();
        let places: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        // Its workers are somebody else when it is started by root.
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/errors;\n\
             events {{}}\n\
             http {{ access_log off; {places}\n\
               limit_conn_zone $binary_remote_addr zone=connections:1m; limit_req_zone $binary_remote_addr zone=requests:1m rate=5r/s;\n\
               server {{ listen 127.0.0.1:{port}; root {at}/files;\n\
                 location /alone/ {{ alias {at}/files/; limit_conn connections 1; limit_rate 8m; }}\n\
                 location /alone-429/ {{ alias {at}/files/; limit_conn connections 1; limit_conn_status 429; limit_rate 8m; }}\n\
                 location /seldom/ {{ alias {at}/files/; limit_req zone=requests; }}\n\
                 location /untagged/ {{ alias {at}/files/; etag off; }}\n\
                 location /whole/ {{ alias {at}/files/; max_ranges 0; }} }} }}\n"
        );
        fs::create_dir(home.path().join("files")).unwrap();
        fs::write(home.path().join("config"), config).unwrap();
        let process = Command::new("nginx")
            .arg("-p")
            .arg(home.path())
            .arg("-c")
            .arg(home.path().join("config"))
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let nginx = Self { process, home, port };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(nginx);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nginx does not listen");
    }

    fn files(&self) -> std::path::PathBuf {
        self.home.path().join("files")
    }

    fn open(&self, place: &str) -> Snapshot {
        let url = format!("http://127.0.0.1:{}{place}/app.zip?Signature=hush&versionId=v1", self.port);
        Snapshot::from_url(&url).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn stop_early(snapshot: &Snapshot, dir: &Path, connections: usize) {
    let options = DownloadOptions::new().connections(connections).progress(|p| {
        // Long enough for the next step to be told, too.
        std::thread::sleep(Duration::from_millis(6));
        if p.bytes > 300_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(snapshot.download_with(dir, &options).unwrap_err().is_cancelled());
}

#[test]
#[ignore = "needs nginx; .ci/run installs and runs it"]
fn nginx_is_read_continued_and_never_spliced() {
    let Some(nginx) = Nginx::start() else { return eprintln!("no nginx here: skipped") };
    for size in [0, 1, 1000, 1 << 20, 6_000_000] {
        for (place, continues) in [("", true), ("/untagged", false), ("/whole", false)] {
            for connections in [1, 4] {
                let what = format!("{size} bytes, {place:?}, {connections} connections");
                let (old, new) = (archive(size, 3), archive(size, 4));
                fs::write(nginx.files().join("app.zip"), &old).unwrap();
                let snapshot = nginx.open(place);
                let dir = tempdir().unwrap();
                let options = || DownloadOptions::new().connections(connections);
                let done = snapshot.download_with(dir.path(), &options()).unwrap();
                assert!(fs::read(&done.path).unwrap() == old, "{what}");
                assert_eq!(names(dir.path()), ["app.v1.zip"], "{what}");
                if size < 6_000_000 {
                    continue;
                }
                fs::remove_file(&done.path).unwrap();
                stop_early(&snapshot, dir.path(), connections);
                let done = snapshot.download_with(dir.path(), &options()).unwrap();
                assert_eq!(done.resumed_from > 0, continues, "{what}");
                assert!(fs::read(&done.path).unwrap() == old, "{what}");
                fs::remove_file(&done.path).unwrap();
                // Of the same length, but written a second later: nginx's tag is its time and length.
                stop_early(&snapshot, dir.path(), connections);
                fs::write(nginx.files().join("app.zip"), &new).unwrap();
                let later = std::time::SystemTime::now() + Duration::from_secs(60);
                let file = fs::File::options().write(true).open(nginx.files().join("app.zip")).unwrap();
                file.set_modified(later).unwrap();
                let done = snapshot.download_with(dir.path(), &options()).unwrap();
                assert!(fs::read(&done.path).unwrap() == new, "{what}: two objects in one file");
                assert_eq!(names(dir.path()), ["app.v1.zip"], "{what}");
            }
        }
    }
}

#[test]
#[ignore = "needs nginx; .ci/run installs and runs it"]
fn nginx_may_limit_connections_and_requests() {
    let Some(nginx) = Nginx::start() else { return eprintln!("no nginx here: skipped") };
    let object = archive(12_000_000, 5);
    fs::write(nginx.files().join("app.zip"), &object).unwrap();
    for place in ["/alone", "/alone-429", "/seldom"] {
        for connections in [2, 8, 32] {
            let dir = tempdir().unwrap();
            let options = DownloadOptions::new().connections(connections);
            let begun = std::time::Instant::now();
            let done = nginx.open(place).download_with(dir.path(), &options);
            println!("{place} {connections}: {:?}", begun.elapsed());
            assert!(fs::read(done.unwrap().path).unwrap() == object, "{place}, {connections} connections");
        }
    }
}
