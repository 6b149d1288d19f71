//! Addresses that are credentials themselves: whoever knows a web hook can post to it.

use super::rules::Shape;

/// The address of a web hook: its label, what gives it away, and what in its path comes before the secret.
struct Hook {
    label: &'static str,
    host: &'static str,
    after: &'static str,
}

const HOOKS: [Hook; 8] = [
    Hook { label: "slack-webhook", host: "hooks.slack.com/", after: "/" },
    Hook { label: "discord-webhook", host: "discord.com/api/", after: "webhooks/" },
    Hook { label: "discord-webhook", host: "discordapp.com/api/", after: "webhooks/" },
    Hook { label: "teams-webhook", host: ".webhook.office.com/", after: "/" },
    Hook { label: "teams-webhook", host: ".logic.azure.com", after: "/" },
    Hook { label: "google-chat-webhook", host: "chat.googleapis.com/", after: "/messages?" },
    Hook { label: "zapier-webhook", host: "hooks.zapier.com/hooks/", after: "/" },
    Hook { label: "telegram-bot", host: "api.telegram.org/bot", after: "" },
];

/// Shorter paths are no secret.
const SHORTEST: usize = 8;
const LONGEST: usize = 1024;

/// What gives each of them away, in their order.
pub(super) fn triggers() -> impl Iterator<Item = &'static str> {
    HOOKS.iter().map(|hook| hook.host)
}

/// The secret part of the hook with this number, whose host is at this place.
pub(super) fn hook_at(text: &[u8], at: usize, number: usize) -> Option<Shape> {
    let hook = HOOKS.get(number)?;
    let start = at + hook.host.len();
    let ends = |b: &u8| *b <= b' ' || b"\"'`<>\\,;()[]{}|".contains(b);
    let length = text.get(start..)?.iter().take(LONGEST).take_while(|b| !ends(b)).count();
    let path = text.get(start..start + length)?;
    let skipped = match hook.after {
        "" => 0,
        after => memchr::memmem::find(path, after.as_bytes())? + after.len(),
    };
    let full_stops = path.iter().rev().take_while(|b| **b == b'.').count();
    let range = start + skipped..(start + length).checked_sub(full_stops)?;
    (range.len() >= SHORTEST).then(|| Shape { label: hook.label.into(), range, escapes: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<&str> {
        let found =
            triggers().enumerate().find_map(|(n, host)| hook_at(text.as_bytes(), text.find(host)?, n));
        found.map(|shape| &text[shape.range])
    }

    #[test]
    fn what_makes_a_hook_is_found() {
        for (text, expected) in [
            ("SLACK=https://hooks.slack.com/services/T00/B00/XXXX", "T00/B00/XXXX"),
            ("see https://hooks.slack.com/services/T0AB1C/B0DE2F/gh3Ij4Kl. Or", "T0AB1C/B0DE2F/gh3Ij4Kl"),
            ("https://discord.com/api/webhooks/123456/a-B_c1", "123456/a-B_c1"),
            ("https://discordapp.com/api/v10/webhooks/123456/a-B_c1?wait=true", "123456/a-B_c1?wait=true"),
            ("{\"u\":\"https://acme.webhook.office.com/webhookb2/1a@2b/In/3c/4d\"}", "1a@2b/In/3c/4d"),
            ("https://p1.west.logic.azure.com:443/workflows/1a/paths?sig=Zx", "workflows/1a/paths?sig=Zx"),
            ("https://chat.googleapis.com/v1/spaces/A/messages?key=k1&token=t2", "key=k1&token=t2"),
            ("https://hooks.zapier.com/hooks/catch/123/a1b2c3", "123/a1b2c3"),
            ("https://api.telegram.org/bot123:AAF-x9/sendMessage", "123:AAF-x9/sendMessage"),
        ] {
            assert_eq!(secret(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_left() {
        for text in [
            "https://hooks.slack.com/services/",
            "https://discord.com/api/v10/users/123456789",
            "https://acme.webhook.office.com/",
            "the host hooks.slack.com/ is blocked",
            "https://chat.googleapis.com/v1/spaces/AAAA/members",
        ] {
            assert_eq!(secret(text), None, "{text}");
        }
    }
}
