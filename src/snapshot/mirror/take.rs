//! I/O. A fresh snapshot of each app and database, as far as the service's limits allow.

use time::OffsetDateTime;

use super::Mirror;
use super::plan::Listed;
use crate::error::{Error, Limit, Result};
use crate::progress::MirrorMeter;
use crate::types::{Account, Kind, SnapshotInfo, is_id_of};

impl Mirror {
    /// Creates the snapshots and adds them to what is listed; returns of which there is none, and why.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(super) fn create_all(&self, listed: &mut Listed, meter: &MirrorMeter<'_>) -> Result<Vec<(String, Error)>> {
        let account = match listed.account.take().map_or_else(|| self.service.account(), Ok) {
            Ok(account) => account,
            Err(error) => return Ok(vec![("the account".into(), error)]),
        };
        let (mut not_taken, mut blocked) = (Vec::new(), None);
        for (newest, kind, id) in self.wanted(&account, listed) {
            let what = format!("the snapshot of {kind} {id}");
            let created = match blocked.or_else(|| account.limit(newest, &listed.snapshots, listed.now)) {
                Some(limit) => Err(Error::TooSoon { what, limit }),
                None => meter.naming(&what, || self.service.create(kind, id, meter)),
            };
            meter.update(|_| {})?;
            match created.as_ref().map(|snapshot| snapshot.info()) {
                Ok(Some(info)) => listed.snapshots.push(info.clone()),
                // What its listing shows by now is mirrored; a later run finds the rest.
                Ok(None) => self.service.list_one(listed, kind, id, meter)?,
                // A quota and a block stand against the others, too.
                Err(error) => blocked = blocked.or(error.limit().filter(|limit| *limit != Limit::Cooldown)),
            }
            not_taken.extend(created.err().map(|error| (format!("{kind} {id}"), error)));
        }
        Ok(not_taken)
    }

    /// The apps and databases to create snapshots of, and when the last one of each was created: the longest ago first.
    fn wanted<'a>(&self, account: &'a Account, listed: &Listed) -> Vec<(Option<OffsetDateTime>, Kind, &'a str)> {
        let mut wanted = Vec::new();
        for &kind in self.kinds() {
            for (id, runtime) in account.resources(kind) {
                let is_of = |info: &&SnapshotInfo| info.kind == kind && is_id_of(id, info.resource_id());
                let newest = listed.snapshots.iter().filter(is_of).map(|info| info.created_at).max();
                let new = SnapshotInfo::of_file(kind, &format!("{id}_{runtime}_manual"), listed.now, 0);
                wanted.extend(self.chooses(&new).then_some((newest, kind, id)));
            }
        }
        wanted.sort();
        wanted
    }
}
