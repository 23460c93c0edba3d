//! Every operation under every fault: what it comes to, how often it was sent, and how long it took.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use squarecloud_blocking::{Client, Error, SnapshotInfo};

use crate::sandbox::{self, Fault, FileNode, Files, Kind, NewSnapshot, On, Port, Route, Sandbox, to_zip};
use crate::support::{Slept, builder, whole};

#[path = "api_faults_cases.rs"]
mod cases;

use cases::{Case, Want};

/// The operations of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Account,
    Service,
    AppList,
    AccountList,
    Statuses,
    Info,
    Status,
    RestoreStatus,
    Create,
    Restore,
    Restart,
    Upload,
    Commit,
}

impl Op {
    fn route(self) -> Route {
        match self {
            Self::Account => Route::Me,
            Self::Service => Route::ServiceStatus,
            Self::AppList => Route::List(Kind::App),
            Self::AccountList => Route::ListAccount,
            Self::Statuses => Route::Statuses(Kind::App),
            Self::Info => Route::Info(Kind::App),
            Self::Status => Route::Status(Kind::App),
            Self::RestoreStatus => Route::RestoreStatus(Kind::App),
            Self::Create => Route::Create(Kind::App),
            Self::Restore => Route::Restore(Kind::App),
            Self::Restart => Route::Restart,
            Self::Upload => Route::Upload,
            Self::Commit => Route::Commit,
        }
    }

    /// Where the fault is. An upload checks the key first, and that GET is left alone.
    fn on(self) -> On {
        if self.is_upload() { self.route().into() } else { On::Api }
    }

    fn is_upload(self) -> bool {
        matches!(self, Self::Upload | Self::Commit)
    }

    fn is_post(self) -> bool {
        self.is_action() || matches!(self, Self::Create | Self::Upload)
    }

    /// Needs no `response`.
    pub fn is_action(self) -> bool {
        matches!(self, Self::Restore | Self::Restart | Self::Commit)
    }
}

/// A sandbox in which every operation succeeds as often as it likes.
struct Stage {
    sandbox: Sandbox,
    elsewhere: Sandbox,
    info: SnapshotInfo,
    zip: PathBuf,
    _directory: tempfile::TempDir,
}

impl Stage {
    fn new(tls: bool) -> Self {
        let start = || {
            let sandbox = Sandbox::builder().small().no_limits().lenient();
            if tls { sandbox.tls().start() } else { sandbox.start() }
        };
        let (sandbox, elsewhere) = (start(), start());
        sandbox.world().accounts.values_mut().for_each(|account| account.memory_mb = 1 << 30);
        sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
        let client = builder(&sandbox).build().unwrap();
        let info = client.app(sandbox.app_id()).latest_snapshot().unwrap().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let zip = directory.path().join("app.zip");
        let files = Files::from([
            ("squarecloud.app".into(), FileNode::new("MAIN=index.js\nMEMORY=256\n", 0o100_644, 1_793_611_800)),
            ("index.js".into(), FileNode::new("console.log(1)\n", 0o100_644, 1_793_611_800)),
        ]);
        std::fs::write(&zip, to_zip(&files)).unwrap();
        Self { sandbox, elsewhere, info, zip, _directory: directory }
    }

    fn run(&self, client: &Client, op: Op) -> Result<(), Error> {
        let app = client.app(self.sandbox.app_id());
        match op {
            Op::Account => client.account().map(drop),
            Op::Service => client.service_status().map(drop),
            Op::AppList => app.all_snapshots().map(drop),
            Op::AccountList => client.all_snapshots(squarecloud_blocking::Kind::App).map(drop),
            Op::Statuses => client.all_app_status(None).map(drop),
            Op::Info => app.info().map(drop),
            Op::Status => app.status().map(drop),
            Op::RestoreStatus => app.restore_status().map(drop),
            Op::Create => app.snapshot().map(drop),
            Op::Restore => app.restore(&self.info).map(drop),
            Op::Restart => app.restart().map(drop),
            Op::Upload => client.upload(&self.zip).map(drop),
            Op::Commit => app.commit(&self.zip).map(drop),
        }
    }

    /// Runs `op` under the case's fault, then once more without: the client must be none the worse.
    fn check(&self, case: &Case, op: Op) {
        let label = format!("{op:?} under {:?}", case.name);
        let slept = Slept::default();
        let client = builder(&self.sandbox)
            .timeout(case.limit)
            .snapshot_wait(Duration::ZERO)
            .sleep(slept.sleeper())
            .build()
            .unwrap();
        for fault in &case.faults {
            self.sandbox.fault(op.on(), fault.clone());
        }
        self.sandbox.clear_requests();
        let started = Instant::now();
        let result = self.run(&client, op);
        let took = started.elapsed();
        let sent = self.sandbox.count(op.route());
        let checks = self.sandbox.requests().len() - sent;
        self.sandbox.clear_faults();

        if let Err(error) = &result {
            self.holds_no_secret(error, &label);
            assert!(error.to_string().contains("/v2/") || error.is_pending(), "{label}: {error}");
        }
        let want = match case.want {
            Want::ByOp(of) => of(op),
            want => want,
        };
        let fits = match (&result, want) {
            (Ok(()), Want::Fine) => true,
            (Err(e), Want::Http(status)) => e.status() == Some(status) && !e.is_timeout(),
            (Err(e), Want::Code(status, code)) => e.status() == Some(status) && e.code().is_some_and(|c| c == code),
            (Err(e), Want::Timeout(status)) => e.is_timeout() && e.status() == status,
            (Err(e), Want::Lost) => matches!(e, Error::Network { .. }) && e.status().is_none(),
            (Err(e), Want::Pending) => e.is_pending(),
            _ => false,
        };
        assert!(fits, "{label}: wanted {want:?}, got {result:?}");
        let wanted = match (op.is_post(), op.is_upload() && case.busy) {
            (true, false) => 1,
            _ => case.gets,
        };
        assert_eq!(sent, wanted, "{label}: requests, {result:?}");
        // An upload checks the key first, a creation looks at the listing afterwards.
        let looks = op.is_upload() || (op == Op::Create && result.is_ok());
        assert_eq!(checks, usize::from(looks), "{label}: other requests");
        assert!(took < Duration::from_secs(8), "{label} took {took:?}");
        assert!(slept.total() <= Duration::from_secs(20), "{label} slept {:?}", slept.total());
        assert_eq!(self.elsewhere.connections(Port::Api), 0, "{label} followed a redirect");

        // A limit of milliseconds is for the fault only.
        if case.limit > Duration::from_secs(1) {
            let again = self.run(&client, op);
            assert!(again.is_ok(), "{label}, then without: {again:?}");
        }
    }

    fn holds_no_secret(&self, error: &Error, label: &str) {
        let text = whole(error);
        assert!(!text.contains(self.sandbox.api_key()), "{label} shows the key: {text}");
        for name in ["Signature=", "AWSAccessKeyId="] {
            let shown = text.split(name).skip(1).all(|rest| rest.starts_with("[redacted]"));
            assert!(shown, "{label} shows a signature: {text}");
        }
    }
}

fn table(op: Op) {
    let stage = Stage::new(false);
    let all = cases::all(stage.elsewhere.base_url());
    assert!(all.len() > 150, "{}", all.len());
    let one_of_each = matches!(op, Op::AppList | Op::Create | Op::Upload);
    all.iter().filter(|case| one_of_each || !case.heavy).for_each(|case| stage.check(case, op));
    assert_eq!(stage.sandbox.take_leaks(), Vec::<String>::new());
    assert!(op.route() != Route::Unknown && stage.sandbox.remarks().is_empty(), "{:?}", stage.sandbox.remarks());
}

macro_rules! tables {
    ($($name:ident: $op:ident,)*) => {
        $(#[test] fn $name() { table(Op::$op); })*
    };
}

tables! {
    account_under_every_fault: Account,
    service_status_under_every_fault: Service,
    an_apps_listing_under_every_fault: AppList,
    the_accounts_listing_under_every_fault: AccountList,
    all_statuses_under_every_fault: Statuses,
    info_under_every_fault: Info,
    status_under_every_fault: Status,
    restore_status_under_every_fault: RestoreStatus,
    a_creation_under_every_fault: Create,
    a_restore_under_every_fault: Restore,
    a_restart_under_every_fault: Restart,
    an_upload_under_every_fault: Upload,
    a_commit_under_every_fault: Commit,
}

#[test]
fn over_tls_it_is_the_same() {
    let stage = Stage::new(true);
    for case in &cases::some(stage.elsewhere.base_url()) {
        for op in [Op::AppList, Op::Create, Op::Upload] {
            stage.check(case, op);
        }
    }
}

#[test]
fn a_stale_connection_is_never_seen() {
    let stage = Stage::new(false);
    let client = builder(&stage.sandbox).retries(0).build().unwrap();
    for op in [Op::Account, Op::Create, Op::Restart, Op::Upload, Op::Account] {
        stage.run(&client, Op::Account).unwrap();
        stage.sandbox.close_idle();
        stage.sandbox.clear_requests();
        stage.run(&client, op).unwrap();
        assert_eq!(stage.sandbox.count(op.route()), 1);
    }
    for fault in [Fault::StaleConnection, Fault::ConnectionClose, Fault::Extra(30)] {
        stage.sandbox.fault(On::Api, fault);
        for op in [Op::Account, Op::Create, Op::Info, Op::Restart, Op::AppList] {
            stage.run(&client, op).unwrap();
        }
        stage.sandbox.clear_faults();
    }
}

#[test]
fn a_body_that_broke_off_once_is_asked_for_again_and_a_post_is_not() {
    let stage = Stage::new(false);
    let client = builder(&stage.sandbox).sleep(Slept::default().sleeper()).build().unwrap();
    let ends = [sandbox::End::Close, sandbox::End::Reset];
    for end in ends {
        for fault in [Fault::BeforeAnswer(end), Fault::InHead(9, end), Fault::InBody(9, end)] {
            stage.sandbox.fault(On::Api, fault.clone()).once();
            stage.run(&client, Op::AppList).unwrap();
            stage.sandbox.fault(On::Api, fault).once();
            stage.sandbox.clear_requests();
            stage.run(&client, Op::Create).unwrap_err();
            assert_eq!(stage.sandbox.requests().len(), 1);
        }
    }
}
