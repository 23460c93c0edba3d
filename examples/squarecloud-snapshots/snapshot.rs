//! What a `SNAPSHOT` argument names.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use squarecloud_blocking::{Archive, Remote, Snapshot};

use crate::args::Which;
use crate::bars::Bar;
use crate::context::Context;
use crate::dates;
use crate::exit::{Exit, Failure, Result};
use crate::output::{Out, printable};
use crate::resource::{self, Resource, Selector};
use crate::secret::is_link;

/// A local zip, or a snapshot at the host.
pub struct Named<'a> {
    context: &'a Context,
    what: What,
}

enum What {
    Local(PathBuf),
    /// With the app or database that it is of, unless a link names it.
    Remote(Box<Snapshot>, Option<Resource>),
}

/// Either, opened: its central directory has been read.
pub enum Opened {
    Local(Archive<File>),
    Remote(Archive<Remote>),
}

/// Runs the same code on the archive of either.
macro_rules! with {
    ($opened:expr, $archive:ident => $run:expr) => {
        match $opened {
            $crate::snapshot::Opened::Local($archive) => $run,
            $crate::snapshot::Opened::Remote($archive) => $run,
        }
    };
}
pub(crate) use with;

impl<'a> Named<'a> {
    /// What `text` names. A file that exists wins; an id costs a listing.
    pub fn find(context: &'a Context, text: &str) -> Result<Self> {
        Ok(Self { context, what: What::find(context, text)? })
    }

    /// Opens the archive. Of one at the host it reads the central directory only.
    pub fn open(&self) -> Result<Opened> {
        Ok(match &self.what {
            What::Local(path) => Opened::Local(Archive::open(path)?),
            What::Remote(snapshot, _) => {
                let _bar = opening(self.context);
                Opened::Remote(snapshot.archive()?)
            }
        })
    }

    /// A name for a directory of its content: the zip's without its ending, or the app's and the snapshot's date.
    pub fn directory(&self) -> PathBuf {
        self.what.directory()
    }
}

/// What is seen while the host or the service is asked.
fn opening(context: &Context) -> Bar<'_> {
    Bar::spinner(context, "Opening")
}

impl What {
    fn find(context: &Context, text: &str) -> Result<Self> {
        let path = Path::new(text);
        if text != "-" && path.is_file() {
            return Ok(Self::Local(path.to_owned()));
        }
        let is_zip = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("zip"));
        if !is_link(text) && (is_zip || path.components().count() > 1) {
            return Err(Failure::new(Exit::NotFound, format_args!("there is no file {text:?}")));
        }
        let (snapshot, resource) = at_host(context, text, &Which::default())?;
        Ok(Self::Remote(Box::new(snapshot), resource))
    }

    fn directory(&self) -> PathBuf {
        let stem = |path: &Path| path.file_stem().map_or("snapshot".into(), PathBuf::from);
        match self {
            // A zip without an ending is in the way of a directory of the same name.
            Self::Local(path) if path.extension().is_none() => format!("{}.d", stem(path).display()).into(),
            Self::Local(path) => stem(path),
            Self::Remote(snapshot, resource) => match (resource, snapshot.info()) {
                (Some(resource), Some(info)) => {
                    let name = resource.name.as_deref().unwrap_or(&resource.id);
                    let date: String = dates::local(info.created_at).chars().take("2026-11-20".len()).collect();
                    format!("{}-{date}", file_name(name)).into()
                }
                _ => stem(Path::new(snapshot.file_name())),
            },
        }
    }
}

/// The snapshot that an ID, ID@DATE, ID@VERSION, a link, or - for a link on standard input names, with `which` of an ID's,
/// and the app or database that it is of, unless a link names it.
pub fn at_host(context: &Context, text: &str, which: &Which) -> Result<(Snapshot, Option<Resource>)> {
    let is_which = which.latest || which.at.is_some() || which.version.is_some();
    let conflict = |what| {
        let message = format!("{what} names one snapshot: leave out --latest, --at and --version");
        if is_which { Err(Failure::new(Exit::Usage, message)) } else { Ok(()) }
    };
    if text == "-" || is_link(text) {
        conflict("a link")?;
        let mut link = text.to_owned();
        if text == "-" {
            link.clear();
            io::stdin()
                .read_line(&mut link)
                .map_err(|e| Failure::new(Exit::Failed, format_args!("cannot read a link from standard input: {e}")))?;
        }
        return Ok((context.open_url(link.trim())?, None));
    }
    let (id, selector) = match text.rsplit_once('@') {
        Some((id, which)) => {
            conflict("what stands after the @")?;
            (id, Selector::parse(which))
        }
        None => (text, Selector::of(which)?),
    };
    // The first one says so when it works on the sandbox: before there is a bar.
    let client = context.client()?;
    let _bar = opening(context);
    let resource = resource::find(context, id)?;
    let info = resource.select(context, &selector)?;
    Ok((client.open(&info)?, Some(resource)))
}

/// PURE. A name that the service knows, as one that a file may have everywhere.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().take(60).map(safe).collect();
    name.trim_start_matches('.').to_owned()
}

/// Prints the path of what was made: as it is for a script, and so that it does nothing to a terminal.
pub fn print_path(out: &Out, path: &Path) -> Result<()> {
    if io::stdout().is_terminal() {
        return out.line(printable(&path.display().to_string()));
    }
    let mut line = path.as_os_str().as_encoded_bytes().to_vec();
    line.push(b'\n');
    out.write(&line)
}

/// Refuses a link where a file is meant.
pub fn expect_file(path: &Path) -> Result<()> {
    if is_link(&path.to_string_lossy()) && !path.exists() {
        return Err(Failure::new(
            Exit::Usage,
            "this verb takes a file, not a link; `download` fetches what a link leads to",
        ));
    }
    Ok(())
}
