//! What is compared, and what is wanted of it. The goals stand here and nowhere else.

mod content;
mod cycles;
mod drip;
mod heads;
mod idle;
mod memory;
mod out;

use crate::measure::Groups;

/// What is wanted of a row.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Nothing: it is told for comparison.
    None,
    /// Ours divided by theirs is at most this.
    Ratio(f64),
    /// Theirs divided by ours is at least this.
    Faster(f64),
    /// Ours is at most this, in the row's unit.
    Most(f64),
}

/// Ours and theirs, where they are known.
pub type Measured = (Option<f64>, Option<f64>);

/// Which measurement a row rests on: group, input, side.
pub type Needs = (&'static str, &'static str, &'static str);

/// One line of the table.
pub struct Row {
    pub what: &'static str,
    pub input: &'static str,
    pub peer: &'static str,
    pub unit: &'static str,
    pub goal: Goal,
    pub needs: Vec<Needs>,
    pub value: Box<dyn Fn(&Groups) -> Measured>,
}

impl Row {
    /// Two sides compared: the usual case.
    pub fn pair(
        what: &'static str,
        ours: Needs,
        theirs: Needs,
        peer: &'static str,
        goal: Goal,
    ) -> Self {
        let value =
            move |g: &Groups| (g.ns(ours.0, ours.1, ours.2), g.ns(theirs.0, theirs.1, theirs.2));
        Self {
            what,
            input: ours.1,
            peer,
            unit: "ns",
            goal,
            needs: vec![ours, theirs],
            value: Box::new(value),
        }
    }

    /// One side held against a bound.
    pub fn alone(what: &'static str, ours: Needs, goal: Goal) -> Self {
        let value = move |g: &Groups| (g.ns(ours.0, ours.1, ours.2), None);
        Self {
            what,
            input: ours.1,
            peer: "",
            unit: "ns",
            goal,
            needs: vec![ours],
            value: Box::new(value),
        }
    }

    /// Something that is not a time, or is computed.
    pub fn value(
        what: &'static str,
        input: &'static str,
        peer: &'static str,
        unit: &'static str,
        goal: Goal,
        value: impl Fn(&Groups) -> Measured + 'static,
    ) -> Self {
        Self { what, input, peer, unit, goal, needs: Vec::new(), value: Box::new(value) }
    }

    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub fn needs(mut self, needs: impl IntoIterator<Item = Needs>) -> Self {
        self.needs.extend(needs);
        self
    }
}

/// Everything.
pub fn all() -> (Groups, Vec<Row>) {
    let (mut groups, mut rows) = (Groups::default(), Vec::new());
    heads::add(&mut groups, &mut rows);
    cycles::add(&mut groups, &mut rows);
    content::add(&mut groups, &mut rows);
    drip::add(&mut groups, &mut rows);
    out::add(&mut groups, &mut rows);
    memory::add(&mut rows);
    idle::add(&mut rows);
    // By what is measured, in the order in which it was first named.
    let order: Vec<&str> = rows.iter().map(|r| r.what).collect();
    rows.sort_by_key(|r| order.iter().position(|w| *w == r.what));
    (groups, rows)
}

/// Leaves out what no row needs.
pub fn prune(groups: &mut Groups, rows: &[Row]) {
    for group in &mut groups.0 {
        let (what, input) = (group.what, group.input);
        group.sides.retain(|s| rows.iter().any(|r| r.needs.contains(&(what, input, s.name))));
    }
    groups.0.retain(|g| !g.sides.is_empty());
}
