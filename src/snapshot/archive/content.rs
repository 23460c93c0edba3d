//! From an entry's name to its content.

use std::io;

use super::body::{Body, Broken, buffer_for, unpack};
use super::entry::{Entry, EntryKind};
use super::fault::Fault;
use super::links::Web;
use super::name::Platform;
use super::plan::ExtractPlan;
use super::window::Window;
use super::{Archive, layout, links, plan, verify};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

impl<S: Source> Archive<S> {
    /// The one entry of that name, its headers judged.
    pub(super) fn locate(&self, name: &str) -> Result<(u32, Body)> {
        let Some((index, again)) = self.directory.find(name) else {
            return Err(Error::NoSuchEntry { name: name.to_owned() });
        };
        let entry = Entry { directory: &self.directory, index };
        let fault = if again {
            Some(Fault::new(Refusal::Collision, "several entries have this name"))
        } else if matches!(entry.kind(), EntryKind::Directory | EntryKind::Special) {
            Some(Fault::new(Refusal::Special, "it is no file; only files and links have content"))
        } else {
            plan::readable(&self.directory.central(index), entry.size(), entry.compressed_size()).err()
        };
        if let Some(fault) = fault {
            return Err(fault.of(name));
        }
        let at = layout::locate(&*self.source, &self.directory, index)
            .map_err(|e| verify::reading(Some(name), e))?;
        let at = at.map_err(|fault| fault.of(name))?;
        let Some(record) = self.directory.record(index) else {
            return Err(Error::NoSuchEntry { name: name.to_owned() });
        };
        Ok((index, Body::of(record, &self.directory.central(index), at)))
    }

    pub(super) fn content(&self, index: u32, body: &Body) -> Result<Vec<u8>> {
        // Deflate makes at most 1,032 bytes of one: a lie about the size reserves no memory.
        let honest = body.size.min(body.packed.saturating_mul(1032));
        let mut content = Vec::new();
        let room = usize::try_from(honest).unwrap_or(usize::MAX);
        content
            .try_reserve_exact(room)
            .map_err(|e| verify::reading(Some(self.directory.name(index)), io::Error::other(e)))?;
        self.unpack(index, body, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(content)
    }

    pub(super) fn unpack(
        &self,
        index: u32,
        body: &Body,
        taker: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let name = self.directory.name(index);
        let mut window = Window::new(&*self.source, body.at + body.packed);
        unpack(&mut window, body, &mut buffer_for(body), taker).map_err(|broken| match broken {
            Broken::Source(e) => verify::reading(Some(name), e),
            Broken::Bad(fault) => fault.of(name),
            Broken::Taker(e) => e,
        })
    }

    /// Looks into directory entries that have bytes: whatever comes out of them would be lost in silence.
    pub(super) fn look_into_directories(&self, plan: &mut ExtractPlan) -> Result<()> {
        let mut faults = Vec::new();
        for &index in &plan.hollow {
            let Some(body) = self.body(index, plan) else { continue };
            match self.unpack(index, &body, |_| Ok(())) {
                Ok(_) => {}
                Err(Error::Refused { refusal, detail, .. }) => {
                    faults.push((index, Fault::new(refusal, detail)))
                }
                Err(e) => return Err(e),
            }
        }
        for (index, fault) in faults {
            plan.refuse(Some(self.directory.name(index)), fault);
        }
        Ok(())
    }

    /// An entry's data, if the plan has looked at its header and found it right.
    fn body(&self, index: u32, plan: &ExtractPlan) -> Option<Body> {
        let record = self.directory.record(index)?;
        let at = plan.layout.as_ref()?.data_at(index, record)?;
        Some(Body::of(record, &self.directory.central(index), at))
    }

    /// Reads the links' targets and refuses those that lead out.
    pub(super) fn follow_links(&self, plan: &mut ExtractPlan) -> Result<()> {
        if plan.crowded {
            plan.targets = vec![String::new(); plan.links.len()];
            return Ok(());
        }
        let mut targets = Vec::with_capacity(plan.links.len());
        let mut faults = Vec::new();
        for leaf in &plan.links {
            let Some(body) = self.body(leaf.index, plan) else {
                targets.push(String::new());
                continue;
            };
            let target = match self.content(leaf.index, &body) {
                Ok(content) => links::target(content),
                Err(Error::Refused { refusal, detail, .. }) => Err(Fault::new(refusal, detail)),
                Err(e) => return Err(e),
            };
            targets.push(target.unwrap_or_else(|fault| {
                faults.push((leaf.index, fault));
                String::new()
            }));
        }
        let known = plan.links.iter().zip(&targets);
        let known = known.map(|(leaf, target)| (plan.path(&leaf.path), target.as_str()));
        let mut web = Web::of(known, Platform::HERE);
        for leaf in &plan.links {
            if let Err(fault) = web.follow(plan.path(&leaf.path)) {
                faults.push((leaf.index, fault));
            }
        }
        drop(web);
        for (index, fault) in faults {
            plan.refuse(Some(self.directory.name(index)), fault);
        }
        plan.targets = targets;
        Ok(())
    }
}
