//! Places in a text where something else is written, one within another; and the text that results.

/// What is written at a place.
pub enum What {
    /// One of these texts if its number is asked for, else what stood there: an expression.
    Either(Vec<(u64, String)>),
    /// Returns one of these at once if its number is asked for. At the beginning of a body.
    Return(Vec<(u64, String)>),
    /// No guard stood there; now the arm is not taken if its number is asked for.
    Unless(u64),
    /// Nothing.
    Nothing,
}

/// A place, in octets of the text.
pub struct Site {
    pub begin: usize,
    pub end: usize,
    pub what: What,
}

/// A place with those within it.
pub struct Node {
    begin: usize,
    end: usize,
    site: Option<Site>,
    within: Vec<Node>,
}

impl Node {
    /// All places of a text of this length.
    pub fn tree(mut sites: Vec<Site>, len: usize) -> Self {
        // A stable sort: of two places that are the same, the first is the outer one.
        sites.sort_by_key(|s| (s.begin, std::cmp::Reverse(s.end)));
        let mut stack = vec![Self { begin: 0, end: len, site: None, within: Vec::new() }];
        let close = |stack: &mut Vec<Self>| {
            let done = stack.pop().expect("one more");
            stack.last_mut().expect("the root").within.push(done);
        };
        for site in sites {
            while stack.len() > 1
                && stack.last().is_some_and(|s| s.end < site.end || s.end <= site.begin)
            {
                close(&mut stack);
            }
            let (begin, end) = (site.begin, site.end);
            stack.push(Self { begin, end, site: Some(site), within: Vec::new() });
        }
        while stack.len() > 1 {
            close(&mut stack);
        }
        stack.pop().expect("the root")
    }
}

/// A mutant in what was written: its number, where it stands, and what it is a part of.
type Place = (u64, usize, usize, (usize, usize));

/// Writes a place; notes where its mutants stand.
pub fn render(node: &Node, text: &str, out: &mut String, found: &mut Vec<Place>) {
    let first = found.len();
    let begin = out.len();
    let mut ids = Vec::new();
    match node.site.as_ref().map(|s| &s.what) {
        None => inner(node, text, out, found),
        Some(What::Nothing) => {}
        Some(What::Unless(id)) => {
            out.push_str(" if !");
            let from = out.len();
            out.push_str(&format!("crate::mutation::is({id})"));
            ids.push((*id, from, out.len()));
        }
        Some(What::Return(values)) => {
            for (id, value) in values {
                out.push_str(&format!(" if crate::mutation::is({id}) {{ "));
                let from = out.len();
                out.push_str(&format!("return {value};"));
                ids.push((*id, from, out.len()));
                out.push_str(" }");
            }
        }
        Some(What::Either(values)) => {
            out.push('(');
            for (id, value) in values {
                out.push_str(&format!("if crate::mutation::is({id}) {{ "));
                let from = out.len();
                out.push_str(value);
                ids.push((*id, from, out.len()));
                out.push_str(" } else ");
            }
            out.push_str("{ ");
            inner(node, text, out, found);
            out.push_str(" })");
        }
    }
    let outer = (begin, out.len());
    found.splice(first..first, ids.into_iter().map(|(id, from, to)| (id, from, to, outer)));
}

fn inner(node: &Node, text: &str, out: &mut String, found: &mut Vec<Place>) {
    let mut at = node.begin;
    for child in &node.within {
        out.push_str(&text[at..child.begin]);
        render(child, text, out, found);
        at = child.end;
    }
    out.push_str(&text[at..node.end]);
}
