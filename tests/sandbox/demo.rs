//! The demo world's content: a bot of a few hundred files and a small database. The same in every run.

use std::sync::OnceLock;

use super::files::{FileNode, Files, MODE_DIRECTORY, MODE_EXECUTABLE, MODE_FILE, MODE_LINK};
use super::sign::Noise;

/// 2026-11-02T09:30:00Z, when the bot was last deployed.
const DEPLOYED: i64 = 1_793_611_800;

const PACKAGES: [&str; 18] = [
    "ansi-hues",
    "body-reader",
    "bot-kit",
    "cache-lru",
    "chalkline",
    "date-parts",
    "dotenv-lite",
    "emit-many",
    "file-walk",
    "gate-ws",
    "http-tiny",
    "json-lines",
    "ms-human",
    "queue-fair",
    "retry-jitter",
    "slug-safe",
    "table-text",
    "zod-mini",
];
const COMMANDS: [&str; 24] = [
    "avatar",
    "balance",
    "ban",
    "daily",
    "echo",
    "help",
    "kick",
    "leaderboard",
    "mute",
    "ping",
    "play",
    "poll",
    "profile",
    "purge",
    "queue",
    "quote",
    "remind",
    "roles",
    "shop",
    "skip",
    "stats",
    "ticket",
    "translate",
    "weather",
];
const WORDS: &str = "await client message channel guild member reply embed collect cache emit async const return \
    if else throw new Error value index options handler result queue player track limit page author content";

/// The bot's files; shared, so a second sandbox of the process costs nothing.
pub fn bot() -> Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(make_bot).clone()
}

/// The bot's files so many days ago. It was deployed the day before yesterday, for the last time.
pub fn bot_before(days: u32) -> Files {
    let mut files = bot();
    if days < 2 {
        return files;
    }
    let mut put = |path: &str, data: Vec<u8>| {
        files.insert(path.into(), FileNode::new(data, MODE_FILE, DEPLOYED - 3_000_000));
    };
    let mut noise = Noise::new(13);
    put("src/index.js", code(&mut noise, "index", 4700));
    put("src/commands/coinflip.js", code(&mut noise, "coinflip", 1400));
    put("data/users.sqlite", table(&mut Noise::new(17), 150_usize.saturating_sub(days as usize) << 10));
    if days >= 4 {
        put("data/giveaways.json", b"{ \"open\": [], \"ended\": [\"841905532178461902\"] }\n".into());
    }
    files.remove("src/commands/weather.js");
    files
}

/// What the demo database's snapshots hold.
pub fn database() -> Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(make_database).clone()
}

fn make_bot() -> Files {
    let mut noise = Noise::new(7);
    let mut files = Files::new();
    let mut put = |path: String, data: Vec<u8>, mode: u32| {
        let time = DEPLOYED - (files.len() as i64 * 97) % 2_000_000;
        files.insert(path, FileNode::new(data, mode, time));
    };
    put(
        "squarecloud.app".into(),
        b"MAIN=src/index.js\nMEMORY=512\nVERSION=recommended\nDISPLAY_NAME=demo-bot\nAUTORESTART=true\n".into(),
        MODE_FILE,
    );
    let dependencies = PACKAGES.map(|p| format!("    \"{p}\": \"^1.0.0\"")).join(",\n");
    put("package.json".into(), format!("{{\n  \"name\": \"demo-bot\",\n  \"main\": \"src/index.js\",\n  \"dependencies\": {{\n{dependencies}\n  }}\n}}\n").into(), MODE_FILE);
    put("README.md".into(), prose(&mut noise, 1800), MODE_FILE);
    put("src/index.js".into(), code(&mut noise, "index", 5200), MODE_FILE);
    for command in COMMANDS {
        let length = 1200 + (noise.next() % 5000) as usize;
        put(format!("src/commands/{command}.js"), code(&mut noise, command, length), MODE_FILE);
    }
    for event in ["ready", "message", "interaction", "guild-add", "guild-remove", "error"] {
        put(format!("src/events/{event}.js"), code(&mut noise, event, 1500), MODE_FILE);
    }
    for locale in ["de", "en", "es", "fr", "pt-BR", "ja"] {
        let text = format!("{{\n  \"hello\": \"Olá, こんにちは ({locale})\"\n}}\n").repeat(20);
        put(format!("src/locales/{locale}.json"), text.into(), MODE_FILE);
    }
    for package in PACKAGES {
        let manifest =
            format!("{{\n  \"name\": \"{package}\",\n  \"version\": \"1.4.2\",\n  \"main\": \"dist/index.js\"\n}}\n");
        put(format!("node_modules/{package}/package.json"), manifest.into(), MODE_FILE);
        put(format!("node_modules/{package}/LICENSE"), prose(&mut noise, 1100), MODE_FILE);
        put(format!("node_modules/{package}/README.md"), prose(&mut noise, 2600), MODE_FILE);
        for part in ["index", "core", "util", "types.d", "errors", "stream", "parse", "format"] {
            let length = 800 + (noise.next() % 7000) as usize;
            put(format!("node_modules/{package}/dist/{part}.js"), code(&mut noise, part, length), MODE_FILE);
        }
    }
    put("node_modules/bot-kit/bin/cli.js".into(), code(&mut noise, "cli", 900), MODE_EXECUTABLE);
    put("node_modules/.bin/bot-kit".into(), b"../bot-kit/bin/cli.js".into(), MODE_LINK);
    for (name, kilobytes) in [("banner.png", 240), ("avatar.png", 48), ("font.woff2", 88), ("jingle.ogg", 310)] {
        put(format!("assets/{name}"), noise.bytes(kilobytes << 10), MODE_FILE);
    }
    put(
        "assets/ícones/coração.svg".into(),
        b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M1 1'/></svg>\n".into(),
        MODE_FILE,
    );
    for day in 1..=5 {
        put(format!("logs/2026-11-0{day}.log"), log(&mut noise, day), MODE_FILE);
    }
    put("logs/empty.log".into(), Vec::new(), MODE_FILE);
    put("tmp".into(), Vec::new(), MODE_DIRECTORY);
    put("data/users.sqlite".into(), table(&mut noise, 150 << 10), MODE_FILE);
    files
}

fn make_database() -> Files {
    let mut noise = Noise::new(11);
    let mut files = Files::new();
    let mut put = |path: &str, data: Vec<u8>| {
        files.insert(path.to_string(), FileNode::new(data, 0o100_600, DEPLOYED));
    };
    put("PG_VERSION", b"17\n".into());
    put("dump/schema.sql", b"create table users (id bigint primary key, name text not null);\n".repeat(12));
    put("dump/users.sql", table(&mut noise, 220 << 10));
    put("dump/orders.bin", noise.bytes(120 << 10));
    files
}

fn words(noise: &mut Noise) -> impl Iterator<Item = &'static str> + '_ {
    let all: Vec<&str> = WORDS.split_whitespace().collect();
    std::iter::repeat_with(move || all[(noise.next() >> 20) as usize % all.len()])
}

fn code(noise: &mut Noise, name: &str, length: usize) -> Vec<u8> {
    let mut text = format!("'use strict';\n\n// {name}\nmodule.exports = async (client, options) => {{\n");
    let mut words = words(noise);
    while text.len() < length {
        let mut word = || words.next().unwrap_or_default();
        text.push_str(&format!("  const {} = await {}.{}({});\n", word(), word(), word(), word()));
    }
    text.push_str("};\n");
    text.into_bytes()
}

fn prose(noise: &mut Noise, length: usize) -> Vec<u8> {
    let mut text = String::from("# About\n\n");
    for (i, word) in words(noise).enumerate() {
        text.push_str(word);
        text.push(if i % 12 == 11 { '\n' } else { ' ' });
        if text.len() >= length {
            break;
        }
    }
    text.into_bytes()
}

fn log(noise: &mut Noise, day: u32) -> Vec<u8> {
    let mut text = String::new();
    for i in 0..600 {
        let (ms, id) = (noise.next() % 900, noise.next() % 100_000);
        text.push_str(&format!(
            "2026-11-0{day}T{:02}:{:02}:00Z info command=ping user={id} took={ms}ms\n",
            i / 60,
            i % 60
        ));
    }
    text.into_bytes()
}

fn table(noise: &mut Noise, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 64);
    while out.len() < length {
        let (id, coins) = (noise.next(), noise.next() % 10_000);
        out.extend_from_slice(format!("{id:020}|user-{:05}|{coins}\n", id % 99_991).as_bytes());
    }
    out.truncate(length);
    out
}
