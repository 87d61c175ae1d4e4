// SPDX-License-Identifier: GPL-2.0

//! Sources that have every mutant, each behind its switch.

use crate::list::{Genre, Mutant};
use anyhow::{Context, Result};
use proc_macro2::Span;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    ops::Range,
};
use syn::{
    Arm, ExprBinary, ExprMatch, ExprRepeat, ExprStruct, ExprUnary, ImplItemConst, ImplItemFn,
    ItemConst, ItemFn, ItemStatic, Signature, TraitItemConst, TraitItemFn, TypeArray,
    spanned::Spanned,
    visit::{self, Visit},
};

/// A mutant by its number in the list.
pub type Number = usize;

/// A file with its mutants.
pub struct Woven {
    pub text: String,
    /// What of the text is which mutant's alone.
    pub pieces: Vec<(Range<usize>, Number)>,
    /// What has a switch that a constant's evaluation would not look at.
    pub in_const: Vec<Number>,
}

/// What is done at a place.
enum Edit {
    /// Statements before it.
    Returns(Vec<(Number, String)>),
    /// One of these in the place of the iterator that a function makes.
    Iterates(Vec<(Number, String)>),
    /// A guard for an arm that has none.
    Guard(Number),
    /// Nothing: here is what the compiler points at if nothing is left but arms with these guards.
    Guarded(Vec<Number>),
    /// One of these in the place of an expression.
    Instead(Vec<(Number, String)>),
}

/// In the order of the text, what is outside before what is in it.
type Key = (usize, Reverse<usize>);

struct Finder<'a> {
    text: &'a str,
    /// By genre apart from values of functions, the place that a mutant replaces.
    wanted: HashMap<Range<usize>, Vec<(Number, &'a Mutant)>>,
    edits: BTreeMap<Key, Edit>,
    const_functions: Vec<Range<usize>>,
}

/// Puts these mutants into the text of their file.
pub fn weave(text: &str, mutants: &[(Number, &Mutant)]) -> Result<Woven> {
    let mut finder = Finder {
        text,
        wanted: HashMap::new(),
        edits: BTreeMap::new(),
        const_functions: Vec::new(),
    };
    for &(number, mutant) in mutants {
        let place = mutant.place(text);
        match &mutant.function {
            // In a constant.
            None => (),
            // The type is whatever is returned, which can be one only.
            Some(function)
                if mutant.genre == Genre::FnValue
                    && function.return_type.contains("impl Iterator") =>
            {
                let key = (place.start, Reverse(place.end));
                let edit = finder.edits.entry(key);
                if let Edit::Iterates(all) = edit.or_insert(Edit::Iterates(Vec::new())) {
                    all.push((number, mutant.replacement.clone()));
                }
            }
            Some(_) if mutant.genre == Genre::FnValue => {
                let key = (place.start, Reverse(usize::MAX));
                let edit = finder.edits.entry(key).or_insert(Edit::Returns(Vec::new()));
                if let Edit::Returns(returns) = edit {
                    returns.push((number, format!("return {};", mutant.replacement)));
                }
            }
            Some(_) => finder
                .wanted
                .entry(place)
                .or_default()
                .push((number, mutant)),
        }
    }
    finder.visit_file(&syn::parse_file(text)?);

    let in_const = mutants.iter().filter(|(_, mutant)| {
        let place = mutant.place(text);
        finder
            .const_functions
            .iter()
            .any(|function| function.contains(&place.start))
    });
    let in_const = in_const.map(|&(number, _)| number).collect();
    let mut writer = Writer {
        text,
        edits: finder.edits,
        out: String::new(),
        pieces: Vec::new(),
    };
    writer.write(0..text.len());
    Ok(Woven {
        text: writer.out,
        pieces: writer.pieces,
        in_const,
    })
}

impl Finder<'_> {
    /// Has the mutants at `place` change the expression `whole`, of which it is a part.
    fn instead(&mut self, whole: Span, place: Range<usize>, genres: &[Genre]) {
        let whole = whole.byte_range();
        let wanted = self.wanted.remove(&place).unwrap_or_default();
        let (found, others) = wanted
            .into_iter()
            .partition::<Vec<_>, _>(|(_, mutant)| genres.contains(&mutant.genre));
        self.wanted.insert(place.clone(), others);
        if found.is_empty() {
            return;
        }
        let key = (whole.start, Reverse(whole.end));
        let edit = self.edits.entry(key).or_insert(Edit::Instead(Vec::new()));
        let Edit::Instead(all) = edit else {
            return;
        };
        for (number, mutant) in found {
            let (before, after) = (
                &self.text[whole.start..place.start],
                &self.text[place.end..whole.end],
            );
            all.push((number, format!("{before}{}{after}", mutant.replacement)));
        }
    }

    fn function(&mut self, signature: &Signature, whole: Span) {
        if signature.constness.is_some() {
            self.const_functions.push(whole.byte_range());
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    // What is in a constant gets no switch.
    fn visit_item_const(&mut self, _: &'ast ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast ImplItemConst) {}

    fn visit_trait_item_const(&mut self, _: &'ast TraitItemConst) {}

    fn visit_item_static(&mut self, _: &'ast ItemStatic) {}

    fn visit_type_array(&mut self, _: &'ast TypeArray) {}

    fn visit_expr_repeat(&mut self, node: &'ast ExprRepeat) {
        // How often is a constant, too.
        self.visit_expr(&node.expr);
    }

    fn visit_item_fn(&mut self, node: &'ast ItemFn) {
        self.function(&node.sig, node.span());
        visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast ImplItemFn) {
        self.function(&node.sig, node.span());
        visit::visit_impl_item_fn(self, node);
    }

    fn visit_trait_item_fn(&mut self, node: &'ast TraitItemFn) {
        self.function(&node.sig, node.span());
        visit::visit_trait_item_fn(self, node);
    }

    fn visit_expr_binary(&mut self, node: &'ast ExprBinary) {
        self.instead(
            node.span(),
            node.op.span().byte_range(),
            &[Genre::BinaryOperator],
        );
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast ExprUnary) {
        self.instead(
            node.span(),
            node.op.span().byte_range(),
            &[Genre::UnaryOperator],
        );
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast ExprStruct) {
        for field in node.fields.pairs() {
            // With its comma.
            let (start, end) = (field.value().span().byte_range(), field.span().byte_range());
            self.instead(node.span(), start.start..end.end, &[Genre::StructField]);
        }
        visit::visit_expr_struct(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast ExprMatch) {
        let arms = node.arms.iter().filter(|arm| arm.guard.is_none());
        let wanted = arms.filter_map(|arm| self.wanted.get(&arm.span().byte_range()));
        let guards = wanted
            .flatten()
            .map(|&(number, _)| number)
            .collect::<Vec<_>>();
        if !guards.is_empty() {
            let key = (node.expr.span().byte_range().start, Reverse(usize::MAX));
            self.edits.insert(key, Edit::Guarded(guards));
        }
        visit::visit_expr_match(self, node);
    }

    fn visit_arm(&mut self, node: &'ast Arm) {
        let arm = node.span().byte_range();
        if let Some((_, guard)) = &node.guard {
            let place = guard.span().byte_range();
            self.instead(guard.span(), place.clone(), &[Genre::MatchArmGuard]);
            // Without its arm: as if the guard were false.
            if let Some(taken) = self.wanted.remove(&arm) {
                let key = (place.start, Reverse(place.end));
                let edit = self.edits.entry(key).or_insert(Edit::Instead(Vec::new()));
                if let Edit::Instead(all) = edit {
                    all.extend(
                        taken
                            .iter()
                            .map(|&(number, _)| (number, "false".to_string())),
                    );
                }
            }
        } else if let Some(taken) = self.wanted.remove(&arm) {
            let end = node.pat.span().byte_range().end;
            for (number, _) in taken {
                self.edits
                    .insert((end, Reverse(usize::MAX)), Edit::Guard(number));
            }
        }
        visit::visit_arm(self, node);
    }
}

struct Writer<'a> {
    text: &'a str,
    edits: BTreeMap<Key, Edit>,
    out: String,
    pieces: Vec<(Range<usize>, Number)>,
}

impl Writer<'_> {
    fn piece(&mut self, number: Number, text: &str) {
        let start = self.out.len();
        self.out.push_str(text);
        self.pieces.push((start..self.out.len(), number));
    }

    /// Writes a part of the text with what is edited in it.
    fn write(&mut self, part: Range<usize>) {
        let mut at = part.start;
        while let Some(next) = self.edits.first_entry() {
            let &(start, Reverse(end)) = next.key();
            if start >= part.end {
                break;
            }
            let edit = next.remove();
            self.out.push_str(&self.text[at..start]);
            at = start;
            match edit {
                Edit::Returns(all) => {
                    for (number, text) in all {
                        self.piece(
                            number,
                            &format!("if crate::switch::on({number}) {{ {text} }}; "),
                        );
                    }
                }
                Edit::Iterates(all) => {
                    for (number, text) in &all {
                        let on = format!("crate::switch::on({number})");
                        self.piece(
                            *number,
                            &format!("crate::switch::instead({on}, || {text}, "),
                        );
                    }
                    self.out.push_str("{ ");
                    self.write(start..end);
                    self.out.push_str(" }");
                    self.out.push_str(&")".repeat(all.len()));
                    at = end;
                }
                Edit::Guard(number) => {
                    self.piece(number, &format!(" if !crate::switch::on({number})"));
                }
                Edit::Guarded(all) => {
                    let here = self.out.len()..self.out.len() + 1;
                    self.pieces
                        .extend(all.into_iter().map(|number| (here.clone(), number)));
                }
                Edit::Instead(all) => {
                    self.out.push('(');
                    for (number, text) in all {
                        let text = format!("if crate::switch::on({number}) {{ {text} }}");
                        self.piece(number, &text);
                        self.out.push_str(" else ");
                    }
                    self.out.push_str("{ ");
                    self.write(start..end);
                    self.out.push_str(" })");
                    at = end;
                }
            }
        }
        self.out.push_str(&self.text[at..part.end]);
    }
}

/// The module that the switches are in, for so many mutants.
pub fn switch(mutants: usize) -> String {
    format!(
        "{}\nconst MUTANTS: usize = {mutants};\n",
        include_str!("switch.rs")
    )
}

/// The root of the crate that gets this module.
pub fn with_switch(root: &str) -> Result<String> {
    // After the comments that belong to the crate.
    let first = root
        .find("\npub mod ")
        .context("There is no module in the crate.")?;
    let (head, tail) = root.split_at(first);
    // Mutants are full of what one is warned of.
    Ok(format!(
        "#![feature(core_intrinsics, const_eval_select)]\n\
        #![allow(warnings, arithmetic_overflow, unconditional_panic)]\n\
        {head}\npub mod switch;{tail}"
    ))
}
