//! Where in a file its mutants go, and which functions are no longer `const`.

use crate::Mutant;
use crate::schema::{Site, What};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, HashSet};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, Signature};

pub struct Sites<'a> {
    text: &'a str,
    keep: &'a HashSet<String>,
    /// By the octet they begin at.
    open: BTreeMap<usize, Vec<&'a Mutant>>,
    /// The type whose functions are being read.
    of: Option<String>,
    /// Within what is evaluated while compiling.
    constant: bool,
    pub sites: Vec<Site>,
    /// What is not there, and why.
    pub left: Vec<(u64, &'static str)>,
}

fn range(node: &impl Spanned) -> (usize, usize) {
    let range = node.span().byte_range();
    (range.start, range.end)
}

/// `let` within a chain must not be taken out of it.
fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(e) => has_let(&e.left) || has_let(&e.right),
        _ => false,
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let test = |a: &Attribute| {
        a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|i| i == "test")
    };
    attributes.iter().any(test)
}

impl<'a> Sites<'a> {
    pub fn of(
        tree: &syn::File,
        text: &'a str,
        mutants: &'a [Mutant],
        keep: &'a HashSet<String>,
    ) -> Self {
        let mut open: BTreeMap<usize, Vec<&Mutant>> = BTreeMap::new();
        for mutant in mutants {
            open.entry(mutant.begin).or_default().push(mutant);
        }
        let (sites, left) = (Vec::new(), Vec::new());
        let mut all = Self { text, keep, open, of: None, constant: false, sites, left };
        all.visit_file(tree);
        let lost: Vec<u64> = all.open.values().flatten().map(|m| m.id).collect();
        all.left.extend(lost.into_iter().map(|id| (id, "no place")));
        all
    }

    /// The mutants of these kinds that begin and end so; those that cannot be placed are left out.
    fn take(&mut self, begin: usize, end: usize, genre: &str) -> Vec<&'a Mutant> {
        let Some(here) = self.open.get_mut(&begin) else { return Vec::new() };
        let (taken, rest) = here.iter().partition(|m| m.end == end && m.genre == genre);
        *here = rest;
        let taken: Vec<&Mutant> = taken;
        if self.constant {
            self.left.extend(taken.iter().map(|m| (m.id, "constant")));
            return Vec::new();
        }
        taken
    }

    fn either(&mut self, (begin, end): (usize, usize), values: Vec<(u64, String)>) {
        if !values.is_empty() {
            self.sites.push(Site { begin, end, what: What::Either(values) });
        }
    }

    /// The name that errors of the compiler call a function by, as far as it is needed.
    fn name(&self, name: &str) -> String {
        self.of.as_ref().map_or(name.to_owned(), |of| format!("{of}::{name}"))
    }

    fn function(
        &mut self,
        signature: &Signature,
        block: Option<&Block>,
        read: impl FnOnce(&mut Self),
    ) {
        let before = self.constant;
        self.constant = false;
        if let Some(word) = signature.constness {
            if self.keep.contains(&self.name(&signature.ident.to_string())) {
                self.constant = true;
            } else {
                self.strip(range(&word));
            }
        }
        if let Some(block) = block {
            self.body(block);
        }
        read(self);
        self.constant = before;
    }

    fn strip(&mut self, (begin, end): (usize, usize)) {
        self.sites.push(Site { begin, end, what: What::Nothing });
    }

    /// A mutant that replaces a body is named by its first and last statement.
    fn body(&mut self, block: &Block) {
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else { return };
        let (begin, end) = (range(first).0, range(last).1);
        let values = self.take(begin, end, "FnValue");
        if values.is_empty() {
            return;
        }
        let at = range(&block.brace_token.span.open()).1;
        let values = values.into_iter().map(|m| (m.id, m.replacement.clone())).collect();
        self.sites.push(Site { begin: at, end: at, what: What::Return(values) });
    }

    /// What is declared by macros may be `const`, too.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut word = None;
        let mut ready = None;
        for token in tokens {
            if let TokenTree::Group(group) = &token {
                self.tokens(group.stream());
            }
            let TokenTree::Ident(ident) = token else {
                (word, ready) = (None, None);
                continue;
            };
            if let Some(span) = ready.take() {
                // Which type it belongs to cannot be known here.
                let last = |k: &String| k.rsplit("::").next().is_some_and(|k| ident == k);
                if !self.keep.iter().any(last) {
                    self.strip(span);
                }
            } else if ident == "const" {
                word = Some(range(&ident));
            } else if ident == "fn" {
                ready = word.take();
            }
        }
    }

    /// The conditions of a table's rows are expressions, though within a macro.
    fn rows(&mut self, (begin, end): (usize, usize)) {
        let mut found: BTreeMap<(usize, usize), Vec<(u64, String)>> = BTreeMap::new();
        for here in self.open.range_mut(begin..end).map(|(_, here)| here) {
            for mutant in here.extract_if(.., |m| m.genre == "Row") {
                let values = found.entry((mutant.begin, mutant.end)).or_default();
                values.push((mutant.id, mutant.replacement.clone()));
            }
        }
        for (place, values) in found {
            self.either(place, values);
        }
    }

    fn within_constant(&mut self, read: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.constant, true);
        read(self);
        self.constant = before;
    }
}

impl Visit<'_> for Sites<'_> {
    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        let of = self.of.take();
        self.function(&item.sig, Some(&item.block), |s| visit::visit_block(s, &item.block));
        self.of = of;
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.function(&item.sig, Some(&item.block), |s| visit::visit_block(s, &item.block));
    }

    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        self.function(&item.sig, item.default.as_ref(), |s| visit::visit_trait_item_fn(s, item));
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()),
            _ => None,
        };
        let before = std::mem::replace(&mut self.of, name);
        visit::visit_item_impl(self, item);
        self.of = before;
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_macro(&mut self, item: &syn::Macro) {
        if item.path.is_ident("table") {
            self.rows(range(item));
        }
        self.tokens(item.tokens.clone());
    }

    fn visit_item_const(&mut self, item: &syn::ItemConst) {
        self.within_constant(|s| visit::visit_item_const(s, item));
    }

    fn visit_impl_item_const(&mut self, item: &syn::ImplItemConst) {
        self.within_constant(|s| visit::visit_impl_item_const(s, item));
    }

    fn visit_trait_item_const(&mut self, item: &syn::TraitItemConst) {
        self.within_constant(|s| visit::visit_trait_item_const(s, item));
    }

    fn visit_item_static(&mut self, item: &syn::ItemStatic) {
        self.within_constant(|s| visit::visit_item_static(s, item));
    }

    fn visit_expr_const(&mut self, item: &syn::ExprConst) {
        self.within_constant(|s| visit::visit_expr_const(s, item));
    }

    fn visit_type_array(&mut self, item: &syn::TypeArray) {
        self.within_constant(|s| visit::visit_type_array(s, item));
    }

    fn visit_expr_repeat(&mut self, item: &syn::ExprRepeat) {
        self.visit_expr(&item.expr);
        self.within_constant(|s| s.visit_expr(&item.len));
    }

    fn visit_variant(&mut self, item: &syn::Variant) {
        self.within_constant(|s| visit::visit_variant(s, item));
    }

    fn visit_expr_binary(&mut self, expr: &syn::ExprBinary) {
        let (begin, end) = range(&expr.op);
        let taken = self.take(begin, end, "BinaryOperator");
        let chain = has_let(&expr.left) || has_let(&expr.right);
        if chain {
            self.left.extend(taken.iter().map(|m| (m.id, "chain")));
        } else {
            let part = |node: &Expr| {
                let (begin, end) = range(node);
                &self.text[begin..end]
            };
            let (left, right) = (part(&expr.left), part(&expr.right));
            let values =
                taken.iter().map(|m| (m.id, format!("({left}) {} ({right})", m.replacement)));
            let values = values.collect();
            self.either(range(expr), values);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &syn::ExprUnary) {
        let (begin, end) = range(&expr.op);
        let taken = self.take(begin, end, "UnaryOperator");
        let operand = range(&expr.expr);
        let operand = &self.text[operand.0..operand.1];
        let values =
            taken.iter().map(|m| (m.id, format!("{}({operand})", m.replacement))).collect();
        self.either(range(expr), values);
        visit::visit_expr_unary(self, expr);
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        let begin = range(arm).0;
        let ends: Vec<usize> = self.open.get(&begin).into_iter().flatten().map(|m| m.end).collect();
        let mut gone = Vec::new();
        for end in ends {
            gone.extend(self.take(begin, end, "MatchArm"));
        }
        if let Some((_, guard)) = &arm.guard {
            let (begin, end) = range(guard);
            let mut values: Vec<(u64, String)> =
                gone.iter().map(|m| (m.id, "false".to_owned())).collect();
            let taken = self.take(begin, end, "MatchArmGuard");
            values.extend(taken.iter().map(|m| (m.id, m.replacement.clone())));
            self.either((begin, end), values);
        } else if let [one] = gone.as_slice() {
            let at = range(&arm.pat).1;
            self.sites.push(Site { begin: at, end: at, what: What::Unless(one.id) });
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expr: &syn::ExprStruct) {
        let mut values = Vec::new();
        let (begin, end) = range(expr);
        for field in &expr.fields {
            let (from, to) = range(field);
            for m in self.take(from, to, "StructField") {
                let before = &self.text[begin..from];
                let after = self.text[to..end].trim_start().trim_start_matches(',');
                values.push((m.id, format!("{before}{after}")));
            }
            // The span may reach over the comma.
            let ends: Vec<usize> =
                self.open.get(&from).into_iter().flatten().map(|m| m.end).collect();
            for to in ends {
                for m in self.take(from, to, "StructField") {
                    let after = self.text[to..end].trim_start().trim_start_matches(',');
                    values.push((m.id, format!("{}{after}", &self.text[begin..from])));
                }
            }
        }
        self.either((begin, end), values);
        visit::visit_expr_struct(self, expr);
    }
}
