//! The switches of the world: which of the service's habits are on.

use std::time::Duration;

/// Which generation of listing items is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingForm {
    /// With `version_id`, `url`, `runtime`, `origin`.
    New,
    /// Only `name`, `size`, `modified`, `key`.
    Old,
    /// The older page's spelling: `id`, `size` as a string, `created_at`, `key`.
    Seed,
}

/// What version ids look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionIds {
    /// 32 letters and digits.
    S3,
    Uuid,
    /// With `.`, `/` and `+`.
    Odd,
}

/// How a creation is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// 200 with url and key.
    Done,
    /// 202; the next `n` listings do not show it yet.
    AfterPolls(u32),
    /// 202; it shows once the world's clock has moved so far.
    After(Duration),
    /// 202, and it never comes.
    Never,
    /// 404 `SNAPSHOT_FAILED`.
    Fails,
}

/// How a restore is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restoration {
    /// 200, and done.
    Done,
    /// 202; the next `n` status polls say queued or running.
    AfterPolls(u32),
    /// 202; running until the world's clock has moved so far.
    After(Duration),
    /// 200, but only dispatched: the next `n` status polls say queued or running.
    Dispatched(u32),
    /// 202, then after `n` polls the state `error` with this code.
    FailsLater(u32, &'static str),
    /// 404 `SNAPSHOT_RESTORE_FAILED`.
    Fails,
}

/// The switches of the world.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The per-user and per-resource cooldowns of creating, restoring, starting, uploading, ...
    pub cooldowns: bool,
    /// The daily snapshot quota.
    pub quota: bool,
    /// 3 cache-missing account listings per 60 s, 15 `apps/status` per 60 s.
    pub listing_limit: bool,
    /// Calls a key has per 60 s, then it is blocked for 30 minutes.
    pub budget: Option<usize>,
    /// Requests the snapshot host answers at the same time, and the status for those beyond.
    pub concurrent: Option<(usize, u16)>,
    /// Listings are cached 30 minutes.
    pub listing_cache: bool,
    /// A creation refreshes the cached listing.
    pub creation_refreshes: bool,
    pub listing: ListingForm,
    pub version_ids: VersionIds,
    pub creation: Creation,
    pub restoration: Restoration,
    /// Off: an older service, 404 `ROUTE_NOT_FOUND`.
    pub restore_status: bool,
    /// Answers carry `Date`, from the world's clock.
    pub date_header: bool,
    /// Actions answer `"code":"SUCCESS"` and `response: null` beside the status.
    pub chatty_success: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cooldowns: true,
            quota: true,
            listing_limit: true,
            budget: None,
            concurrent: None,
            listing_cache: true,
            creation_refreshes: true,
            listing: ListingForm::New,
            version_ids: VersionIds::S3,
            creation: Creation::Done,
            restoration: Restoration::Done,
            restore_status: true,
            date_header: true,
            chatty_success: false,
        }
    }
}

impl Rules {
    /// Switches off everything that counts, waits or caches.
    pub fn without_limits(mut self) -> Self {
        (self.cooldowns, self.quota, self.listing_limit, self.budget) = (false, false, false, None);
        self.listing_cache = false;
        self
    }
}
