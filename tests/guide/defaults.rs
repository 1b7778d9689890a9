//! `docs/05-defaults.md` against the settings.
//!
//! The page is what is read: each default in it is given to its setter, and must change nothing; something
//! else must change something. So a row cannot be wrong, and none can be missing.

use super::read;
use keepalive::server::KeepAliveField;
use keepalive::{client, server};
use std::time::Duration;

/// A default, as the page writes it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Time(Duration),
    Forever,
    Count(u32),
    Rate(u32),
    No,
    Field(KeepAliveField),
}

impl Value {
    fn parse(text: &str) -> Self {
        if let Some((number, unit)) = text.split_once(' ')
            && let Ok(n) = number.parse::<u32>()
        {
            return match unit {
                "s" => Self::Time(Duration::from_secs(n.into())),
                "h" => Self::Time(Duration::from_secs(u64::from(n) * 3600)),
                "KiB" => Self::Count(n * 1024),
                "MiB" => Self::Count(n * 1024 * 1024),
                "B/s" => Self::Rate(n),
                _ => panic!("a unit in {text}"),
            };
        }
        match text {
            "for ever" => Self::Forever,
            "no" => Self::No,
            "`OnOption`" => Self::Field(KeepAliveField::OnOption),
            n => Self::Count(n.parse().unwrap_or_else(|_| panic!("a value: {n}"))),
        }
    }

    /// Something else.
    fn other(self) -> Self {
        match self {
            Self::Time(d) => Self::Time(d + Duration::from_millis(10)),
            Self::Forever => Self::Time(Duration::from_secs(1)),
            Self::Count(n) => Self::Count(n + 1),
            Self::Rate(n) => Self::Rate(n + 1),
            Self::No => Self::No, // see `on`
            Self::Field(_) => Self::Field(KeepAliveField::Always),
        }
    }

    fn time(self) -> Duration {
        let Self::Time(d) = self else { panic!("no duration: {self:?}") };
        d
    }

    fn maybe(self) -> Option<Duration> {
        if self == Self::Forever { None } else { Some(self.time()) }
    }

    fn count(self) -> u32 {
        let (Self::Count(n) | Self::Rate(n)) = self else { panic!("no number: {self:?}") };
        n
    }

    fn small(self) -> u16 {
        self.count().try_into().expect("at most 64 KiB")
    }
}

/// Prose is wrapped anywhere.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Row {
    name: String,
    default: String,
    values: Vec<Value>,
}

fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {title}\n")).expect("a section");
    rest.split("\n## ").next().expect("a section")
}

fn rows(text: &str) -> Vec<Row> {
    let cells = |l: &str| l.split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().filter(|l| l.starts_with("| `")).map(cells).map(|cells| Row {
        name: cells[0].trim_matches(['|', ' ', '`']).to_owned(),
        default: cells[1].clone(),
        values: cells[1].split(", ").map(Value::parse).collect(),
    });
    rows.collect()
}

/// The setters in a source file, each with its docstring in one line.
fn setters(file: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut doc = String::new();
    for line in read(file).lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc += text;
        } else if let Some(rest) = line.strip_prefix("pub const fn ")
            && let Some((name, arguments)) = rest.split_once('(')
            && (arguments.starts_with("mut self,") || arguments.starts_with("self, on: bool"))
        {
            found.push((name.to_owned(), std::mem::take(&mut doc)));
        } else if !line.starts_with('#') {
            doc.clear();
        }
    }
    found
}

/// Everything that is said about one role.
fn hold<C: Copy + PartialEq + std::fmt::Debug>(
    title: &str,
    file: &str,
    default: C,
    set: impl Fn(C, &str, &[Value]) -> C,
    on: impl Fn(C, &str) -> C,
) -> usize {
    let page = read("docs/05-defaults.md");
    let rows = rows(section(&page, title));
    let setters = setters(file);
    let mut documented: Vec<&String> = rows.iter().map(|r| &r.name).collect();
    let mut existing: Vec<&String> = setters.iter().map(|s| &s.0).collect();
    documented.sort();
    existing.sort();
    assert_eq!(documented, existing, "settings in the page, and in {file}");
    for row in &rows {
        let name = row.name.as_str();
        let doc = &setters.iter().find(|s| s.0 == row.name).expect("a setter").1;
        if row.values == [Value::No] {
            assert_ne!(on(default, name), default, "{name} has no effect");
            continue;
        }
        assert_eq!(set(default, name, &row.values), default, "the default of {name}");
        for n in 0..row.values.len() {
            let mut values = row.values.clone();
            values[n] = values[n].other();
            assert_ne!(set(default, name, &values), default, "{name} has no effect");
        }
        // The docstring says the same.
        if !matches!(row.values[0], Value::Field(_)) {
            let said = row.default.replace(", ", " and ");
            let fine = [format!("Default {said}"), format!("Default: {said}")];
            assert!(fine.iter().any(|text| doc.contains(text)), "{name}: {said}; but: {doc}");
        }
    }
    rows.len()
}

#[test]
fn each_setting_of_a_server_has_the_default_that_is_documented() {
    use server::Config;
    let set = |c: Config, name: &str, v: &[Value]| match name {
        "head" => c.head(v[0].time()),
        "idle" => c.idle(v[0].time()),
        "grace" => c.grace(v[0].time()),
        "content_stall" => c.content_stall(v[0].time()),
        "min_rate" => c.min_rate(v[0].time(), v[1].count()),
        "request_total" => c.request_total(v[0].maybe()),
        "write_stall" => c.write_stall(v[0].time()),
        "lifetime" => c.lifetime(v[0].maybe()),
        "linger" => c.linger(v[0].time(), v[1].time()),
        "min_idle" => c.min_idle(v[0].time()),
        "hard_stop" => c.hard_stop(v[0].time()),
        "max_requests" => c.max_requests(v[0].count()),
        "max_head" => c.max_head(v[0].small()),
        "max_trailers" => c.max_trailers(v[0].small()),
        "max_target" => c.max_target(v[0].small()),
        "max_fields" => c.max_fields(v[0].small()),
        "discard" => c.discard(v[0].count()),
        "keep_alive_field" => match v[0] {
            Value::Field(field) => c.keep_alive_field(field),
            _ => panic!("{v:?}"),
        },
        _ => panic!("no such setting: {name}"),
    };
    let on = |c: Config, name: &str| match name {
        "tolerate_coding_with_length" => c.tolerate_coding_with_length(true),
        "refuse_empty_host" => c.refuse_empty_host(true),
        "refuse_other_expectations" => c.refuse_other_expectations(true),
        "echo_version" => c.echo_version(true),
        "connect_waits" => c.connect_waits(true),
        "abort_on_eof" => c.abort_on_eof(true),
        "heed_proxy_connection" => c.heed_proxy_connection(true),
        _ => panic!("no such switch: {name}"),
    };
    assert_eq!(hold("Server", "src/server/config.rs", Config::default(), set, on), 25);
    assert_eq!(Config::default(), Config::origin());
}

#[test]
fn each_setting_of_a_client_has_the_default_that_is_documented() {
    use client::Config;
    let set = |c: Config, name: &str, v: &[Value]| match name {
        "head_wait" => c.head_wait(v[0].time()),
        "content_stall" => c.content_stall(v[0].time()),
        "write_stall" => c.write_stall(v[0].time()),
        "continue_wait" => c.continue_wait(v[0].time()),
        "lifetime" => c.lifetime(v[0].maybe()),
        "idle" => c.idle(v[0].time()),
        "timeout_cap" => c.timeout_cap(v[0].time()),
        "margin" => c.margin(v[0].time()),
        "discard" => c.discard(v[0].count(), v[1].time()),
        "early_finish" => c.early_finish(v[0].count()),
        "max_head" => c.max_head(v[0].small()),
        "max_trailers" => c.max_trailers(v[0].small()),
        "max_fields" => c.max_fields(v[0].small()),
        _ => panic!("no such setting: {name}"),
    };
    let on = |c: Config, name: &str| match name {
        "http10" => c.http10(true),
        "one_shot" => c.one_shot(true),
        "pipeline" => c.pipeline(true),
        "tolerate_coding_with_length" => c.tolerate_coding_with_length(true),
        "raw_codings" => c.raw_codings(true),
        "accept_bare_lf" => c.accept_bare_lf(true),
        "unfold" => c.unfold(true),
        "strict_keep_alive" => c.strict_keep_alive(true),
        "gateway" => c.gateway(true),
        "retry_fresh" => c.retry_fresh(true),
        "doubt_close" => c.doubt_close(true),
        _ => panic!("no such switch: {name}"),
    };
    assert_eq!(hold("Client", "src/client/config.rs", Config::default(), set, on), 24);
    assert_eq!(Config::default(), Config::direct());
}

/// What the page says of how values are kept.
#[test]
fn short_spans_end_where_it_is_said() {
    let page = read("docs/05-defaults.md");
    assert!(in_one_line(&page).contains("at most 655.35 s"));
    let (most, more) = (Duration::from_millis(655_350), Duration::from_secs(10_000));
    let below = most - Duration::from_millis(10);
    let s = server::Config::origin();
    let server: [(&str, &dyn Fn(Duration) -> server::Config); 5] = [
        ("grace", &|d| s.grace(d)),
        ("linger", &|d| s.linger(d, d)),
        ("min_idle", &|d| s.min_idle(d)),
        ("hard_stop", &|d| s.hard_stop(d)),
        ("min_rate", &|d| s.min_rate(d, 1)),
    ];
    for (name, set) in server {
        assert!(set(most) == set(more) && set(most) != set(below), "{name}");
    }
    let c = client::Config::direct();
    let client: [(&str, &dyn Fn(Duration) -> client::Config); 3] = [
        ("continue_wait", &|d| c.continue_wait(d)),
        ("margin", &|d| c.margin(d)),
        ("discard", &|d| c.discard(0, d)),
    ];
    for (name, set) in client {
        assert!(set(most) == set(more) && set(most) != set(below), "{name}");
    }
    // The others are not.
    assert_ne!(s.idle(most), s.idle(more));
    assert_eq!(s.head(Duration::from_secs(50 * 86_400)), s.head(Duration::MAX));
    assert_ne!(s.head(Duration::from_secs(49 * 86_400)), s.head(Duration::MAX));
}

#[test]
fn bounds_that_are_no_settings_are_those_of_the_source() {
    let page = read("docs/05-defaults.md");
    let bounds = section(&page, "Bounds that are no settings");
    // Defaults of settings, which are held above.
    let settings = [
        "HEAD",
        "TARGET",
        "REQUEST_FIELDS",
        "RESPONSE_FIELDS",
        "TRAILERS",
        "REQUESTS",
        "DISCARD",
        "CLIENT_DISCARD",
        "EARLY_FINISH",
    ];
    let mut held = 0;
    for line in read("src/limits.rs").lines() {
        let Some(rest) = line.strip_prefix("pub(crate) const ") else { continue };
        let (name, rest) = rest.split_once(": ").expect("a type");
        let value = rest.split_once(" = ").expect("a value").1.trim_end_matches(';');
        if settings.contains(&name) {
            continue;
        }
        let row = bounds.lines().find(|l| l.contains(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the page"));
        let said = row.split(" | ").nth(1).expect("a value");
        let number =
            |text: &str| text.split(" * ").map(|n| n.parse::<u64>().expect("a number")).product();
        let (said, value): (u64, u64) = match said {
            "2^63−1" => {
                (i64::MAX as u64, if value == "i64::MAX as u64" { i64::MAX as u64 } else { 0 })
            }
            said => match Value::parse(said) {
                Value::Count(n) => (n.into(), number(value)),
                other => panic!("{name}: {other:?}"),
            },
        };
        assert_eq!(said, value, "{name}");
        held += 1;
    }
    assert_eq!(held, bounds.lines().filter(|l| l.starts_with("| ") && l.contains("| `")).count());
    // Four spans that stand in prose.
    let spans = [
        ("the linger is 2 s", "src/server/config.rs", "linger_short: Tick::secs(2)"),
        ("1 s, since nothing but", "src/teardown.rs", "const BRIEF: Span = Span::secs(1)"),
        ("kept for 15 s", "src/client/mod.rs", "const UNUSED: Span = Span::secs(15)"),
        ("is 10 ms", "src/client/mod.rs", "const IMMEDIATE: Span = Span::millis(10)"),
    ];
    for (said, file, code) in spans {
        assert!(in_one_line(bounds).contains(said), "the page does not say: {said}");
        assert!(read(file).contains(code), "{file} does not say: {code}");
    }
}
