// SPDX-License-Identifier: GPL-2.0

//! What the command does with each connection, and what it tells of it.

use super::{
    conn::Conn,
    connection::Connection,
    file::{Conf, Kind, Param},
    local::Local,
    operation::{Asked, Mode, Names, Operation},
    plan::{BLOCK, Command, Plan, delete},
    state::{self, State, Way},
    steps::Steps,
};
use crate::{
    about::About,
    console::Console,
    eroute::Packets,
    failure::{Failure, Reason},
    given::Given,
    json::Outcome,
    program::Program,
    system::System,
    tell, text,
};
use klips::said::Said;
use serde::Serialize;
use std::{collections::HashSet, io};
use zeroize::Zeroizing;

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let asked = Asked::read(given, program, system)?;
    if asked.mode != Mode::ShowOnly {
        text::refuse_netkey("manual", system)?;
    }
    let conf = match Conf::read(asked.file(), system) {
        Ok(conf) => conf,
        // Nothing is to be started by a file that there is not.
        Err(_)
            if asked.names == Names::All && asked.config.is_none() && !exists(&asked, system) =>
        {
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    let local = match asked.iam {
        Some(address) => Local::said(address),
        None => Local::read(system)?,
    };
    let wanted: Vec<Vec<String>> = match &asked.names {
        Names::Each(names) => names.iter().map(|name| vec![name.clone()]).collect(),
        Names::Union(names) => vec![names.clone()],
        Names::All => to_be_started(&conf)?
            .into_iter()
            .map(|name| vec![name])
            .collect(),
    };
    let mut code = 0;
    for names in wanted {
        let mut work = Work {
            asked: &asked,
            program,
            system: &mut *system,
            console: &mut *console,
        };
        let name = names.join("+");
        let result = work.connection(&conf, &local, &names);
        let Err(failure) = result.map_err(|failure| failure.of_connection(&name)) else {
            continue;
        };
        let is_interrupted = failure.is_interrupted();
        code = code.max(failure.code());
        tell::failure(&failure, None, program, console)?;
        if is_interrupted {
            break;
        }
    }
    match code {
        0 => Ok(()),
        code => Err(Failure::told(code)),
    }
}

fn exists(asked: &Asked, system: &mut impl System) -> bool {
    match system.input(asked.file()) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(_) => true,
    }
}

/// The connections that are to be started: those in `manualstart`, and those with `auto=manual`.
fn to_be_started(conf: &Conf) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    let setup = conf
        .sections
        .iter()
        .filter(|section| section.kind == Kind::Config);
    for param in setup.flat_map(|section| &section.lines).flatten() {
        if param.name == "manualstart" {
            let words = param.value.split_ascii_whitespace();
            for name in words.filter(|name| *name != "%none") {
                if conf.find(Kind::Conn, name).is_none() {
                    return Err(param.bad(format_args!("there is no 'conn {name}'")));
                }
                names.push(name.to_owned());
            }
        }
    }
    for section in conf
        .sections
        .iter()
        .filter(|section| section.kind == Kind::Conn)
    {
        let lines = section.lines.iter().flatten();
        let is_manual = |line: &Param| line.name == "auto" && *line.value == "manual";
        if lines.clone().any(is_manual) && !section.name.starts_with('%') {
            names.push(section.name.clone());
        }
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// What `--json` tells of a connection.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    outcome: Outcome,
    /// `up`, `down`, `routed` or `unrouted`: what it is now.
    state: &'static str,
    /// Whether it was something else before.
    changed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<&'a str>,
}

/// What has come of an operation.
enum Done {
    /// It is now as wanted.
    Changed,
    /// It was before.
    Already(&'static str),
}

/// What is done, and with what.
struct Work<'a, 'b, S> {
    asked: &'a Asked,
    program: &'a Program,
    system: &'a mut S,
    console: &'a mut Console<'b>,
}

impl<S: System> Work<'_, '_, S> {
    fn connection(&mut self, conf: &Conf, local: &Local, names: &[String]) -> Result<(), Failure> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let conn = Conn::of(conf, &names)?;
        let connection = Connection::read(&conn, self.system)?;
        if matches!(self.asked.operation, Operation::Up | Operation::Route)
            && self.asked.mode != Mode::ShowOnly
        {
            let not_run = conn.not_run.iter().map(|param| {
                let (place, name) = (&param.place, &param.name);
                format!("{place}: {name}: it is not run; routes and rules of a firewall are not made here")
            });
            for remark in not_run.chain(connection.remarks.iter().cloned()) {
                self.console.remark(self.program, format_args!("{remark}"));
            }
        }
        let is_known = local.has(connection.left.address) || local.has(connection.right.address);
        // Before there are addresses, packets both ways can be kept from leaving.
        let both_ways = !is_known
            && self.asked.mode != Mode::ShowOnly
            && matches!(self.asked.operation, Operation::Route | Operation::Unroute);
        let plan = if both_ways {
            Plan::of(connection)
        } else {
            Plan::of(connection.seen_from_here(&conn, local, self.asked.other)?)
        };
        let (commands, done) = self.decide(&plan, both_ways)?;
        if let Mode::ShowOnly | Mode::DryRun = self.asked.mode {
            Steps::new(self.program, self.system).check(&commands)?;
            return self.show(&plan, &commands, done);
        }
        let result = match self.asked.operation {
            Operation::Down => self.run_all(&commands),
            _ => self.run_or_take_back(&plan, &commands),
        };
        let saids = plan.saids();
        let about = self.about(&plan, &saids);
        result.map_err(|failure| {
            let failure = failure.prefixed(&format!("conn {}: ", plan.name));
            failure.during(about)
        })?;
        self.tell(&plan, done, &[])
    }

    /// What is told of a connection whose SAs these are.
    fn about<'p>(&self, plan: &'p Plan, saids: &'p [Said]) -> About<'p> {
        About {
            action: self.asked.operation.word(),
            saids,
            selector: Some(&plan.selector),
        }
    }

    /// Which commands there are to be run.
    fn decide(&mut self, plan: &Plan, both_ways: bool) -> Result<(Vec<Command>, Done), Failure> {
        if self.asked.mode == Mode::ShowOnly {
            return Ok((from_nothing(plan, self.asked.operation), Done::Changed));
        }
        let state = State::read(plan, self.system)?;
        let mirrored = plan.selector.mirrored();
        if both_ways {
            let ways = [state.way, state::way_of(&mirrored, self.system)?];
            let selectors = [plan.selector, mirrored];
            let commands: Vec<_> = selectors
                .iter()
                .zip(&ways)
                .filter_map(|(selector, way)| match (self.asked.operation, way) {
                    (Operation::Route, Way::None) => Some(plan.hold(selector)),
                    (Operation::Unroute, Way::Held) => Some(plan.release(selector)),
                    _ => None,
                })
                .collect();
            let done = match (commands.is_empty(), self.asked.operation) {
                (false, _) => Done::Changed,
                (true, Operation::Route) => Done::Already("is routed already, both ways"),
                (true, _) => Done::Already("is not routed"),
            };
            return Ok((commands, done));
        }
        let (mut commands, done) = match self.asked.operation {
            Operation::Up => self.up(plan, &state)?,
            Operation::Down => (down(plan, &state), Done::Changed),
            Operation::Route => match &state.way {
                Way::None => (vec![plan.claim()], Done::Changed),
                Way::Held => (vec![plan.eroute("--replace", Some(BLOCK))], Done::Changed),
                Way::Blocked => (Vec::new(), Done::Already("is routed already")),
                Way::Own => (Vec::new(), Done::Already("is up already")),
                Way::Other(to) => return Err(occupied(plan, to)),
            },
            Operation::Unroute => match &state.way {
                Way::None => (Vec::new(), Done::Already("is not routed")),
                Way::Own if plan.shunt.is_none() && !state.sas.is_empty() => {
                    return Err(Failure::refused(format!(
                        "conn {}: it is up; take it down first, for its packets would leave in clear",
                        plan.name
                    )));
                }
                Way::Other(to) => return Err(occupied(plan, to)),
                Way::Own | Way::Blocked | Way::Held => (vec![plan.unroute()], Done::Changed),
            },
        };
        if self.asked.operation != Operation::Down
            && state::way_of(&mirrored, self.system)? == Way::Held
        {
            // What may come in is told by its selector, too, and would go with it.
            let first = usize::from(state.way == Way::None && !commands.is_empty());
            commands.insert(first, plan.release(&mirrored));
        }
        let done = match (commands.is_empty(), self.asked.operation) {
            (true, Operation::Down) => Done::Already("is down already"),
            _ => done,
        };
        Ok((commands, done))
    }

    fn up(&mut self, plan: &Plan, state: &State) -> Result<(Vec<Command>, Done), Failure> {
        if state.is_up {
            return Ok((Vec::new(), Done::Already("is up already")));
        }
        if let Way::Other(to) = &state.way {
            return Err(occupied(plan, to));
        }
        if let Some(word) = plan.shunt {
            let action = match state.way {
                Way::None => "--add",
                _ => "--replace",
            };
            return Ok((vec![plan.eroute(action, Some(word))], Done::Changed));
        }
        if let Some(said) = State::in_the_way(plan, self.system)? {
            return Err(Failure::refused(format!(
                "conn {}: {said:#} is there already, but not all of the connection is up.  What there \
                 is of it goes with --down; an SA of something else needs another SPI here.",
                plan.name
            ))
            .of_sa(&said, Reason::Exists));
        }
        let claim = (state.way == Way::None).then(|| plan.claim());
        Ok((claim.into_iter().chain(plan.up()).collect(), Done::Changed))
    }

    /// Runs commands until one fails, and then takes back what they did.
    fn run_or_take_back(&mut self, plan: &Plan, commands: &[Command]) -> Result<(), Failure> {
        let mut steps = Steps::new(self.program, self.system);
        steps.check(commands)?;
        for (index, command) in commands.iter().enumerate() {
            show(self.asked, self.program, command, self.console);
            let result = if steps.system.wants_end() {
                Err(Failure::interrupted())
            } else {
                steps.run(command, self.console)
            };
            let Err(failure) = result else { continue };
            let failure = during(command, failure);
            let left = steps.take_back(self.console);
            let mut remark = String::new();
            for text in left {
                remark += &format!("  It could not all be taken back: {text}");
            }
            let drops = index > 0 && plan.shunt.is_none() && self.asked.operation == Operation::Up;
            if drops && remark.is_empty() {
                remark += "  Its SAs are gone again, and its packets are dropped: until it is up, or \
                           --unroute.";
            }
            return Err(failure.and(&remark));
        }
        Ok(())
    }

    /// Runs all commands, whichever fail.
    fn run_all(&mut self, commands: &[Command]) -> Result<(), Failure> {
        let mut steps = Steps::new(self.program, self.system);
        steps.check(commands)?;
        let mut first: Option<Failure> = None;
        for command in commands {
            show(self.asked, self.program, command, self.console);
            if let Err(failure) = steps.run(command, self.console) {
                let failure = during(command, failure);
                first = Some(match first {
                    None => failure,
                    Some(first) => first.and(&format!("  {}", failure.details().text)),
                });
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Prints commands that are not run.
    fn show(&mut self, plan: &Plan, commands: &[Command], done: Done) -> Result<(), Failure> {
        let with_keys = self.asked.mode == Mode::ShowOnly;
        let program = called(self.program);
        let lines: Vec<_> = commands
            .iter()
            .map(|command| {
                Zeroizing::new(format!("{program} {}", command.line(with_keys).as_str()))
            })
            .collect();
        if self.program.json {
            let lines: Vec<_> = lines.iter().map(|line| line.as_str()).collect();
            return self.tell(plan, done, &lines);
        }
        for line in &lines {
            let would = if with_keys { "" } else { "would run " };
            self.console.print(&format!("{would}{}\n", line.as_str()))?;
        }
        if with_keys {
            return Ok(());
        }
        let text = match done {
            Done::Changed => format!("would {} {}\n", doing(self.asked.operation), plan.name),
            Done::Already(what) => format!("would change nothing: {} {what}\n", plan.name),
        };
        self.console.print(&text)
    }

    /// Tells what has become of a connection, or would.
    fn tell(&mut self, plan: &Plan, done: Done, commands: &[&str]) -> Result<(), Failure> {
        let changed = matches!(done, Done::Changed);
        if !self.program.json {
            if let Done::Already(what) = done {
                self.console
                    .remark(self.program, format_args!("conn {} {what}", plan.name));
            }
            return Ok(());
        }
        let saids = plan.saids();
        let about = self.about(plan, &saids);
        let outcome = match self.asked.mode {
            Mode::Run | Mode::Show => Outcome::done(about),
            Mode::ShowOnly | Mode::DryRun => Outcome::would_succeed(about),
        };
        self.console.object(&Told {
            outcome: outcome.of_connection(&plan.name),
            state: match self.asked.operation {
                Operation::Up => "up",
                Operation::Down => "down",
                Operation::Route => "routed",
                Operation::Unroute => "unrouted",
            },
            changed,
            commands: commands.to_vec(),
        })
    }
}

/// What takes a connection down, as far as it is not.
fn down(plan: &Plan, state: &State) -> Vec<Command> {
    let leads = state.way == Way::Own && plan.shunt != Some(BLOCK);
    let block = leads.then(|| plan.eroute("--replace", Some(BLOCK)));
    let sas = state.sas.iter().map(delete);
    block.into_iter().chain(sas).collect()
}

/// The same failure, with the command.
fn during(command: &Command, failure: Failure) -> Failure {
    if failure.is_interrupted() {
        failure
    } else {
        let line = command.line(false);
        failure.prefixed(&format!("{}: ", line.as_str()))
    }
}

/// The commands of an operation where nothing else was done before.
fn from_nothing(plan: &Plan, operation: Operation) -> Vec<Command> {
    match (operation, plan.shunt) {
        (Operation::Up, Some(word)) => vec![plan.eroute("--add", Some(word))],
        (Operation::Up, None) => [plan.claim()].into_iter().chain(plan.up()).collect(),
        (Operation::Down, _) => plan.down(),
        (Operation::Route, _) => vec![plan.claim()],
        (Operation::Unroute, _) => vec![plan.unroute()],
    }
}

const fn doing(operation: Operation) -> &'static str {
    match operation {
        Operation::Up => "bring up",
        Operation::Down => "take down",
        Operation::Route => "route",
        Operation::Unroute => "unroute",
    }
}

/// Something else takes its packets.
fn occupied(plan: &Plan, to: &str) -> Failure {
    Failure::refused(format!(
        "conn {}: the eroute {} leads to {to}, which is not of this connection.  Take that down first, \
         or delete it: ipsec eroute --del.",
        plan.name,
        Packets(&plan.selector)
    ))
    .because(Reason::Exists)
}

/// The program that has the commands.
fn called(program: &Program) -> &str {
    match program.called_by() {
        "manual" | "ipsec_manual" => "ipsec",
        name => name,
    }
}

fn show(asked: &Asked, program: &Program, command: &Command, console: &mut Console<'_>) {
    if asked.mode == Mode::Show {
        let (program, line) = (called(program), command.line(false));
        // Nothing depends on it, and there is no other place to say so.
        let _ = writeln!(console.err, "+ {program} {}", line.as_str());
    }
}
