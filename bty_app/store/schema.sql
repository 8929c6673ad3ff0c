-- Table and column names up to the marked lines are a contract: people query archives with them.

CREATE TABLE bty_version (
    version TEXT NOT NULL PRIMARY KEY
) STRICT;

-- What this database is, for the programs that read it: instance id, first chain hash, ancestry.
CREATE TABLE bty_instance (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE machines (
    mac                TEXT NOT NULL PRIMARY KEY,
    bty_image_ref      TEXT,
    discovered_at      TEXT,
    last_seen_at       TEXT,
    last_seen_ip       TEXT,
    boot_mode          TEXT NOT NULL DEFAULT 'ipxe-exit',
    sanboot_drive      TEXT,
    last_flashed_at    TEXT,
    saw_flasher_boot   INTEGER NOT NULL
        GENERATED ALWAYS AS (phase IN ('booted', 'failed', 'held', 'done')) VIRTUAL,
    known_disks_at     TEXT,
    hw_lshw_at         TEXT,
    target_disk_serial TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    -- ours: where the box is in its cycle (domain/boot.py)
    phase              TEXT NOT NULL DEFAULT 'idle'
        CHECK (phase IN ('idle', 'booted', 'failed', 'held', 'done', 'released')),
    phase_at           TEXT,
    attempts           INTEGER NOT NULL DEFAULT 0,
    ordered_at         TEXT,
    disk_suspect       INTEGER NOT NULL DEFAULT 0 CHECK (disk_suspect IN (0, 1)),
    silence_reported   INTEGER NOT NULL DEFAULT 0 CHECK (silence_reported IN (0, 1)),
    -- what is done besides when this one is flashed; NULL: as the settings have it
    flash_wipe         TEXT,
    flash_verify       TEXT CHECK (flash_verify IN ('no', 'yes')),
    flash_done         TEXT CHECK (flash_done IN ('written', 'booted')),
    -- when its system last said that it is up
    booted_at          TEXT,
    -- last, because they are large: SQLite reads the columns before them without touching them
    known_disks        TEXT,
    hw_lshw            TEXT
) STRICT;

CREATE INDEX machines_by_image ON machines (bty_image_ref) WHERE bty_image_ref IS NOT NULL;
CREATE INDEX machines_under_way ON machines (mac)
    WHERE phase = 'booted' OR ordered_at IS NOT NULL;
CREATE INDEX machines_by_mode ON machines (boot_mode, phase);

CREATE TABLE machine_labels (
    mac   TEXT NOT NULL REFERENCES machines (mac) ON DELETE CASCADE,
    label TEXT NOT NULL,
    PRIMARY KEY (mac, label)
) STRICT, WITHOUT ROWID;

CREATE INDEX machine_labels_by_label ON machine_labels (label);

-- ours: what the live environment last said of the flash it is doing
CREATE TABLE machine_progress (
    mac         TEXT NOT NULL PRIMARY KEY REFERENCES machines (mac) ON DELETE CASCADE,
    at          TEXT NOT NULL,
    phase       TEXT NOT NULL,
    bytes_done  INTEGER,
    bytes_total INTEGER,
    rate        INTEGER,
    error       TEXT
) STRICT;

CREATE TABLE catalog_entries (
    bty_image_ref  TEXT NOT NULL PRIMARY KEY,
    src            TEXT NOT NULL UNIQUE,
    resolved_src   TEXT,
    disk_image_sha TEXT,
    name           TEXT NOT NULL,
    sha_url        TEXT,
    format         TEXT,
    size_bytes     INTEGER,
    description    TEXT,
    added_at       TEXT NOT NULL,
    -- ours
    arch           TEXT,
    mirrors        TEXT,  -- a JSON array of URLs, in order
    upstream       TEXT,  -- the source of the catalog that lists it; NULL: an operator added it
    gone_at        TEXT   -- since when that catalog lists it no more; kept while machines need it
) STRICT;

CREATE TABLE events (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    ts           TEXT NOT NULL,
    kind         TEXT NOT NULL,
    subject_kind TEXT,
    subject_id   TEXT,
    actor        TEXT NOT NULL,
    source_ip    TEXT,
    summary      TEXT NOT NULL,
    details      TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0 CHECK (acknowledged IN (0, 1)),
    -- ours: SHA-256 over the chain value of the row before and this row (domain/events.py)
    chain        TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_ts ON events (ts);
CREATE INDEX events_by_kind ON events (kind);
CREATE INDEX events_by_subject ON events (subject_id, subject_kind);
CREATE INDEX events_by_source ON events (source_ip) WHERE source_ip IS NOT NULL;
CREATE INDEX events_failed ON events (id) WHERE kind LIKE '%failed';
CREATE INDEX events_open_failures ON events (id)
    WHERE acknowledged = 0 AND (kind LIKE '%failed' OR kind = 'system.schema.reset');

CREATE TABLE settings (
    key        TEXT NOT NULL PRIMARY KEY,
    value      TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash TEXT NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL,
    seen_at    TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    source_ip  TEXT,
    user_agent TEXT
) STRICT, WITHOUT ROWID;

-- Credentials of scripts, by the part of the token that is no secret; of the whole only its SHA-256.
CREATE TABLE api_tokens (
    id           TEXT NOT NULL PRIMARY KEY,
    token_hash   TEXT NOT NULL,
    name         TEXT NOT NULL UNIQUE,
    scope        TEXT NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
    created_at   TEXT NOT NULL,
    expires_at   TEXT,
    last_used_at TEXT,
    last_used_ip TEXT
) STRICT, WITHOUT ROWID;

-- How far each receiver of events has been told; the events themselves are the queue.
CREATE TABLE webhook_targets (
    target     TEXT NOT NULL PRIMARY KEY,
    cursor     INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    next_at    TEXT,
    last_at    TEXT,
    last_error TEXT,
    told_at    TEXT,
    skipped    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
-- ours: the stages of each machine's boots, as any part of the server saw them. Written in batches
CREATE TABLE boot_stages (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    mac     TEXT NOT NULL REFERENCES machines (mac) ON DELETE CASCADE,
    at      TEXT NOT NULL,
    last_at TEXT NOT NULL,
    times   INTEGER NOT NULL DEFAULT 1,
    stage   TEXT NOT NULL,
    ip      TEXT,
    detail  TEXT NOT NULL
) STRICT;

CREATE INDEX boot_stages_by_mac ON boot_stages (mac, id);

-- ours: each inventory that differed from the one before (domain/hardware.py)
CREATE TABLE hardware_history (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    mac     TEXT NOT NULL REFERENCES machines (mac) ON DELETE CASCADE,
    at      TEXT NOT NULL,
    digest  TEXT NOT NULL,  -- SHA-256 of what is compared of `facts`
    facts   TEXT NOT NULL,  -- JSON: what is compared
    changes TEXT NOT NULL,  -- a JSON array of sentences; empty for the first
    report  BLOB NOT NULL   -- zlib of JSON: {"disks": …, "lshw": …} as reported
) STRICT;

CREATE INDEX hardware_history_by_mac ON hardware_history (mac, id);
-- ours: lists and acts of many machines ----------------------------------------------------------

CREATE INDEX machines_by_seen ON machines (last_seen_at, mac);
CREATE INDEX machines_by_flashed ON machines (last_flashed_at, mac);
-- All that a search and the counting of states look at: they read this, and never the records with
-- their hardware.
CREATE INDEX machines_searched ON machines
    (mac, last_seen_ip, target_disk_serial, boot_mode, phase, bty_image_ref, last_seen_at,
     last_flashed_at, booted_at, flash_done, silence_reported);

-- Since when a machine waits to be flashed, until when that counts, and the rule that holds it back.
CREATE TABLE machine_orders (
    mac        TEXT NOT NULL PRIMARY KEY REFERENCES machines (mac) ON DELETE CASCADE,
    armed_at   TEXT NOT NULL,
    expires_at TEXT,
    held_by    TEXT,
    held_until TEXT
) STRICT;

-- The attempts that may begin a flash, while a rule bounds how many an hour.
CREATE TABLE flash_slots (
    mac     TEXT NOT NULL,
    attempt TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (mac, attempt)
) STRICT;

CREATE INDEX flash_slots_by_time ON flash_slots (at);

CREATE TABLE bulk_acts (
    id         TEXT NOT NULL PRIMARY KEY,
    at         TEXT NOT NULL,
    act        TEXT NOT NULL,  -- JSON
    digest     TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('preparing', 'running', 'ended', 'cancelled')),
    source_ip  TEXT,
    undo_until TEXT,
    undone_at  TEXT
) STRICT;

-- What was before is kept until it can no longer be undone.
CREATE TABLE bulk_items (
    act_id   TEXT NOT NULL REFERENCES bulk_acts (id) ON DELETE CASCADE,
    mac      TEXT NOT NULL,
    state    TEXT NOT NULL
        CHECK (state IN ('pending', 'done', 'changed', 'failed', 'undone', 'kept')),
    expected TEXT NOT NULL,
    after    TEXT,
    note     TEXT,
    before   TEXT,  -- JSON
    PRIMARY KEY (act_id, mac)
) STRICT;

CREATE INDEX bulk_items_by_state ON bulk_items (act_id, state, mac);
