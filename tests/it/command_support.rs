//! The command `squarecloud-snapshots` as a person runs it: the real process with its two streams or on a terminal, a
//! sandbox behind it, and no secret in anything it prints.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;
use serde_json::Value;
use tempfile::TempDir;

use crate::command_pty::Terminal;
use crate::download_origin::quick_dir;
use crate::mirror_support::DAY;
use crate::programs::example;
use crate::sandbox::{FileNode, Link, MODE_FILE, NewSnapshot, On, Port, Sandbox, to_zip};

/// How long anything may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A sandbox, and a home directory to run the command in.
pub struct World {
    pub sandbox: Sandbox,
    home: TempDir,
    key: String,
}

/// A world with so many daily snapshots of an app and a database.
pub fn world(days: u32) -> World {
    World::of(Sandbox::builder().small().no_limits().history(days).start())
}

/// A zip of files with these names and contents, changed at 2026-11-02 09:30:00.
pub fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let node = |data: &[u8]| FileNode::new(data, MODE_FILE, 1_793_611_800);
    to_zip(&files.iter().map(|(name, data)| ((*name).to_owned(), node(data))).collect())
}

/// A zip with one stored file, a byte of which has changed.
pub fn damaged_zip() -> Vec<u8> {
    let data = crate::sandbox::Noise::new(5).bytes(1000);
    let mut zip = zip_of(&[("good.txt", b"good\n"), ("noise.bin", &data)]);
    let at = zip.windows(16).position(|it| it == &data[500..516]).unwrap();
    zip[at] ^= 1;
    zip
}

/// While this lives, snapshots are compared without times and sizes of zips.
pub fn golden() -> impl Drop {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d-03:00", "<LOCAL DATE AND TIME>");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<RFC 3339>");
    settings.add_filter(r"\d\.\d\d kB", "<kB >");
    settings.add_filter(r#""(size|bytes|resumed_from)": \d{4}"#, r#""$1": <BYTES>"#);
    settings.add_filter(r"\.\d{8}T\d{6}Z\.(\w+)-[0-9a-f]{8}\.zip", ".<TIME>.$1-<HASH>.zip");
    settings.add_filter(r"in \d\.\d s", "in <S> s");
    settings.bind_to_scope()
}

impl World {
    pub fn of(sandbox: Sandbox) -> Self {
        let key = sandbox.api_key().to_owned();
        Self { sandbox, home: quick_dir(), key }
    }

    /// The command gets this key from now on.
    pub fn use_key(&mut self, key: String) {
        self.key = key;
    }

    /// The working directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}; there is {:?}", self.names()))
    }

    /// What is in the working directory.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.home().read_dir().unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    /// A snapshot of the app with these bytes, so many days old.
    pub fn put(&self, bytes: Vec<u8>, days: u32) -> Link {
        let new = NewSnapshot { bytes: Some(bytes), age: DAY * days, ..NewSnapshot::of(self.sandbox.app_id()) };
        self.sandbox.put_snapshot(new)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// How often a route with this word was asked for.
    pub fn count(&self, word: &'static str) -> usize {
        self.sandbox.count(On::Word(word))
    }

    /// What the command's environment is.
    fn environment(&self) -> Vec<(&'static str, String)> {
        // A zone without daylight saving, from the text alone: no time zone database is needed.
        let mut variables = vec![
            ("HOME", self.home().to_str().unwrap().to_owned()),
            ("TZ", "<-03>3".to_owned()),
            ("TERM", "xterm-256color".to_owned()),
            ("SQUARECLOUD_API_KEY", self.key.clone()),
            ("SQUARECLOUD_BASE_URL", self.sandbox.base_url().to_owned()),
        ];
        // For measured coverage only.
        variables.extend(std::env::var("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
        variables.extend(std::env::var("PATH").map(|path| ("PATH", path)));
        variables
    }

    /// The process before it starts, with nothing on its standard input.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(example("squarecloud-snapshots"));
        command.args(args).current_dir(self.home()).env_clear().envs(self.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.finish(self.command(args), "")
    }

    /// Runs it with this text on its standard input.
    pub fn run_with(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        self.finish(command, input)
    }

    /// Runs it to its end, which must come.
    pub fn finish(&self, mut command: Command, input: &str) -> Ran {
        let mut child = command.spawn().unwrap();
        let [out, err] = [reader(child.stdout.take()), reader(child.stderr.take())];
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).unwrap();
        }
        let code = wait(&mut child);
        let (out, err) = (out.join().unwrap(), err.join().unwrap());
        let ran = Ran { code, out, err: String::from_utf8(err).unwrap() };
        self.check(&format!("{}\n{}", ran.text(), ran.err));
        ran
    }

    /// Runs it on a terminal of so many columns.
    pub fn terminal(&self, columns: u16, args: &[&str]) -> Terminal<'_> {
        self.terminal_with(columns, args, &[])
    }

    pub fn terminal_with(&self, columns: u16, args: &[&str], variables: &[(&str, &str)]) -> Terminal<'_> {
        let mut command = CommandBuilder::new(example("squarecloud-snapshots"));
        command.args(args);
        command.cwd(self.home());
        command.env_clear();
        self.environment().iter().for_each(|(name, value)| command.env(name, value));
        variables.iter().for_each(|(name, value)| command.env(name, value));
        Terminal::start(self, columns, command)
    }

    /// No output has a key, a signature, or a panic.
    pub fn check(&self, output: &str) {
        let world = self.sandbox.world();
        let keys = world.keys.iter().flat_map(|key| [key.text.clone(), key.text[key.text.len() - 64..].to_owned()]);
        let mut secrets: Vec<String> = keys.collect();
        drop(world);
        let requests = self.sandbox.requests();
        let queries = requests.iter().filter(|request| request.port == Port::Snapshots).map(|it| it.query.as_str());
        let signatures = queries.flat_map(|query| query.split('&')).filter_map(|it| it.strip_prefix("Signature="));
        secrets.extend(signatures.map(str::to_owned));
        secrets.extend(["Signature=", "AWSAccessKeyId", "panicked at"].map(str::to_owned));
        for secret in secrets {
            assert!(!output.contains(&secret), "{secret} in {output}");
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    /// Standard output.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Standard output of a run that succeeded.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.text(), self.err);
        self.text()
    }

    /// The document of a run that succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.done();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Standard error of a run that ended with `code`.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.text(), self.err);
        assert!(self.err.contains("error: "), "it must say why: {:?}", self.err);
        self.err
    }
}

/// Reads a stream of the child to its end.
fn reader(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).unwrap();
        }
        bytes
    })
}

/// The exit code of a process that must end.
pub fn wait(child: &mut Child) -> i32 {
    let ended = until(|| child.try_wait().unwrap());
    let Some(status) = ended else {
        child.kill().unwrap();
        panic!("it does not end");
    };
    status.code().unwrap_or_else(|| panic!("{status}"))
}

/// Looks again and again until there is something to see, or for too long.
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let seen = look();
        if seen.is_some() || started.elapsed() > DEADLINE {
            return seen;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
