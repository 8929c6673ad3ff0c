"""The original's guide "Operations: backup, upgrade, migrate", sentence by sentence.

A row is a statement that a user of the guide can rely on. `words` are some of its own, so that
the row is found in the guide; `shown` are the tests that show it of this program; where it
holds in another way, `differs` begins a row of docs/reference/differences.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """A statement of a section."""

    section: str
    words: str
    shown: tuple[str, ...] = ()
    differs: str = ""


COPIES = "guide/test_copies.py::"
BUNDLES = "guide/test_bundles.py::"
ROTATION = "guide/test_rotation.py::"
SCHEDULED = "guide/test_scheduled.py::"
ROTATE = "store/test_rotation.py::"
WALK = "how_to/test_pages.py::test_a_page_is_walked_from_its_first_command_to_its_last"
RUN = "flasher/test_run.py::"
PXE = "web/test_pxe.py::"

STATE = "What counts as state"
SPLIT = "Data separation"
BACKUP = "Backup"
SCHEDULE = "Scheduled backups"
PORTABLE = "Portable export / import"
UPGRADE = "Upgrade"
PRESERVE = "Preserve hardware"
BAK = "Recovering an old .bak"
IN_PLACE = "Upgrade in place"
CONTAINER = "Upgrade the container deploy"
MIGRATE = "Migrate to a new host"
FLASH = "Failed or interrupted flash"

STATEMENTS = (
    Said(
        STATE,
        "keeps everything in one directory",
        (
            "pyz/test_writes.py::test_a_contact_a_login_and_an_export_write_in_the_state_directory_alone",
            "test_state_dir.py::test_the_choice",
        ),
    ),
    Said(
        STATE,
        "machine records, MAC->image assignments, catalog metadata, server settings, sessions",
        (
            f"{COPIES}test_state_db_alone_brings_all_of_it_back",
            "services/test_restore.py::test_every_table_and_every_column_of_a_machine_has_a_rule",
        ),
    ),
    Said(
        STATE,
        "this is the irreplaceable bit",
        (f"{COPIES}test_state_db_alone_brings_all_of_it_back",),
    ),
    Said(
        STATE,
        "The netboot artifacts (BTY_PATHS_BOOT_DIR",
        (
            "services/test_boot_files.py::test_a_boot_directory_that_is_not_there_is_no_live_environment",
            f"{COPIES}test_state_db_alone_brings_all_of_it_back",
        ),
    ),
    Said(
        STATE,
        "re-fetchable via “Fetch netboot artifacts”",
        (
            "web/test_ui_netboot.py::test_a_fresh_server_says_what_is_missing_and_one_button_brings_it",
        ),
    ),
    Said(
        STATE,
        "The active catalog manifest",
        (
            "cli/test_catalog.py::test_an_upstream_catalog_is_shown_and_then_followed",
            f"{COPIES}test_state_db_alone_brings_all_of_it_back",
        ),
    ),
    Said(
        STATE,
        "re-fetchable from the upstream",
        ("cli/test_catalog.py::test_an_upstream_catalog_is_shown_and_then_followed",),
    ),
    Said(
        STATE,
        "holds no image bytes",
        (
            f"{COPIES}test_no_bytes_of_an_image_are_in_it",
            "container/test_stack.py::test_without_the_cache_machines_are_sent_to_the_origin",
        ),
    ),
    Said(
        STATE,
        "populated on first flash of each URL",
        (
            "container/test_stack.py::test_a_bound_image_gets_into_the_cache_and_machines_fetch_it_from_there",
        ),
        differs="withcache from 0.10 on stays empty until somebody fills it",
    ),
    Said(
        STATE,
        "A minimal backup is just state.db; a full backup is the whole",
        (
            f"{COPIES}test_state_db_alone_brings_all_of_it_back",
            f"{COPIES}test_the_whole_directory_is_packed_and_unpacked",
        ),
    ),
    Said(
        SPLIT,
        "all mutable runtime state lives under BTY_PATHS_STATE_DIR",
        (
            "pyz/test_writes.py::test_a_contact_a_login_and_an_export_write_in_the_state_directory_alone",
            "pyz/test_read_only.py::test_it_serves_and_exports_there",
        ),
    ),
    Said(
        SPLIT,
        "runtime writes already all land under /var/lib/bty",
        (
            "pyz/test_writes.py::test_a_contact_a_login_and_an_export_write_in_the_state_directory_alone",
        ),
    ),
    Said(
        SPLIT,
        "records: machines, catalog, settings, audit log",
        (f"{COPIES}test_state_db_alone_brings_all_of_it_back",),
    ),
    Said(
        SPLIT,
        "version-coupled; refetch on a bty version bump",
        (
            "web/test_ui_netboot.py::test_another_version_is_said_with_its_remedy",
            f"{ROTATION}test_what_lies_beside_the_database_is_not_touched",
        ),
    ),
    Said(SPLIT, "cookie key", (f"{COPIES}test_state_db_alone_brings_all_of_it_back",)),
    Said(
        SPLIT,
        "auto-rotates it on a version mismatch",
        (f"{ROTATION}test_the_old_database_is_beside_the_fresh_one",),
    ),
    Said(
        SPLIT,
        "bindings reset and the operator re-binds",
        (f"{BUNDLES}test_what_an_operator_set_and_a_flash_has_left_stay_behind",),
    ),
    Said(
        SPLIT,
        "took bty-web out of the bytes plane",
        (
            f"{COPIES}test_no_bytes_of_an_image_are_in_it",
            "cli/test_where_bytes_come_from.py::test_a_box_is_told_every_place_and_the_digest_of_this_moment",
        ),
    ),
    Said(
        SPLIT,
        "re-fetched when it no longer matches the running bty-web version",
        ("web/test_ui_netboot.py::test_another_version_is_said_with_its_remedy",),
    ),
    Said(
        SPLIT,
        "the bty-web container image is immutable",
        (
            "container/test_stack.py::test_both_services_are_confined",
            "container/test_images.py::test_the_state_is_the_users_and_the_password_lasts",
        ),
    ),
    Said(
        SPLIT,
        "$BTY_ADMIN_PASSWORD is supplied via the container env",
        ("container/test_stack.py::test_the_passwords_in_envvars_are_those_that_count",),
    ),
    Said(
        SPLIT,
        "re-attaching the volume is the whole upgrade",
        (
            "container/test_upgrade.py::test_a_deployment_is_upgraded_in_place",
            "boot/test_systemd_host.py::test_quadlet_units_run_bty_through_an_upgrade_and_a_power_cut",
        ),
    ),
    Said(
        BACKUP,
        "state.db is a single SQLite file",
        (f"{COPIES}test_a_server_that_was_stopped_leaves_one_whole_file",),
    ),
    Said(
        BACKUP,
        "consistent even while bty-web is running",
        (
            f"{COPIES}test_the_command_of_sqlite_copies_beside_a_server_that_writes",
            "store/test_snapshot.py::test_a_steady_writer_does_not_keep_the_copy_from_its_end",
        ),
    ),
    Said(
        BACKUP,
        'sqlite3 /var/lib/bty/state.db ".backup',
        (
            f"{COPIES}test_the_command_of_sqlite_copies_beside_a_server_that_writes",
            f"{WALK}[back-up]",
        ),
    ),
    Said(
        BACKUP,
        "A plain cp also works if bty-web is stopped first",
        (f"{COPIES}test_a_server_that_was_stopped_leaves_one_whole_file", f"{WALK}[back-up]"),
    ),
    Said(
        BACKUP,
        "cp -a /var/lib/bty/state.db",
        (f"{COPIES}test_a_server_that_was_stopped_leaves_one_whole_file", f"{WALK}[back-up]"),
    ),
    Said(
        BACKUP,
        "copy the whole directory while bty-web is stopped",
        (f"{COPIES}test_the_whole_directory_is_packed_and_unpacked",),
    ),
    Said(
        BACKUP,
        "sudo tar -C /var/lib -czf",
        (f"{WALK}[back-up]", f"{COPIES}test_the_whole_directory_is_packed_and_unpacked"),
    ),
    Said(
        BACKUP,
        "This does NOT include cached image bytes",
        (f"{COPIES}test_no_bytes_of_an_image_are_in_it",),
    ),
    Said(
        BACKUP,
        "Restore by putting the file(s) back",
        (
            f"{COPIES}test_a_server_that_was_stopped_leaves_one_whole_file",
            f"{WALK}[restore-a-backup]",
            "store/test_stale_log.py::test_a_start_refuses_and_names_both_ways_on",
            "store/test_quarantine.py::test_the_log_of_another_database_does_not_undo_a_restore",
        ),
        differs="restoring is copying a file by hand",
    ),
    Said(
        SCHEDULE,
        "page carries a Back up now trigger",
        ("web/test_ui_backups.py::test_back_up_now_makes_one_in_a_process_of_its_own",),
    ),
    Said(
        SCHEDULE,
        "/ui/settings#backup-schedule for cadence (daily / weekly / manual)",
        (
            "web/test_ui_backups.py::test_the_schedule_is_previewed_and_saved",
            "web/test_ui_backups.py::test_the_form_of_the_original_is_understood",
        ),
    ),
    Said(
        SCHEDULE,
        "retention (keep N most recent)",
        (
            "services/test_backups.py::test_retention_removes_what_is_too_old_and_tells",
            "domain/test_retention.py::test_the_newest_are_kept_by_number",
        ),
        differs="retention counts by name",
    ),
    Said(
        SCHEDULE,
        "The scheduler ticks every 60s",
        ("workers/test_scheduler.py::test_it_takes_turns_until_it_is_stopped",),
    ),
    Said(
        SCHEDULE,
        "takes effect on the next tick without restarting",
        (
            f"{SCHEDULED}test_a_changed_schedule_counts_at_once_and_needs_no_restart",
            "workers/test_scheduler.py::test_it_is_woken_at_once",
        ),
    ),
    Said(
        SCHEDULE,
        "a directory written under $BTY_PATHS_BACKUP_DIR",
        (f"{SCHEDULED}test_a_changed_schedule_counts_at_once_and_needs_no_restart",),
    ),
    Said(
        SCHEDULE,
        "named after the ISO-8601 timestamp",
        (
            f"{SCHEDULED}test_a_changed_schedule_counts_at_once_and_needs_no_restart",
            "store/test_backup_shelf.py::test_a_name_says_its_moment",
        ),
    ),
    Said(
        SCHEDULE,
        "a scheduled backup is interchangeable with a manual one",
        (
            "services/test_backup_files.py::test_a_backup_holds_the_bundle_the_database_a_manifest_and_sums",
            "cli/test_backups.py::test_bundles_of_every_release_are_listed_stay_and_come_in",
        ),
        differs="a backup is the bundle alone",
    ),
    Said(
        SCHEDULE,
        "Retention prunes the oldest siblings after every successful run",
        (
            "services/test_backups.py::test_retention_removes_what_is_too_old_and_tells",
            "services/test_backups.py::test_a_failed_run_prunes_nothing",
        ),
    ),
    Said(
        SCHEDULE,
        "$BTY_PATHS_STATE_DIR/backups",
        ("test_config.py::test_nothing_configured_gives_the_defaults",),
    ),
    Said(
        SCHEDULE,
        "Move off the OS disk",
        (f"{SCHEDULED}test_a_changed_schedule_counts_at_once_and_needs_no_restart",),
    ),
    Said(
        SCHEDULE,
        "Max concurrent backup jobs",
        (
            "test_config.py::test_nothing_configured_gives_the_defaults",
            "services/test_backups.py::test_one_backup_at_a_time",
            "services/test_jobs.py::test_kinds_run_side_by_side_and_of_one_kind_as_many_as_it_may",
        ),
    ),
    Said(
        SCHEDULE,
        "kinds backup.created / backup.failed / backup.pruned",
        (
            f"{SCHEDULED}test_a_changed_schedule_counts_at_once_and_needs_no_restart",
            f"{SCHEDULED}test_a_failure_is_in_the_audit_log_and_prunes_nothing",
            "services/test_backups.py::test_retention_removes_what_is_too_old_and_tells",
        ),
    ),
    Said(
        SCHEDULE,
        "surfaces the recent rows in a card at the bottom",
        ("web/test_ui_backups.py::test_the_newest_events_stand_at_the_bottom",),
    ),
    Said(
        PORTABLE,
        "The bty-web export / import subcommands are the slim one",
        ("test_install.py::test_the_guides_own_commands_work",),
    ),
    Said(
        PORTABLE,
        "an upgrade lands on a fresh, regenerable state",
        (f"{BUNDLES}test_settings_the_audit_log_and_boot_files_stay_behind",),
    ),
    Said(
        PORTABLE,
        "On the old server (reads BTY_PATHS_STATE_DIR)",
        ("test_install.py::test_the_guides_own_commands_work",),
    ),
    Said(
        PORTABLE,
        "bty-web export /tmp/bty-bundle",
        ("test_install.py::test_the_guides_own_commands_work", f"{WALK}[export-and-import]"),
        differs="a bundle is written over the old one",
    ),
    Said(
        PORTABLE,
        "bty-web import /tmp/bty-bundle",
        ("test_install.py::test_the_guides_own_commands_work", f"{WALK}[export-and-import]"),
        differs="import stores anything and unbinds machines",
    ),
    Said(
        PORTABLE,
        "produces the same bundle shape",
        (
            "services/test_backup_files.py::test_a_backup_holds_the_bundle_the_database_a_manifest_and_sums",
        ),
    ),
    Said(PORTABLE, "Machine mac", (f"{BUNDLES}test_mac_disks_and_lshw_travel",)),
    Said(
        PORTABLE,
        "every machine imports as bty-inventory",
        (
            f"{BUNDLES}test_what_an_operator_set_and_a_flash_has_left_stay_behind",
            "services/test_bundles.py::test_new_machines_arrive_unbound_for_inventory",
        ),
    ),
    Said(PORTABLE, "lshw hardware tree", (f"{BUNDLES}test_mac_disks_and_lshw_travel",)),
    Said(
        PORTABLE,
        "Image binding + target_disk_serial + sanboot_drive + labels",
        (
            f"{BUNDLES}test_what_an_operator_set_and_a_flash_has_left_stay_behind",
            f"{BUNDLES}test_labels_and_the_catalog_stay_behind",
        ),
    ),
    Said(
        PORTABLE,
        "known_disks (lsblk inventory + serials)",
        (f"{BUNDLES}test_mac_disks_and_lshw_travel",),
    ),
    Said(
        PORTABLE,
        "saw_flasher_boot state bit + last_flashed_at",
        (f"{BUNDLES}test_what_an_operator_set_and_a_flash_has_left_stay_behind",),
    ),
    Said(PORTABLE, "The image catalog", (f"{BUNDLES}test_labels_and_the_catalog_stay_behind",)),
    Said(
        PORTABLE,
        "The netboot artifacts (re-fetch",
        (f"{BUNDLES}test_settings_the_audit_log_and_boot_files_stay_behind",),
    ),
    Said(
        PORTABLE,
        "Server settings + the audit log",
        (f"{BUNDLES}test_settings_the_audit_log_and_boot_files_stay_behind",),
    ),
    Said(
        PORTABLE,
        "auto-flash against netboot artifacts you haven",
        ("services/test_bundles.py::test_new_machines_arrive_unbound_for_inventory",),
    ),
    Said(
        PORTABLE,
        "A bundle is a plain directory",
        (
            f"{BUNDLES}test_a_bundle_is_one_file_that_knows_the_hardware_and_nothing_else",
            f"{BUNDLES}test_a_bundle_may_be_archived_by_any_program",
        ),
    ),
    Said(
        UPGRADE,
        "bty-web automatically rotates the old state.db",
        (f"{ROTATION}test_the_old_database_is_beside_the_fresh_one",),
        differs="any command that opens `state.db` rotates it",
    ),
    Said(
        UPGRADE,
        "if the stored bty_version disagrees with the running release",
        (
            f"{ROTATION}test_the_old_database_is_beside_the_fresh_one",
            f"{ROTATE}test_a_database_of_this_release_stays_as_it_is",
            f"{ROTATE}test_a_strange_marker_is_no_obstacle",
        ),
    ),
    Said(
        UPGRADE,
        "data tables present without the marker",
        (f"{ROTATE}test_a_state_directory_of_the_original_is_taken_over",),
    ),
    Said(
        UPGRADE,
        "Renames state.db to state.db.<from-version>.<UTC-iso>.bak",
        (
            f"{ROTATION}test_the_old_database_is_beside_the_fresh_one",
            "domain/test_rotation.py::test_an_archive_is_named_by_version_and_time",
        ),
    ),
    Said(
        UPGRADE,
        "Unlinks the WAL sidecars",
        (f"{ROTATE}test_the_archive_holds_every_acknowledged_row_in_one_private_file",),
        differs="rotation unlinks the log and may lose transactions",
    ),
    Said(
        UPGRADE,
        "Creates a fresh state.db with the running release",
        (f"{ROTATION}test_the_old_database_is_beside_the_fresh_one",),
    ),
    Said(
        UPGRADE,
        "with details {from_version, to_version, archived_at}",
        (f"{ROTATION}test_the_old_database_is_beside_the_fresh_one",),
    ),
    Said(
        UPGRADE,
        "an unacknowledged tripwire on /ui/dashboard",
        (
            f"{ROTATION}test_it_waits_on_the_dashboard_until_it_is_acknowledged_among_the_events",
            "store/test_events.py::test_open_failures_are_what_failed_and_a_reset",
            "web/test_ui_dashboard.py::test_failures_are_acknowledged_one_by_one_or_all",
        ),
        differs="the schema reset never reaches the pages",
    ),
    Said(
        UPGRADE,
        "Netboot artifacts under BTY_PATHS_BOOT_DIR",
        (f"{ROTATION}test_what_lies_beside_the_database_is_not_touched",),
    ),
    Said(
        UPGRADE,
        "Backup bundles under",
        (f"{ROTATION}test_what_lies_beside_the_database_is_not_touched",),
    ),
    Said(
        UPGRADE,
        "Withcache blobs under the separate withcache data dir",
        (
            "pyz/test_writes.py::test_a_contact_a_login_and_an_export_write_in_the_state_directory_alone",
        ),
    ),
    Said(
        UPGRADE,
        "What rotation discards",
        (
            f"{ROTATION}test_bindings_are_discarded_and_the_machine_comes_back_by_itself",
            "store/test_carry_over.py::test_settings_of_operations_are_carried_and_no_others",
        ),
        differs="rotation unlinks the log and may lose transactions; the settings are lost",
    ),
    Said(
        UPGRADE,
        "re-discover on the next PXE contact",
        (f"{ROTATION}test_bindings_are_discarded_and_the_machine_comes_back_by_itself",),
    ),
    Said(
        PRESERVE,
        "export before upgrading and import after",
        (f"{WALK}[upgrade", f"{ROTATE}test_the_fresh_database_has_the_hardware_unbound"),
        differs="rotation unlinks the log",
    ),
    Said(
        PRESERVE,
        "sudo bty-web export /var/lib/bty/backups/pre-",
        (f"{BUNDLES}test_a_bundle_among_the_backups_is_found_there_and_stays",),
    ),
    Said(
        PRESERVE,
        "sudo bty-web import /var/lib/bty/backups/pre-",
        (f"{BUNDLES}test_a_bundle_among_the_backups_is_found_there_and_stays",),
    ),
    Said(
        PRESERVE,
        "The slim bundle carries a minimal per-machine record",
        (f"{BUNDLES}test_a_bundle_is_one_file_that_knows_the_hardware_and_nothing_else",),
    ),
    Said(
        PRESERVE,
        "“Fetch latest catalog” button",
        (
            "web/test_browser_catalog.py::test_a_catalog_is_fetched_checked_edited_and_an_image_removed",
        ),
    ),
    Said(
        PRESERVE,
        "or upload a catalog.toml directly",
        ("web/test_ui_catalog.py::test_a_catalog_is_uploaded",),
    ),
    Said(
        BAK,
        "The rotated DB is a normal sqlite file",
        (f"{ROTATION}test_the_archive_is_read_with_the_sqlite3_command_and_removed_like_any_file",),
    ),
    Said(
        BAK,
        "sqlite3 /var/lib/bty/state.db.0.27.4.20260525T101530Z.bak",
        (f"{ROTATION}test_the_archive_is_read_with_the_sqlite3_command_and_removed_like_any_file",),
    ),
    Said(
        BAK,
        "SELECT mac, bty_image_ref, boot_mode FROM machines",
        (
            f"{ROTATION}test_the_archive_is_read_with_the_sqlite3_command_and_removed_like_any_file",
            f"{WALK}[recover-an-old-database]",
        ),
    ),
    Said(
        BAK,
        "rm it like any other file",
        (f"{ROTATION}test_the_archive_is_read_with_the_sqlite3_command_and_removed_like_any_file",),
    ),
    Said(
        IN_PLACE,
        "pipx upgrade bty-lab",
        ("test_install.py::test_each_command_says_its_version",),
        differs="installed from an index of packages as `bty-lab`",
    ),
    Said(
        IN_PLACE,
        "sudo systemctl restart bty-web",
        (f"{WALK}[upgrade", f"{ROTATION}test_the_old_database_is_beside_the_fresh_one"),
    ),
    Said(
        IN_PLACE,
        "the package upgrade does NOT touch them",
        (f"{ROTATION}test_what_lies_beside_the_database_is_not_touched",),
    ),
    Said(
        IN_PLACE,
        "keeps serving the previous live env until you refresh it",
        (f"{ROTATION}test_what_lies_beside_the_database_is_not_touched",),
    ),
    Said(
        IN_PLACE,
        "open /ui/netboot and click Fetch latest artifacts",
        (
            "web/test_browser_pages.py::test_artifacts_are_fetched_with_one_button_and_the_page_follows",
        ),
    ),
    Said(
        IN_PLACE,
        "pin a tag under Settings -> Upstream sources",
        ("web/test_ui_netboot.py::test_the_form_has_what_is_set_and_takes_another_tag",),
    ),
    Said(
        IN_PLACE,
        "a confusing version split",
        (
            "web/test_ui_netboot.py::test_another_version_is_said_with_its_remedy",
            "services/test_doctor.py::test_a_live_environment_is_missing_of_another_version_or_well",
            f"{ROTATION}test_what_lies_beside_the_database_is_not_touched",
        ),
    ),
    Said(
        CONTAINER,
        "a single bty-lab upgrade call",
        (
            "container/test_upgrade.py::test_a_deployment_is_upgraded_in_place",
            "container/test_upgrade.py::test_a_release_that_does_not_serve_is_taken_back_with_the_data",
        ),
    ),
    Said(
        CONTAINER,
        "regenerates compose against the CLI",
        (
            "container/test_deploy_releases.py::test_another_release_is_fetched_tried_installed_and_put_back",
        ),
    ),
    Said(
        CONTAINER,
        "preserves envvars + data/",
        (
            "container/test_deploy_releases.py::test_another_release_is_fetched_tried_installed_and_put_back",
            "container/test_upgrade.py::test_a_deployment_is_upgraded_in_place",
        ),
    ),
    Said(
        CONTAINER,
        "auto-detecting whether to drive that via podman compose up -d",
        (
            "container/test_upgrade.py::test_a_deployment_is_upgraded_in_place",
            "boot/test_systemd_host.py::test_quadlet_units_run_bty_through_an_upgrade_and_a_power_cut",
        ),
    ),
    Said(
        CONTAINER,
        "uvx bty-lab upgrade /opt/bty",
        (
            "test_install.py::test_the_files_of_a_deployment_are_installed_too",
            "container/test_upgrade.py::test_a_deployment_is_upgraded_in_place",
        ),
    ),
    Said(
        CONTAINER,
        "uvx bty-lab init --force .",
        (
            "cli/test_init.py::test_force_writes_over_it",
            "container/test_deploy.py::test_the_words_of_the_original_do_here_what_they_did_there",
        ),
    ),
    Said(
        CONTAINER,
        "podman compose --env-file envvars --profile tftp pull",
        ("container/test_stack.py::test_both_services_are_confined",),
        differs="containers of TFTP and nbdmux beside it",
    ),
    Said(
        CONTAINER,
        "podman compose --env-file envvars --profile tftp up -d",
        (
            "container/test_stack.py::test_both_services_are_confined",
            "deploy/test_files.py::test_with_tftp_there_is_the_network_of_the_host_and_one_right",
        ),
        differs="containers of TFTP and nbdmux beside it",
    ),
    Said(
        CONTAINER,
        "AutoUpdate=registry plus podman-auto-update.timer",
        (
            "deploy/test_files.py::test_only_images_of_a_registry_are_updated_by_podman",
            "container/test_units.py::test_a_quadlet_generator_and_systemd_take_the_units",
        ),
    ),
    Said(
        CONTAINER,
        "re-fetch the netboot artifacts (open /ui/netboot -> Fetch latest artifacts)",
        (
            "web/test_browser_pages.py::test_artifacts_are_fetched_with_one_button_and_the_page_follows",
        ),
    ),
    Said(
        MIGRATE,
        "Stop bty-web on the old host, copy the deploy directory",
        (
            "cli/test_migrate.py::test_a_copied_directory_serves_elsewhere_and_the_doctor_says_what_is_left",
            f"{WALK}[move-to-another-host",
        ),
    ),
    Said(
        MIGRATE,
        "assignments and audit log come with it",
        (
            "cli/test_migrate.py::test_a_copied_directory_serves_elsewhere_and_the_doctor_says_what_is_left",
            f"{COPIES}test_the_whole_directory_is_packed_and_unpacked",
        ),
    ),
    Said(
        MIGRATE,
        "Re-point your LAN DHCP at the new host",
        (
            "services/test_doctor_move.py::test_a_host_is_noted_once_and_another_one_is_told_of_until_a_machine_asks",
        ),
    ),
    Said(
        FLASH,
        "assume the target holds partial, unbootable data",
        (
            "domain/test_boot.py::test_a_suspect_disk_is_booted_on_the_operators_word_alone",
            f"{PXE}test_a_flash_that_dies_in_the_second_cycle_is_not_booted",
        ),
        differs="verifies after the disk is bootable",
    ),
    Said(
        FLASH,
        "the next flash overwrites from byte 0",
        (
            f"{RUN}test_a_failed_flash_is_reported_waited_out_and_tried_again",
            "boot/test_network_boot.py::test_a_power_cut_in_the_middle_of_a_flash_leads_to_the_flasher_and_not_to_the_disk",
        ),
    ),
    Said(
        FLASH,
        "Integrity mismatch (FlashIntegrityError)",
        (
            "flasher/test_end_to_end.py::test_an_image_of_the_wrong_digest_leaves_a_disk_that_does_not_boot",
            "guide/test_table.py::test_an_integrity_mismatch_has_the_guides_name",
        ),
    ),
    Said(
        FLASH,
        "re-run the flash. For a server-driven PXE box, just let it boot again",
        (
            "flasher/test_faults.py::test_a_cancellation_in_any_phase_ends_all_and_leaves_no_disk_that_boots",
            "domain/test_boot.py::test_a_crashed_flasher_is_retried_even_after_an_earlier_good_flash",
            f"{RUN}test_ctrl_c_in_a_flash_ends_it_and_is_reported",
        ),
    ),
    Said(
        FLASH,
        "its saw_flasher_boot bit stays set and it keeps booting the flasher",
        (
            f"{PXE}test_a_flash_that_dies_in_the_second_cycle_is_not_booted",
            "store/test_machines.py::test_archives_show_the_originals_bit",
        ),
        differs="retries have no end",
    ),
    Said(
        FLASH,
        "Re-save the machine record in /ui/machines (or fix boot_mode)",
        (
            f"{PXE}test_saving_a_stuck_machine_unchanged_frees_it",
            f"{WALK}[recover-a-failed-flash]",
        ),
    ),
)

# Lines of the guide that state nothing: headings, the heads of its tables, its introduction.
NO_STATEMENT = (
    "Operations: backup, upgrade, migrate",
    "Looking after a running bty-web",
    "What counts as state",
    *("Path", "What", "Backup?", "Class", "Notes", "Variable", "Default", "Meaning", "1"),
    *("state.db", "boot/", "catalog.toml", "session-secret"),
    *("precious", "ephemeral", "regenerable", "Backup", "Upgrade"),
    "Data separation and read-only-OS readiness",
    *("sudo systemctl stop bty-web", "sudo systemctl start bty-web"),
    "Scheduled backups (UI-driven",
    "Two env vars tune the feature",
    *("BTY_PATHS_BACKUP_DIR", "BTY_TUNING_BACKUP_MAX_PARALLEL"),
    "Portable export / import (operator data only)",
    "# Copy /tmp/bty-bundle to the new server, then:",
    "What a bundle carries, and what it deliberately leaves behind:",
    *("Travels", "Stays behind (fresh on the destination)"),
    "Auto-rotate on schema mismatch",
    "Operator-irreplaceable state lives outside state.db:",
    "Preserve hardware inventory across an upgrade",
    *("# Before upgrade: snapshot", "# Upgrade bty-web (pip / pipx / container image pull), then:"),
    "Recovering an old .bak",
    "Upgrade in place (pip / pipx install)",
    "If you installed bty-lab directly:",
    "Upgrade the container deploy",
    "For step-by-step control",
    "cd /opt/bty",
    "Migrate to a new host",
    "Recovering from a failed or interrupted flash",
)
