//! What a `SNAPSHOT` argument names.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use squarecloud_blocking::{Archive, Remote, Snapshot};

use crate::context::Context;
use crate::exit::{Exit, Failure, Result};
use crate::resource::{self, Selector};

/// A local zip, or a snapshot at the host.
pub enum Named {
    Local(PathBuf),
    Remote(Box<Snapshot>),
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

impl Named {
    /// What `text` names. A file that exists wins; an id costs a listing.
    pub fn find(context: &Context, text: &str) -> Result<Self> {
        if text == "-" {
            let mut link = String::new();
            io::stdin()
                .read_line(&mut link)
                .map_err(|e| Failure::new(Exit::Failed, format_args!("cannot read a link from standard input: {e}")))?;
            return Self::link(context, link.trim());
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Self::link(context, text);
        }
        let path = Path::new(text);
        if path.is_file() {
            return Ok(Self::Local(path.to_owned()));
        }
        if path.components().count() > 1 || path.extension().is_some_and(|it| it.eq_ignore_ascii_case("zip")) {
            return Err(Failure::new(Exit::NotFound, format_args!("there is no file {text:?}")));
        }
        let (id, selector) = match text.rsplit_once('@') {
            Some((id, which)) => (id, Selector::parse(which)),
            None => (text, Selector::Latest),
        };
        let info = resource::find(context, id)?.select(context, &selector)?;
        Ok(Self::Remote(Box::new(context.client()?.open(&info)?)))
    }

    fn link(context: &Context, link: &str) -> Result<Self> {
        Ok(Self::Remote(Box::new(context.open_url(link)?)))
    }

    /// Opens the archive. Of one at the host it reads the central directory only.
    pub fn open(&self) -> Result<Opened> {
        Ok(match self {
            Self::Local(path) => Opened::Local(Archive::open(path)?),
            Self::Remote(snapshot) => Opened::Remote(snapshot.archive()?),
        })
    }
}
