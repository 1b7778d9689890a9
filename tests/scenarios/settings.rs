//! Settings by name, as the `config:` lines of the case files have them.

use super::case::instant;
use keepalive::client;
use keepalive::server::{self, KeepAliveField};
use std::time::Duration;

fn millis(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_micros(instant(text)?.as_micros()))
}

fn optional(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" { Ok(None) } else { millis(text).map(Some) }
}

pub(crate) fn int<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    text.split_once('/').ok_or_else(|| format!("not A/B: {text}"))
}

pub(crate) fn server_config(words: &[String]) -> Result<server::Config, String> {
    let mut c = server::Config::origin();
    for word in words {
        let (name, v) = word.split_once('=').unwrap_or((word, ""));
        c = match name {
            "proxy" => server::Config::proxy(),
            // The client-facing side of a gateway is an origin (RFC 9110 §3.7).
            "gateway" => server::Config::origin(),
            "head" => c.head(millis(v)?),
            "idle" => c.idle(millis(v)?),
            "grace" => c.grace(millis(v)?),
            "content_stall" => c.content_stall(millis(v)?),
            "min_rate" if v == "off" => c.min_rate(Duration::from_secs(20), 0),
            "min_rate" => {
                let (grace, rate) = pair(v)?;
                c.min_rate(millis(grace)?, int(rate)?)
            }
            "request_total" => c.request_total(optional(v)?),
            "write_stall" => c.write_stall(millis(v)?),
            "lifetime" => c.lifetime(optional(v)?),
            "linger" => {
                let (quiet, total) = pair(v)?;
                c.linger(millis(quiet)?, millis(total)?)
            }
            "min_idle" => c.min_idle(millis(v)?),
            "hard_stop" => c.hard_stop(millis(v)?),
            "max_requests" => c.max_requests(int(v)?),
            "max_head" => c.max_head(int(v)?),
            "max_trailers" => c.max_trailers(int(v)?),
            "max_target" => c.max_target(int(v)?),
            "max_fields" => c.max_fields(int(v)?),
            "discard" => c.discard(int(v)?),
            "keep_alive" => c.keep_alive_field(match v {
                "never" => KeepAliveField::Never,
                "on_option" => KeepAliveField::OnOption,
                "always" => KeepAliveField::Always,
                _ => return Err(format!("not never, on_option or always: {v}")),
            }),
            "tolerate" => c.tolerate_coding_with_length(true),
            "refuse_empty_host" => c.refuse_empty_host(true),
            "refuse_other_expectations" => c.refuse_other_expectations(true),
            "echo_version" => c.echo_version(true),
            "connect_waits" => c.connect_waits(true),
            "abort_on_eof" => c.abort_on_eof(true),
            "heed_proxy_connection" => c.heed_proxy_connection(true),
            _ => return Err(format!("unknown setting of a server: {word}")),
        };
    }
    Ok(c)
}

pub(crate) fn client_config(words: &[String]) -> Result<client::Config, String> {
    let mut c = client::Config::direct();
    for word in words {
        let (name, v) = word.split_once('=').unwrap_or((word, ""));
        c = match name {
            "to_proxy" => client::Config::to_proxy(),
            "head_wait" => c.head_wait(millis(v)?),
            "content_stall" => c.content_stall(millis(v)?),
            "write_stall" => c.write_stall(millis(v)?),
            "continue_wait" => c.continue_wait(millis(v)?),
            "lifetime" => c.lifetime(optional(v)?),
            "idle" => c.idle(millis(v)?),
            "timeout_cap" => c.timeout_cap(millis(v)?),
            "margin" => c.margin(millis(v)?),
            "discard" => {
                let (octets, time) = pair(v)?;
                c.discard(int(octets)?, millis(time)?)
            }
            "early_finish" => c.early_finish(int(v)?),
            "max_head" => c.max_head(int(v)?),
            "max_trailers" => c.max_trailers(int(v)?),
            "max_fields" => c.max_fields(int(v)?),
            "http10" => c.http10(true),
            "one_shot" => c.one_shot(true),
            "pipeline" => c.pipeline(true),
            "tolerate" => c.tolerate_coding_with_length(true),
            "raw_codings" => c.raw_codings(true),
            "accept_bare_lf" => c.accept_bare_lf(true),
            "unfold" => c.unfold(true),
            "strict_keep_alive" => c.strict_keep_alive(true),
            "gateway" => c.gateway(true),
            "retry_fresh" => c.retry_fresh(true),
            "doubt_close" => c.doubt_close(true),
            _ => return Err(format!("unknown setting of a client: {word}")),
        };
    }
    Ok(c)
}
