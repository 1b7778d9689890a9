//! The manual, a chapter each: documentation only.
//!
//! It is the text of `docs/` in the repository. What can be compiled in it is compiled and run as a
//! test; what is said about the code is printed from it, or held against it by `tests/guide.rs`.
//!
//! | Chapter | For whom |
//! |---|---|
//! | [Tutorial](tutorial) | who has an empty file, and wants a server in it |
//! | [States](states) | who wants to know what the machine is doing, and why it closes |
//! | [Conformance](conformance) | who holds it against RFC 9112 |
//! | [Vulnerabilities](vulnerabilities) | who holds it against what was done to others |
//! | [Defaults](defaults) | who is about to change a setting |
//! | [Embedding](embedding) | who writes a driver for a runtime |
//! | [Persistence](persistence) | who operates servers |
//! | [Testing](testing) | who wants to see for themselves |

macro_rules! chapters {
    ($($name:ident $page:literal $title:literal)*) => {$(
        #[doc = concat!($title, ".\n\n", links!())]
        #[cfg_attr(feature = "std", doc = include_str!(concat!("../docs/", $page)))]
        pub mod $name {}
    )*};
}

// Each chapter's links to the others are defined twice: in the page, for those who read the files, and
// before it here. The first definition of a link counts.
macro_rules! links {
    () => {
        "[tutorial]: crate::guide::tutorial
[states]: crate::guide::states
[conformance]: crate::guide::conformance
[vulnerabilities]: crate::guide::vulnerabilities
[defaults]: crate::guide::defaults
[embedding]: crate::guide::embedding
[persistence]: crate::guide::persistence
[testing]: crate::guide::testing

"
    };
}

// With `std` only, since that is what the programs in them need.
chapters! {
    tutorial "01-tutorial.md" "Chapter 1: a server from an empty file"
    states "02-states.md" "Chapter 2: what the machine is doing, and why it closes"
    conformance "03-conformance.md" "Chapter 3: RFC 9112, requirement by requirement"
    vulnerabilities "04-vulnerabilities.md" "Chapter 4: attacks on others, and what becomes of them"
    defaults "05-defaults.md" "Chapter 5: each setting, why it is so, and what it risks"
    embedding "06-embedding.md" "Chapter 6: drivers for all runtimes"
    persistence "07-persistence.md" "Chapter 7: connections that are kept, for those who operate servers"
    testing "08-testing.md" "Chapter 8: what shows that all this is true, and how to test a driver"
}
