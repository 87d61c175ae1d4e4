// SPDX-License-Identifier: GPL-2.0

//! What there is of a connection, by what is listed.

use super::plan::{Chain, HOLD, Plan};
use crate::{
    entry::Entry,
    eroute::table::{self, Row},
    failure::Failure,
    groups::Groups,
    listing::{self, SaRow},
    system::System,
};
use klips::{
    said::{Said, Shunt},
    selector::Selector,
};

/// Where the packets of a connection go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// No eroute takes just them.
    None,
    /// They are dropped, or a key daemon is asked.
    Blocked,
    /// They are dropped until it is known which end is here.
    Held,
    /// Through the SAs of the connection, or as its type says.
    Own,
    /// Elsewhere.
    Other(String),
}

/// What there is.
pub(super) struct State {
    pub(super) way: Way,
    /// SAs of the connection that there are, those that send first; one of each group.
    pub(super) sas: Vec<Said>,
    /// Whether all of it is there, grouped.
    pub(super) is_up: bool,
}

impl State {
    /// Looks at the lists.
    pub(super) fn read(plan: &Plan, system: &mut impl System) -> Result<Self, Failure> {
        let row = row(&plan.selector, system)?;
        let way = row.map_or(Way::None, |row| way(Some(&plan.leads_to), &row.sa));
        let lists = Lists {
            groups: Groups::read(system)?,
            rows: listing::sas(system)?,
        };
        let chains = [&plan.outbound, &plan.inbound];
        let is_up = way == Way::Own && chains.iter().all(|chain| lists.has_whole(chain));
        let outbound = lists.members(&plan.outbound);
        // Those of another connection may have the same names, if both were given the same SPI.
        let inbound = if way == Way::Own || !outbound.is_empty() {
            lists.members(&plan.inbound)
        } else {
            Vec::new()
        };
        Ok(State {
            way,
            sas: outbound.into_iter().chain(inbound).collect(),
            is_up,
        })
    }

    /// The SA of the connection that is there, whoever made it.
    pub(super) fn in_the_way(
        plan: &Plan,
        system: &mut impl System,
    ) -> Result<Option<Said>, Failure> {
        let groups = Groups::read(system)?;
        let mut saids = plan.saids().into_iter();
        Ok(saids.find(|said| groups.find(said).is_some()))
    }
}

/// Where packets go that are of no connection.
pub(super) fn way_of(selector: &Selector, system: &mut impl System) -> Result<Way, Failure> {
    let row = row(selector, system)?;
    Ok(row.map_or(Way::None, |row| way(None, &row.sa)))
}

fn row(selector: &Selector, system: &mut impl System) -> Result<Option<Row>, Failure> {
    let mut rows = table::rows(system)?.into_iter();
    Ok(rows.find(|row| row.selector == *selector))
}

fn way(own: Option<&str>, sa: &Entry) -> Way {
    let Some(said) = sa.said() else {
        return Way::Other(sa.name());
    };
    if own == Some(&format!("{said:#}")) {
        Way::Own
    } else if said.to_string() == HOLD {
        Way::Held
    } else if Shunt::of(&said).is_some_and(|it| it != Shunt::Pass) {
        Way::Blocked
    } else {
        Way::Other(sa.name())
    }
}

struct Lists {
    groups: Groups,
    rows: Vec<SaRow>,
}

impl Lists {
    /// Whether a chain is there, and its SAs in no other order and with no others.
    fn has_whole(&self, chain: &Chain) -> bool {
        let Some(first) = chain.saids.first() else {
            return true;
        };
        let group = self.groups.group_of(first);
        let names = group.iter().map(|entry| entry.said());
        match chain.saids.as_slice() {
            [only] => group.is_empty() && self.groups.find(only).is_some(),
            saids => names.eq(saids.iter().map(|said| Some(*said))),
        }
    }

    /// The SAs of a chain that are there and come from where its packets do; one of each group.
    fn members(&self, chain: &Chain) -> Vec<Said> {
        let mut members: Vec<Said> = Vec::new();
        for said in &chain.saids {
            let row = self.rows.iter().find(|row| row.said == *said);
            let is_ours = row.is_some_and(|row| row.src == Some(chain.src));
            let group = self.groups.group_of(said);
            let is_grouped =
                |member: &Said| group.iter().any(|entry| entry.said() == Some(*member));
            if is_ours && !members.iter().any(is_grouped) {
                members.push(*said);
            }
        }
        members
    }
}
