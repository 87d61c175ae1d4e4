// SPDX-License-Identifier: GPL-2.0

//! The page, and its details: what the tables mean, around them.

use crate::{
    arithmetic::difference,
    beside::{self, EROUTES, LIVE},
    figures::{AF_KEY, Figures, GATEWAYS, INSTRUCTIONS, KLIPS, NANOSECONDS},
    harness, limits,
    markdown::{Table, count, percent},
    parts::{self, Module},
    profile::{self, Profile},
    sections,
};
use std::{
    fmt::{self, Display, Formatter},
    path::Path,
};

/// Everything the pages are made of.
pub struct Report<'a> {
    /// What was measured.
    pub figures: &'a Figures,
    /// What was measured a second time.
    pub again: &'a Figures,
    /// Where the instructions of some requests went.
    pub profiles: &'a [Profile],
    /// The files of the modules, klips first.
    pub modules: &'a [Module],
    /// Where the logs of the tests are.
    pub logs: &'a Path,
    /// What the reader should know about this run.
    pub about: &'a [String],
    /// Names and titles of the plots.
    pub plots: &'a [(&'a str, &'a str)],
}

impl Report<'_> {
    /// What a reader wants to know who decides whether to use this.
    pub fn page(&self) -> String {
        let mut page = PAGE.to_owned();
        for (name, title) in self.plots {
            page += &format!("\n![{title}]({name}.png)\n");
        }
        page += &format!("\n{}\n{REPEAT}\n", beside::summary(self.figures));
        for line in self.about {
            page += &format!("- {line}\n");
        }
        page
    }
}

/// What is to hold, for who changes something.
pub struct Holds<'a>(pub &'a Figures);

impl Display for Holds<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        section(f, "What holds", LIMITS, &limits::table(self.0))
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        let size = sections::summary_size(self.figures);
        let title = format!("In short: {size} SAs, each to a gateway of its own");
        section(f, &title, SUMMARY, &sections::summary(self.figures))?;
        for (module, text) in [(KLIPS, COSTS), (AF_KEY, COSTS_OF_AF_KEY)] {
            for gateways in GATEWAYS {
                let plural = if gateways == "one" { "" } else { "s" };
                let title = format!("{module}: instructions, {gateways} gateway{plural}");
                let text = if gateways == "one" { text } else { "" };
                let table = sections::costs(self.figures, module, gateways, INSTRUCTIONS);
                section(f, &title, text, &table)?;
            }
        }
        let table = sections::comparison(self.figures, INSTRUCTIONS);
        section(f, "klips to af_key", COMPARISON, &table)?;
        for gateways in GATEWAYS {
            let plural = if gateways == "one" { "" } else { "s" };
            let (text, title) = (EROUTES_TEXT, "instructions about eroutes");
            let table = beside::costs(self.figures, gateways, &EROUTES);
            section(
                f,
                &format!("{title}, {gateways} gateway{plural}"),
                text,
                &table,
            )?;
            let (text, title) = (LIVE_TEXT, "instructions about live SAs");
            let table = beside::costs(self.figures, gateways, &LIVE);
            section(
                f,
                &format!("{title}, {gateways} gateway{plural}"),
                text,
                &table,
            )?;
        }
        let table = beside::packets_table(self.figures);
        section(f, "Instructions of packets", PACKETS, &table)?;
        let table = beside::among_eroutes_table(beside::look_ups(self.figures));
        section(f, "Instructions of packets among eroutes", LOOK_UPS, &table)?;
        let table = beside::among_eroutes_table(beside::streams(self.figures));
        section(f, "Instructions of TCP per MB", STREAMS, &table)?;
        let table = beside::tools_table(self.figures);
        section(f, "Tools", TOOLS, &table)?;
        let table = profile::owners(self.profiles);
        section(f, "Where the instructions go", PROFILES, &table)?;
        for profile in self.profiles {
            section(f, &profile.title(), "", &profile.table())?;
        }
        for module in [KLIPS, AF_KEY] {
            let title = format!("{module}: instructions with idle listeners");
            let text = if module == KLIPS { LISTENERS } else { "" };
            section(f, &title, text, &sections::listeners(self.figures, module))?;
        }
        for (kind, (title, text)) in sections::STALLS.into_iter().zip(STALLS) {
            section(f, title, text, &sections::stalls(self.figures, kind))?;
        }
        section(f, "Many sockets", CROWD, &sections::crowd(self.figures))?;
        section(f, "Memory", MEMORY, &sections::memory(self.figures))?;
        let table = beside::memory_table(self.figures);
        section(f, "Memory of eroutes and live SAs", MEMORY_BESIDE, &table)?;
        let table = sections::processors(self.figures);
        section(f, "Processors", PROCESSORS, &table)?;
        for (module, text) in [(KLIPS, TIMES), (AF_KEY, "")] {
            let title = format!("{module}: nanoseconds, many gateways");
            let table = sections::costs(self.figures, module, "many", NANOSECONDS);
            section(f, &title, text, &table)?;
        }
        let table = sections::comparison(self.figures, NANOSECONDS);
        section(f, "klips to af_key, by time", "", &table)?;
        let table = sections::loading(self.figures);
        section(f, "Loading and starting", LOADING, &table)?;
        let table = parts::loading(self.modules);
        section(f, "What the kernel does to load them", WORK, &table)?;
        let table = profile::waits(self.profiles);
        section(f, "How often loading and unloading wait", WAITS, &table)?;
        let table = parts::kinds(self.modules);
        section(f, "What the modules are made of", PARTS, &table)?;
        if let Some(module) = self.modules.first() {
            section(
                f,
                "Where klips's code comes from",
                CODE,
                &parts::code(module),
            )?;
        }
        section(f, "The harness", HARNESS, &harness::table(self.logs))?;
        self.repeatability(f)
    }
}

impl Report<'_> {
    fn repeatability(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(difference) = difference(self.figures, self.again, INSTRUCTIONS) else {
            return Ok(());
        };
        let (most, by) = difference.largest;
        writeln!(f, "\n## Repeatability\n\n{REPEATABILITY}")?;
        writeln!(
            f,
            "Of {} instruction counts, half differ by less than {}, nine out of ten by less than {}. \
             The one that differs most, by {}, is \"{}\" of {} ({} SAs, gateways: {}, listeners: {}).",
            difference.count,
            percent(difference.median),
            percent(difference.ninth),
            percent(by),
            most.what,
            most.module,
            count(most.sas),
            most.gateways,
            most.listeners,
        )
    }
}

/// A section, unless nothing of it was measured.
fn section(f: &mut Formatter<'_>, title: &str, text: &str, table: &Table) -> fmt::Result {
    if table.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n## {title}\n")?;
    if !text.is_empty() {
        writeln!(f, "{text}\n")?;
    }
    write!(f, "{table}")
}

const PAGE: &str = "\
# What klips costs

Instructions that the guest executes, kernel and client together, counted by QEMU on one processor: they are the same
each time, but they are not time, as one that waits for memory counts like any other. Beside `klips.ko` the same work by
mainline's two ways to do it: PF_KEY (`af_key`) and netlink (`ip xfrm`), on the same kernel and by the same client. The
ratio is that of klips to the lesser of these.
";

const REPEAT: &str = "\
A request is a write and the read of its answer, with so many SAs or eroutes there, each with another gateway at
its other end, or all with the same one. An eroute (ADDFLOW) is the request and the state that is made for it, to
mainline a policy and a state; an SA is live that has a state as soon as it is added, because its packets come in. What
puts another state in such a one's place (UPDATE, X_GRPSA) is beside what mainline takes to make a state.
Where it grows with the number of eroutes, xfrm looks at every network of its table each time that a policy goes or
gives way to another (`__xfrm_policy_inexact_prune_bin`); with one gateway, `af_key` looks at every SA that goes there.
The longest wait is that of a GET beside whatever takes long with most SAs, eroutes or sockets, of which klips has ten
times as many as `af_key`. Packets are lost that are under way while their SA changes. Unloading and what ends with
processes asleep count up to the moment when one wakes.

`make bench` measures all of this again in virtual machines and writes this page, in less than an hour;
`make bench ARGS=--quick` is for trying. All figures are in [figures.csv](figures.csv), tables for every size and
what each means in [details.md](details.md).
";

const EROUTES_TEXT: &str = "\
Through a tunnel and an ESP SA of their own each. REPLACE has its packets go through SAs that had no state
before. Of mainline: a policy and a state, another one and an update, deletion of the policy alone, and a flush of
policies. \"SAs and X_GRPSA and ADDFLOW\" begins with nothing; then come requests about these SAs, with their eroutes
there. X_GRPSA has an eroute go through a group again, which is another policy.";

const LIVE_TEXT: &str = "\
SAs whose destination is here. UPDATE puts a state in the place of another; X_GRPSA with a tunnel puts one in tunnel
mode in the place of one in transport mode. DELETE is with what the kernel's workers do afterwards, the least of three
rounds.";

const PACKETS: &str = "\
On their way through gateway A, from the system call that sends them to where they are dropped at the other
end (out), or from the wire to the socket that gets them (in). The other end's own transforms are not in it.
The least of nine rounds.";

const LOOK_UPS: &str = "\
Forwarded packets, each to another destination: all through one group, or each through one of its own (\"a tunnel
each\").";

const STREAMS: &str = "\
Both ends' work: one end is set up by klips or `ip xfrm`, the other by `ip xfrm` in any case. Several streams, each
through another eroute.";

const TOOLS: &str = "\
From the start to the end of `ipsec manual --up --all` and `ipsec look`, beside a shell script with `ip xfrm` lines.";

const MEMORY_BESIDE: &str = "\
What is missing from the free memory. To mainline an eroute and its SAs are a policy and a state.";

const HEAD: &str = "\
# What klips costs, in detail

The page with plots is [README.md](README.md). The main figure is the number of instructions that the guest executes,
kernel and client together, counted by QEMU on one processor. Where processes sleep the count goes on up to the
moment when one wakes. A request is a write and the read of its answer; a \"refused message\" is refused as soon
as its header was looked at, and is the write alone. \"One gateway\" means that all SAs have the same
destination, \"many\" that each has its own.
";

const SUMMARY: &str = "\
Instructions, and klips's divided by af_key's: below 1 klips needs fewer. X_GRPSA groups SAs, two of
them or four at once; \"ungroup\" takes them apart. Mainline has nothing like it.";

const LIMITS: &str = "\
At the worst of all sizes and gateways, without listeners. Growth is the largest of a row divided by
its smallest; a wait is counted from the moment when the other was to run.";

const COSTS: &str = "\
Columns are the number of SAs in the table. \"ADD while filling\" is the average over all that filled
it, the other rows are of 400 requests each, DUMP, FLUSH and `/proc` of the whole table, and `/proc`
when it is read for the second time. DELETE and FLUSH are with what the kernel's workers do
afterwards, for others too: DELETE is the median of three rounds, FLUSH one alone, which may be too
large; in nanoseconds they are processor time, where the others are time that passes.";

const COSTS_OF_AF_KEY: &str = "\
Mainline's ADD looks at all SAs that go to the same gateway, so with one gateway it is not measured
beyond 10,000.";

const COMPARISON: &str = "\
Instructions of klips divided by those of af_key, where both know the request.";

const PROFILES: &str = "\
Each instruction that the guest executes is counted, not sampled, while a client does the same thing
again and again, to another SA each time where it changes one. \"Client\" is mostly the making of
messages, which are made beforehand where costs are measured; \"memory\" is `memcpy` and `memset`,
whoever calls them; \"kernel\" is all else that is not the module's: the system calls, the allocators,
the socket's queue.";

const LISTENERS: &str = "\
With sockets that are open but never read, at the largest size.";

const STALLS: [(&str, &str); 2] = [
    (
        "Stalls",
        "\
While something takes long, a thread of real-time priority sleeps 20 µs and then asks for one SA,
again and again. On one processor it waits only for locks and for what the kernel doesn't
interrupt. The longest wait from its request to the answer (\"GET\"), and from the moment when it was
to wake up (\"since due\"), in instructions.",
    ),
    (
        "Stalls with eroutes and live SAs",
        "\
The same with eroutes, each through a tunnel and an ESP SA of its own. FLUSH is of these SAs, with their eroutes there.
Then there are as many live SAs, and in the end a namespace with both.",
    ),
];

const CROWD: &str = "\
What it takes to close one more socket, and how long the same thread waits while there are many: some
whose receive buffers are full, some whose filter takes nothing, so that they are told all there is.
The chains that expire have 64 SAs each. Of klips alone.";

const MEMORY: &str = "\
What the slab allocator takes for an SA, and what is missing from the free memory.";

const PROCESSORS: &str = "\
As many threads as the guest has processors, each emulated by a thread of QEMU. Each thread adds,
gets and deletes SAs, in a network namespace of its own or all in one, or they only get; or one does
and the others only get SAs or read `/proc/net/ipsec_spigrp`. In one namespace each is told of the
others' requests, so there is more work to do. Then one thread has packets forwarded through tun+esp, and
another keeps klips busy: it reads `/proc/net/ipsec_spi` with 10,000 live SAs, or gives the eroute a new group and
removes the old one again and again, without and with somebody who reads what is told of it, or it updates the SA
that packets go through (a swap). Beside that the same by netlink, where to read is to dump the states. Requests (lines,
packets) a second, of the best of some short intervals; they depend on what else the machine does. A guest
with more processors than its machine shows only that nothing collapses.";

const TIMES: &str = "\
The same without counting instructions. The times are those of an emulator, unless the machine has
KVM: their ratios say more than the figures.";

const LOADING: &str = "\
The time from the start to the end of `insmod` and `rmmod`, less that of `true`. Unloading waits for
the kernel's other parts, so its count is mostly time in which nothing is executed. Starting a
program includes its end.";

const WORK: &str = "\
What there is of it in their files.";

const WAITS: &str = "\
How often functions of the kernel begin that wait for others to be done, which takes no instructions but time. One of
them may call another.";

const PARTS: &str = "\
By the sections of their files.";

const CODE: &str = "\
By the folder of `rust/` of each function. `af_key` has no counterpart to `flows` (eroutes and inflows as policies,
swaps that keep packets safe), to groups, interfaces and undoing in `change`, nor to the table in `sadb`: the states of
xfrm are its own. \"C\" is what only macros and inline functions of the kernel's headers can do, with the routes of
interfaces.";

const HARNESS: &str = "\
From the logs of the last `make test` on this machine.";

const REPEATABILITY: &str = "\
The same was measured again in another guest, up to 10,000 SAs.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{REFUSED, tests::figures};

    #[test]
    fn only_what_was_measured_has_a_section() {
        let all = Figures(figures(
            KLIPS,
            &[(1000, REFUSED, 100.0), (1000, "GET", 300.0)],
        ));
        let page = |again: &Figures| {
            let report = Report {
                figures: &all,
                again,
                profiles: &[],
                modules: &[],
                logs: Path::new("/nonexistent"),
                about: &["a line".to_owned()],
                plots: &[("plot", "A plot")],
            };
            assert!(report.page().contains("![A plot](plot.png)\n"));
            assert!(report.page().contains("- a line\n"));
            report.to_string()
        };
        let text = page(&Figures::default());
        let titles: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        assert_eq!(
            titles,
            ["## klips: instructions, many gateways", "## The harness"]
        );
        assert!(page(&all).contains("## Repeatability"));
    }
}
