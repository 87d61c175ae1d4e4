// SPDX-License-Identifier: GPL-2.0

//! The groups as the kernel lists them, to look SAs up in and to try requests on. What may be
//! grouped is decided by the rules of the module itself.

use crate::{entry::Entry, failure::Failure, listing, system::System};
use klips::{
    group::{self, LinkError, Links, ListError, Neighbours},
    said::Said,
};
use std::{collections::HashMap, mem};

/// All SAs and their groups.
#[derive(Clone)]
pub(crate) struct Groups {
    sas: Vec<Sa>,
    by_said: HashMap<Said, usize>,
    /// Those whose names can't be read.
    unreadable: Vec<usize>,
}

#[derive(Clone)]
struct Sa {
    entry: Entry,
    neighbours: Neighbours<usize>,
}

impl Links for Groups {
    type Id = usize;

    fn neighbours(&self, sa: usize) -> Neighbours<usize> {
        self.sas[sa].neighbours
    }

    fn set_neighbours(&mut self, sa: usize, to: Neighbours<usize>) -> Neighbours<usize> {
        mem::replace(&mut self.sas[sa].neighbours, to)
    }
}

impl Groups {
    /// Reads the list.
    pub(crate) fn read(system: &mut impl System) -> Result<Self, Failure> {
        Ok(Self::of(listing::chains(system)?))
    }

    /// Of the lines of the list.
    pub(crate) fn of(chains: impl IntoIterator<Item = Vec<Entry>>) -> Self {
        let mut groups = Groups {
            sas: Vec::new(),
            by_said: HashMap::new(),
            unreadable: Vec::new(),
        };
        for chain in chains {
            groups.insert(chain);
        }
        groups
    }

    /// Adds a line of the list. Late KLIPS has one for each SA, with those outside of it, so that
    /// all of this may be known already.
    fn insert(&mut self, chain: Vec<Entry>) {
        let mut inner = None;
        for entry in chain {
            let outer = self.id_of(entry);
            if let Some(inner) = inner {
                // What is linked already is so by another line.
                if group::check_link(self, inner, outer).is_ok() {
                    group::link(self, inner, outer);
                }
            }
            inner = Some(outer);
        }
    }

    fn id_of(&mut self, entry: Entry) -> usize {
        let (new, said) = (self.sas.len(), entry.said());
        let id = match said {
            Some(said) => *self.by_said.entry(said).or_insert(new),
            None => {
                self.unreadable.push(new);
                new
            }
        };
        if id == new {
            self.sas.push(Sa {
                entry,
                neighbours: Neighbours::NONE,
            });
        }
        id
    }

    /// The SA of that name.
    pub(crate) fn find(&self, said: &Said) -> Option<usize> {
        let mut unreadable = self.unreadable.iter();
        self.by_said
            .get(said)
            .or_else(|| unreadable.find(|sa| self.sas[**sa].entry.could_be(said)))
            .copied()
    }

    /// The SAs of the group that an SA is in, inside to outside; the first gives it its name.
    /// Empty if it is in none.
    pub(crate) fn group_of(&self, said: &Said) -> Vec<&Entry> {
        self.find(said)
            .filter(|sa| group::is_grouped(self, *sa))
            .into_iter()
            .flat_map(|sa| group::members(self, sa))
            .map(|sa| &self.sas[sa].entry)
            .collect()
    }

    /// Groups SAs, or says what is wrong with them.
    pub(crate) fn group(&mut self, saids: &[Said]) -> Result<(), ListError> {
        let list: Vec<_> = saids.iter().map(|said| self.find(said)).collect();
        group::check_list(self, &list)?;
        group::link_list(self, &list);
        Ok(())
    }

    /// Links SAs, or the groups that they are at the ends of, inside to outside. Or says which can't be
    /// linked to the one before it and why; `None` if there is no such SA. Those before it are linked
    /// then.
    pub(crate) fn join(&mut self, saids: &[Said]) -> Result<(), (usize, Option<LinkError>)> {
        let mut inner = None;
        for (member, said) in saids.iter().enumerate() {
            let outer = self.find(said).ok_or((member, None))?;
            if let Some(inner) = inner {
                group::check_link(self, inner, outer).map_err(|error| (member, Some(error)))?;
                group::link(self, inner, outer);
            }
            inner = Some(outer);
        }
        Ok(())
    }

    /// The neighbour of an SA towards the inside.
    pub(crate) fn inside_of(&self, said: &Said) -> Option<&Entry> {
        let neighbour = self.inext(self.find(said)?)?;
        Some(&self.sas[neighbour].entry)
    }

    /// The neighbour of an SA towards the outside.
    pub(crate) fn outside_of(&self, said: &Said) -> Option<&Entry> {
        let neighbour = self.onext(self.find(said)?)?;
        Some(&self.sas[neighbour].entry)
    }

    /// Takes the group apart that an SA is in.
    pub(crate) fn ungroup(&mut self, said: &Said) {
        if let Some(sa) = self.find(said) {
            group::ungroup(self, sa);
        }
    }
}
