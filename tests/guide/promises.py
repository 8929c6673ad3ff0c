"""What the program promises about the keeping of its state, and the tests of each promise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promise:
    """A sentence about `what`."""

    what: str
    sentence: str
    shown: tuple[str, ...]


SERVICE = "services/test_backups.py::"
SCHEDULE = "services/test_backup_schedule.py::"
ROTATE = "store/test_rotation.py::"
RETENTION = "domain/test_retention.py::"
RESTORE = "services/test_restore.py::"
RECOVER = "services/test_recover.py::"
PAGE = "web/test_ui_restore.py::"
OFFSITE = "services/test_offsite.py::"

PROMISES = (
    Promise(
        "rotation",
        "the archive holds what was ever acknowledged; a cut at any point loses nothing",
        (
            f"{ROTATE}test_the_archive_holds_every_acknowledged_row_in_one_private_file",
            "crashlab/test_cuts.py::test_a_cut_at_any_sampled_system_call_loses_nothing_and_heals_at_the_next_start",
            "crashlab/test_power.py::test_a_power_cut_in_the_middle_loses_nothing",
        ),
    ),
    Promise(
        "rotation",
        "a full backup first; hardware and settings of operations carried, and listed in the event",
        (
            f"{ROTATE}test_the_backup_sees_the_old_database_alone_and_outside_a_transaction",
            f"{ROTATE}test_a_state_directory_of_the_original_is_taken_over",
        ),
    ),
    Promise(
        "rotation",
        "the rest waits in the archive, one reviewed click away",
        (f"{PAGE}test_an_upgrade_offers_the_bindings_until_they_are_carried_over",),
    ),
    Promise(
        "rotation",
        "rolling back to the old version puts its data back",
        ("store/test_return_ticket.py::test_going_back_brings_the_database_back",),
    ),
    Promise(
        "bundle",
        "one read transaction, streamed, atomic, of any version of the database",
        (
            "store/test_hardware.py::test_a_snapshot_does_not_see_what_is_written_meanwhile",
            "services/test_bundle_memory.py::test_many_machines_pass_through_little_memory",
            "services/test_bundles.py::test_a_full_disk_leaves_the_old_bundle_whole",
            "store/test_hardware.py::test_a_database_of_the_original_is_read",
        ),
    ),
    Promise(
        "backup",
        "the bundle is byte for byte what export writes; the database of the same snapshot",
        (
            "services/test_backup_files.py::test_a_backup_holds_the_bundle_the_database_a_manifest_and_sums",
            "services/test_backup_files.py::test_the_bundle_and_the_database_are_of_one_moment",
        ),
    ),
    Promise(
        "backup",
        "it always finishes, and the server never stalls",
        ("store/test_snapshot.py::test_a_steady_writer_does_not_keep_the_copy_from_its_end",),
    ),
    Promise(
        "backup",
        "verified, and only then named as good",
        (
            "services/test_backup_files.py::test_a_backup_that_does_not_read_back_loses_its_name",
            f"{SERVICE}test_a_backup_is_read_back_and_told_of",
        ),
    ),
    Promise(
        "backup",
        "progress, cancel",
        (
            f"{SERVICE}test_a_cancelled_backup_leaves_nothing_but_its_rows",
            "cli/test_backups.py::test_a_child_tells_how_far_it_is_and_ends_with_its_parent",
        ),
    ),
    Promise(
        "schedule",
        "at a local time in a named zone; slots, so that nothing skips, repeats or drifts",
        (
            "domain/test_schedule.py::test_in_a_year_of_ticks_each_local_day_has_one_run",
            "domain/test_schedule.py::test_after_any_time_down_one_run_catches_up",
            "domain/test_schedule.py::test_a_local_time_that_is_skipped_is_the_first_moment_after_the_gap",
        ),
    ),
    Promise(
        "schedule",
        "a failed run is an event, is retried with growing pauses, and never prunes",
        (
            f"{SCHEDULE}test_a_failure_is_tried_again_after_growing_pauses_and_told_once",
            f"{SCHEDULE}test_a_place_that_cannot_be_used_is_told_and_an_alarm_and_tried_again",
            f"{SERVICE}test_a_failed_run_prunes_nothing",
        ),
    ),
    Promise(
        "schedule",
        "an overdue or unproven backup is an alarm, and a ping URL is told",
        (
            f"{SCHEDULE}test_an_overdue_backup_is_told_of_once_and_its_end_too",
            f"{SCHEDULE}test_a_damaged_newest_backup_is_an_alarm",
            f"{SCHEDULE}test_a_monitor_is_told_of_success_and_failure",
        ),
    ),
    Promise(
        "schedule",
        "scripts see how it stands: alarm, next, until when backups count, doubt of the clock",
        (
            "web/test_ui_backups.py::test_scripts_have_it_all",
            "web/test_ui_backups.py::test_scripts_are_told_until_when_backups_count_and_that_the_clock_is_doubted",
        ),
    ),
    Promise(
        "retention",
        "what would go, and why each stays, is shown before a policy is saved",
        (
            "web/test_ui_backups.py::test_the_schedule_is_previewed_and_saved",
            f"{RETENTION}test_each_reason_is_said",
        ),
    ),
    Promise(
        "retention",
        "the newest proven stays; what is not ours, pinned, unsound or of the future too",
        (
            f"{RETENTION}test_the_newest_proven_and_the_newest_that_counts_stay",
            f"{RETENTION}test_what_is_removed_is_ours_sound_unpinned_and_not_of_the_future",
            f"{RETENTION}test_what_knows_of_far_more_machines_than_the_newest_does_not_all_go",
        ),
    ),
    Promise(
        "proof",
        "each backup says when it was last proven, wherever it is shown",
        (
            f"{PAGE}test_every_page_of_a_backup_says_when_it_was_proven",
            "web/test_ui_backups.py::test_every_column_says_something",
            "cli/test_backups.py::test_a_backup_is_made_listed_pinned_and_removed",
            "web/test_ui_backups.py::test_the_dashboard_shows_the_last_proven_backup",
        ),
    ),
    Promise(
        "proof",
        "a full drill weekly and after each upgrade",
        (
            f"{SCHEDULE}test_one_a_day_and_a_drill_a_week",
            f"{SCHEDULE}test_after_an_upgrade_the_backup_from_before_it_is_drilled",
            "cli/test_backups.py::test_a_drill_restores_starts_and_compares",
        ),
    ),
    Promise(
        "time machine",
        "any backup is browsed and compared with now: which machines changed",
        (
            f"{PAGE}test_a_backup_is_compared_with_now",
            f"{PAGE}test_a_backup_of_another_release_is_compared_and_one_machine_comes_back",
            f"{PAGE}test_a_bundle_alone_is_compared_by_hardware",
        ),
    ),
    Promise(
        "time machine",
        "what it knew of one machine; one machine is put back",
        (
            f"{PAGE}test_what_a_backup_knew_of_one_machine",
            f"{PAGE}test_one_machine_is_put_back",
            f"{RESTORE}test_single_machines_are_put_back_and_nothing_else",
        ),
    ),
    Promise(
        "off-site",
        "directory, bucket, WebDAV or PUT, with resume and retention there",
        (
            f"{OFFSITE}test_a_backup_goes_there_and_comes_back_bit_for_bit",
            f"{OFFSITE}test_parts_that_are_there_are_not_sent_again",
            f"{OFFSITE}test_what_was_cut_off_is_no_copy_and_is_gone_on_with",
            f"{OFFSITE}test_old_copies_of_the_schedule_go_and_no_others",
            "cli/test_offsite.py::test_a_server_that_only_takes_put_is_pushed_to_and_fetched_from_by_id",
        ),
    ),
    Promise(
        "off-site",
        "an authority of one's own is believed there, and looked at by the doctor",
        (
            "services/test_offsite_tls.py::test_an_authority_that_the_configuration_names_is_believed_beside_the_others",
            "services/test_offsite_tls.py::test_a_file_without_an_authority_is_refused_and_is_a_fault_of_the_doctor",
        ),
    ),
    Promise(
        "off-site",
        "replication by Litestream, with a restore",
        (
            "cli/test_litestream_s3.py::test_a_killed_host_comes_back_from_a_bucket",
            "services/test_litestream.py::test_a_lost_host_is_taken_over_from_the_replica",
        ),
    ),
    Promise(
        "import",
        "version 3, ours or the original's; 1 and 2 refused by name; all or nothing",
        (
            "domain/test_bundle.py::test_other_versions_are_refused_by_name",
            "services/test_bundles.py::test_a_bundle_that_cannot_be_trusted_changes_nothing",
            "services/test_bundles.py::test_a_killed_import_changes_nothing_and_the_next_one_sweeps",
        ),
    ),
    Promise(
        "import",
        "machines that are here keep their bindings; --reset-existing; a report; --dry-run",
        (
            "services/test_bundles.py::test_a_machine_that_is_here_keeps_its_binding_and_gets_the_newer_record",
            "services/test_bundles.py::test_reset_existing_makes_machines_as_new_and_the_preview_says_how_many_are_bound",
            "services/test_bundles.py::test_bad_machines_are_rejected_with_reasons_and_the_others_go_in",
            "services/test_bundles.py::test_a_dry_run_changes_nothing_and_makes_nothing",
        ),
    ),
    Promise(
        "events",
        "an act and its row are one transaction; a failure has a kind of its own",
        (
            "services/test_contacts.py::test_the_event_and_the_phase_are_one_transaction",
            "services/test_bundles.py::test_an_import_that_the_disk_refuses_is_told",
            f"{RECOVER}test_a_recovery_that_the_disk_refuses_is_told",
            f"{RESTORE}test_nothing_is_restored_when_the_way_back_cannot_be_made",
        ),
    ),
    Promise(
        "events",
        "exported as JSON lines, searched, trimmed by an age that the operator sets",
        (
            "web/test_event_filters.py::test_the_export_is_streamed_whole_over_a_real_server",
            "cli/test_events.py::test_a_row_is_json_on_a_line",
            "services/test_event_trimming.py::test_all_is_kept_unless_the_operator_says_otherwise",
            "services/test_event_trimming.py::test_what_is_older_goes_and_the_rest_is_proven_as_before",
        ),
    ),
    Promise(
        "events",
        "each row carries the hash of the one before, across rotation; verify shows a gap",
        (
            f"{ROTATE}test_the_audit_chain_and_the_identity_go_on",
            "services/test_verify.py::test_what_was_changed_in_a_database_is_said",
        ),
    ),
    Promise(
        "commands",
        "verify, with a drill: what is wrong, and status 1",
        (
            "cli/test_bundle_commands.py::test_what_is_not_sound_is_said_and_the_exit_status_is_1",
            "cli/test_backups.py::test_a_drill_notices_what_reading_does_not",
        ),
    ),
    Promise(
        "commands",
        "restore, running or not: row by row, a backup first, can be undone, --only",
        (
            "cli/test_restore.py::test_it_is_shown_first_then_done_then_undone",
            f"{RESTORE}test_without_a_database_the_whole_of_it_comes_back",
            "services/test_restore_beside_a_server.py::test_readers_and_writers_notice_and_lose_nothing",
        ),
    ),
    Promise(
        "commands",
        "recover: any version, what is picked, disarmed; --salvage with a loss report",
        (
            f"{RECOVER}test_a_database_of_the_original_comes_over_disarmed",
            f"{RECOVER}test_armed_machines_stay_armed_where_that_is_wanted",
            f"{RECOVER}test_most_of_a_damaged_database_is_salvaged",
            f"{PAGE}test_a_damaged_database_is_salvaged_and_what_is_lost_is_shown_first",
        ),
    ),
    Promise(
        "commands",
        "doctor: each finding with its remedy",
        (
            "cli/test_doctor.py::test_a_missing_installation_is_findings_and_no_traceback",
            "services/test_doctor.py::test_every_finding_says_which_check_it_is_of_and_all_checks_are_done",
        ),
    ),
)
